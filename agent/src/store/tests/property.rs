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
                *store = Store::new(limits(), store.memory(), 0);
            }
        }
    }

    /// Everything that is not reported yet.
    fn drain(&mut self, store: &mut Store) {
        store.look_at_all();
        for report in take(store, self.second) {
            self.receive(&report);
        }
    }
}

proptest! {
    #[test]
    fn the_deltas_that_were_sent_add_up(happenings in prop::collection::vec(events(), 1..200)) {
        let mut world = World { second: 1_000, ..World::default() };
        let mut store = store();
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
        prop_assert_eq!(store.len(), 0);
        for (key, (sum, total)) in &world.received {
            prop_assert_eq!(sum, total, "flow {:x}", key);
        }
        for (key, packets) in &world.finals {
            let sum = world.received.get(key).map(|(sum, _)| *sum);
            prop_assert_eq!(sum, Some(*packets), "flow {:x} heard of its end", key);
        }
        let tally = store.tally();
        prop_assert_eq!((tally.lost_flows, tally.refused, tally.restarted), (0, 0, 0));
    }
}
