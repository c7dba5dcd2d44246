//! The store against a small kernel of its own: whatever happens, the deltas that were sent add up.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::twins::three_zones;
use super::*;

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Connection `number` (born now where there is none) moves so many packets.
    Packets(u8, u64),
    /// It closes.
    Close(u8),
    /// Its entry of that zone goes; the event reaches us or is lost.
    Destroy(u8, usize, bool),
    /// A dump; broken after so many entries, or complete.
    Dump(Option<usize>),
    /// An export that works, or whose messages do not leave.
    Export(bool),
    /// A graceful restart.
    Restart,
    /// What was reported is written down.
    Save,
    /// The agent is killed, and the next one begins with what was last written down.
    Crash,
    /// Time passes.
    Wait(u32),
}

fn events() -> impl Strategy<Value = Event> {
    let destroy = (0..6_u8, 0..3_usize, prop::bool::weighted(0.8));
    prop_oneof![
        4 => (0..6_u8, 0..50_u64).prop_map(|(number, packets)| Event::Packets(number, packets)),
        1 => (0..6_u8).prop_map(Event::Close),
        2 => destroy.prop_map(|(number, zone, heard)| Event::Destroy(number, zone, heard)),
        3 => prop::option::weighted(0.2, 0..6_usize).prop_map(Event::Dump),
        3 => prop::bool::weighted(0.7).prop_map(Event::Export),
        1 => Just(Event::Restart),
        1 => Just(Event::Save),
        1 => prop::bool::weighted(0.3).prop_map(|crash| if crash { Event::Crash } else { Event::Save }),
        2 => (1..40_u32).prop_map(Event::Wait),
    ]
}

/// A connection from its birth to its end: its number, and the second it was born.
type Life = (u8, u64);

/// What the kernel has of a connection.
#[derive(Clone, Debug)]
struct Tracked {
    born: u64,
    packets: u64,
    state: u8,
    /// Zones in which it has an entry still.
    zones: Vec<usize>,
    /// The end of an entry was not heard of.
    unheard: bool,
}

/// The kernel's table, and what a collector has received.
#[derive(Default)]
struct World {
    second: u32,
    table: HashMap<u8, Tracked>,
    /// Every connection is tracked in three zones.
    zones: bool,
    /// Final counters of connections of which every end was heard.
    finals: HashMap<Life, u64>,
    /// Packets of every connection.
    truth: HashMap<Life, u64>,
    /// Connections whose Node's own entry went unheard: without it nobody can tell that the others are one.
    apart: HashSet<Life>,
    /// The sum of the deltas received of a connection.
    received: HashMap<Life, u64>,
    /// The same by flow, and the last total.
    flows: HashMap<u64, (u64, u64)>,
    limits: Option<Limits>,
    saved: Memory,
    crashes: u32,
    /// Of the stores before the present one.
    lost_octets: u64,
    repeated_octets: u64,
    refused: u64,
}

impl World {
    fn receive(&mut self, report: &Report) {
        // The exporter leaves twins out.
        if report.is_twin {
            return;
        }
        let connection = &report.connection;
        let number = connection.key.original.source_port() - 1_000;
        let life = (u8::try_from(number).unwrap(), connection.key.start_ns / SECOND_NS);
        *self.received.entry(life).or_default() += report.delta.packets;
        let sum = self.flows.entry(connection.flow_id).or_default();
        sum.0 += report.delta.packets;
        sum.1 = sum.1.max(connection.counters.packets);
    }

    /// The entries that a connection has in the kernel's table: one, or one in each zone that is left.
    fn entries(&self, number: u8) -> Vec<Entry> {
        let Some(tracked) = self.table.get(&number) else { return Vec::new() };
        let all = if self.zones {
            three_zones(number, tracked.born, tracked.packets)
        } else {
            [entry(number, tracked.born, tracked.packets, ESTABLISHED); 3]
        };
        let state = ProtocolState::Tcp(tracked.state);
        tracked.zones.iter().map(|zone| Entry { state, ..all[*zone] }).collect()
    }

    fn apply(&mut self, store: &mut Store, event: Event) {
        match event {
            Event::Wait(seconds) => self.second += seconds,
            Event::Packets(number, packets) => {
                let born = u64::from(self.second);
                let zones = if self.zones { vec![0, 1, 2] } else { vec![0] };
                let known = self.table.entry(number).or_insert_with(|| Tracked {
                    born,
                    packets: 0,
                    state: ESTABLISHED,
                    zones: zones.clone(),
                    unheard: false,
                });
                // One whose entries are going moves no more: they see the same packets.
                if known.zones == zones {
                    known.packets += packets;
                    self.truth.insert((number, known.born), known.packets);
                }
            }
            Event::Close(number) => {
                if let Some(known) = self.table.get_mut(&number) {
                    known.state = TIME_WAIT;
                }
            }
            Event::Destroy(number, zone, heard) => self.destroy(store, number, zone, heard),
            Event::Dump(broken) => {
                store.begin_dump();
                let entries: Vec<_> = self.table.keys().flat_map(|number| self.entries(*number)).collect();
                for entry in entries.iter().take(broken.unwrap_or(usize::MAX)) {
                    store.seen(entry, at(self.second));
                }
                store.finish_dump(broken.is_none(), at(self.second));
            }
            Event::Export(works) => {
                store.look(at(self.second));
                let reports = take(store, self.second);
                for report in reports.iter().rev() {
                    if works { self.receive(report) } else { store.give_back(report) }
                }
            }
            Event::Restart => {
                // It polls once more before it stops.
                self.apply(store, Event::Dump(None));
                self.drain(store);
                self.saved = store.memory();
                self.start_again(store, self.saved.clone());
            }
            Event::Save => self.saved = store.memory(),
            Event::Crash => {
                self.crashes += 1;
                // What waited to be sent is gone with the process.
                let received = &self.received;
                self.finals.retain(|life, packets| received.get(life).is_some_and(|sum| sum >= packets));
                // So it is where an end that was heard of is one of several entries'.
                let all = if self.zones { 3 } else { 1 };
                self.table.values_mut().for_each(|known| known.unheard |= known.zones.len() < all);
                let crashed_before_ms = u64::from(self.second) * 1_000 + 1;
                self.start_again(store, Memory { crashed_before_ms, ..self.saved.clone() });
            }
        }
    }

    fn destroy(&mut self, store: &mut Store, number: u8, zone: usize, heard: bool) {
        let entries = self.entries(number);
        let Some(known) = self.table.get_mut(&number) else { return };
        let place = zone % known.zones.len();
        if known.zones.remove(place) == NODES && !heard {
            self.apart.insert((number, known.born));
        }
        known.unheard |= !heard;
        if heard {
            store.destroyed(&entries[place], 0, at(self.second));
        } else {
            store.events_lost();
        }
        if known.zones.is_empty() {
            if !known.unheard {
                self.finals.insert((number, known.born), known.packets);
            }
            self.table.remove(&number);
            // Successive lives of a tuple are a second apart, as the kernel's are nanoseconds.
            self.second += 1;
        }
    }

    fn start_again(&mut self, store: &mut Store, memory: Memory) {
        self.add_up(store);
        *store = Store::new(self.limits.unwrap_or_else(limits), memory, 0);
        if self.zones {
            // The table is read before events are.
            self.apply(store, Event::Dump(None));
        }
    }

    fn add_up(&mut self, store: &Store) {
        let tally = store.tally();
        self.lost_octets += tally.lost_octets;
        self.repeated_octets += tally.repeated_octets;
        self.refused += tally.refused;
    }

    /// Everything that is not reported yet.
    fn drain(&mut self, store: &mut Store) {
        store.look_at_all();
        for report in take(store, self.second) {
            self.receive(&report);
        }
    }
}

/// The number of a connection to which nothing happens but its birth and its end.
const ALWAYS: u8 = 6;

/// The place of the Node's own zone among the three.
const NODES: usize = 1;

/// Octets that go with a packet, both directions together.
const OCTETS: u64 = 107;

proptest! {
    #[test]
    fn the_deltas_that_were_sent_add_up(
        happenings in prop::collection::vec(events(), 1..200),
        connections in prop_oneof![Just(100_usize), 1..6_usize],
        ended in prop_oneof![Just(100_usize), 1..4_usize],
    ) {
        add_up(happenings, Limits { connections, ended, ..limits() }, false)?;
    }

    /// However many zones a connection is tracked in, it is one flow.
    #[test]
    fn they_add_up_over_zones(happenings in prop::collection::vec(events(), 1..200)) {
        add_up(happenings, limits(), true)?;
    }
}

fn add_up(happenings: Vec<Event>, limits: Limits, zones: bool) -> Result<(), TestCaseError> {
    let mut world = World { second: 1_000, limits: Some(limits), zones, ..World::default() };
    let mut store = Store::new(limits, Memory::default(), 0);
    if zones {
        // There are connections of the CNI's at all times: from its first on, one is known to be tracked in several zones.
        world.apply(&mut store, Event::Packets(ALWAYS, 1));
        world.apply(&mut store, Event::Dump(None));
    }
    for event in happenings {
        world.apply(&mut store, event);
    }
    // At last everything is polled, ends, and is exported.
    world.apply(&mut store, Event::Dump(None));
    for number in (0..=ALWAYS).flat_map(|number| [number; 3]) {
        world.apply(&mut store, Event::Destroy(number, 0, true));
    }
    world.apply(&mut store, Event::Wait(100));
    world.apply(&mut store, Event::Dump(None));
    world.drain(&mut store);
    prop_assert_eq!((store.len(), store.tally().restarted), (0, 0));
    world.add_up(&store);

    // More than there was came only after a crash, and no more than was said.
    let of = |life: &Life| world.received.get(life).copied().unwrap_or_default();
    let whole = world.truth.iter().filter(|(life, _)| !zones || !world.apart.contains(life));
    let twice: u64 = whole.map(|(life, packets)| of(life).saturating_sub(*packets)).sum();
    prop_assert!(twice * OCTETS <= world.repeated_octets, "{} packets too many", twice);
    // Less came only of what was lost, and that is counted. (What a flow did while it was refused, and then not
    // heard of its end, nobody saw.)
    let missing: u64 = world.finals.iter().map(|(life, packets)| packets.saturating_sub(of(life))).sum();
    prop_assert!(missing * OCTETS <= world.lost_octets, "{} packets missing", missing);
    // After a restart another zone's entry may go on for the flow.
    if world.lost_octets == 0 && world.crashes == 0 && !zones {
        for (id, (sum, total)) in &world.flows {
            prop_assert_eq!(sum, total, "flow {:x}", id);
        }
    }
    if limits.connections == 100 {
        prop_assert_eq!(world.refused, 0);
    }
    Ok(())
}
