//! The store against a small kernel of its own: whatever happens, the deltas that were sent add up.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::key::ConnectionKey;
use super::*;

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Connection `number` (born now where there is none) moves so many packets.
    Packets(u8, u64),
    /// It closes.
    Close(u8),
    /// Its entry goes; the event reaches us or is lost.
    Destroy(u8, bool),
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
    prop_oneof![
        4 => (0..6_u8, 0..50_u64).prop_map(|(number, packets)| Event::Packets(number, packets)),
        1 => (0..6_u8).prop_map(Event::Close),
        2 => (0..6_u8, prop::bool::weighted(0.8)).prop_map(|(number, heard)| Event::Destroy(number, heard)),
        3 => prop::option::weighted(0.2, 0..4_usize).prop_map(Event::Dump),
        3 => prop::bool::weighted(0.7).prop_map(Event::Export),
        1 => Just(Event::Restart),
        1 => Just(Event::Save),
        1 => prop::bool::weighted(0.3).prop_map(|crash| if crash { Event::Crash } else { Event::Save }),
        2 => (1..40_u32).prop_map(Event::Wait),
    ]
}

/// The kernel's table, and what a collector has received.
#[derive(Default)]
struct World {
    second: u32,
    table: HashMap<u8, Entry>,
    /// Final counters of entries whose end was heard, by key.
    finals: HashMap<u64, u64>,
    /// Packets received by key: the sum of the deltas, and the last total.
    received: HashMap<u64, (u64, u64)>,
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
        let sum = self.received.entry(report.connection.key.hash()).or_default();
        sum.0 += report.delta.packets;
        sum.1 = sum.1.max(report.connection.counters.packets);
    }

    fn apply(&mut self, store: &mut Store, event: Event) {
        match event {
            Event::Wait(seconds) => self.second += seconds,
            Event::Packets(number, packets) => {
                let born = u64::from(self.second);
                let known = self.table.entry(number).or_insert_with(|| entry(number, born, 0, ESTABLISHED));
                let before = known.counters.unwrap_or_default().packets;
                *known = Entry {
                    start_ns: known.start_ns,
                    state: known.state,
                    ..entry(number, 0, before + packets, ESTABLISHED)
                };
            }
            Event::Close(number) => {
                if let Some(known) = self.table.get_mut(&number) {
                    known.state = ProtocolState::Tcp(TIME_WAIT);
                }
            }
            Event::Destroy(number, heard) => {
                let Some(gone) = self.table.remove(&number) else { return };
                // Successive lives of a tuple are a second apart, as the kernel's are nanoseconds.
                self.second += 1;
                if heard {
                    store.destroyed(&gone, 0, at(self.second));
                    let packets = gone.counters.unwrap_or_default().packets;
                    self.finals.insert(ConnectionKey::of(&gone).hash(), packets);
                } else {
                    store.events_lost();
                }
            }
            Event::Dump(broken) => {
                store.begin_dump();
                for entry in self.table.values().take(broken.unwrap_or(usize::MAX)) {
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
                self.drain(store);
                self.saved = store.memory();
                self.start_again(store, self.saved.clone());
            }
            Event::Save => self.saved = store.memory(),
            Event::Crash => {
                self.crashes += 1;
                // What waited to be sent is gone with the process.
                let received = &self.received;
                self.finals.retain(|key, packets| received.get(key).is_some_and(|(sum, _)| sum >= packets));
                let crashed_before_ms = u64::from(self.second) * 1_000 + 1;
                self.start_again(store, Memory { crashed_before_ms, ..self.saved.clone() });
            }
        }
    }

    fn start_again(&mut self, store: &mut Store, memory: Memory) {
        self.add_up(store);
        *store = Store::new(self.limits.unwrap_or_else(limits), memory, 0);
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

/// Octets that go with a packet, both directions together.
const OCTETS: u64 = 107;

proptest! {
    #[test]
    fn the_deltas_that_were_sent_add_up(
        happenings in prop::collection::vec(events(), 1..200),
        connections in prop_oneof![Just(100_usize), 1..6_usize],
        ended in prop_oneof![Just(100_usize), 1..4_usize],
    ) {
        let limits = Limits { connections, ended, ..limits() };
        let mut world = World { second: 1_000, limits: Some(limits), ..World::default() };
        let mut store = Store::new(limits, Memory::default(), 0);
        for event in happenings {
            world.apply(&mut store, event);
        }
        // At last everything is polled, ends, and is exported.
        world.apply(&mut store, Event::Dump(None));
        for number in 0..6 {
            world.apply(&mut store, Event::Destroy(number, true));
        }
        world.apply(&mut store, Event::Wait(100));
        world.apply(&mut store, Event::Dump(None));
        world.drain(&mut store);
        prop_assert_eq!((store.len(), store.tally().restarted), (0, 0));
        world.add_up(&store);

        // More than the total came only after a crash, and no more than was said.
        let twice: u64 = world.received.values().map(|(sum, total)| sum.saturating_sub(*total)).sum();
        prop_assert!(twice * OCTETS <= world.repeated_octets, "{} packets too many", twice);
        // Less came only of what was lost, and that is counted. (What a flow did while it was refused, and then not
        // heard of its end, nobody saw.)
        let missing: u64 = world
            .finals
            .iter()
            .map(|(key, packets)| packets.saturating_sub(world.received.get(key).map_or(0, |(sum, _)| *sum)))
            .sum();
        prop_assert!(missing * OCTETS <= world.lost_octets, "{} packets missing", missing);
        if world.lost_octets == 0 && world.crashes == 0 {
            for (key, (sum, total)) in &world.received {
                prop_assert_eq!(sum, total, "flow {:x}", key);
            }
        }
        if connections == 100 {
            prop_assert_eq!(world.refused, 0);
        }
    }
}
