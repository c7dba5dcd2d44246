//! The store, step by step.

mod property;

mod twins;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;
use crate::conntrack::entry::{ProtocolState, Status};
use crate::conntrack::{Entry, Layer4, Tuple, Zones};
use podflow_flow::FlowEndReason;

const SECOND_NS: u64 = 1_000_000_000;

/// An entry of connection `number`, born at second `born`.
pub(crate) fn entry(number: u8, born: u64, packets: u64, state: u8) -> Entry {
    let tuple = |source: [u8; 4], destination: [u8; 4], from, to| Tuple {
        source: IpAddr::V4(Ipv4Addr::from(source)),
        destination: IpAddr::V4(Ipv4Addr::from(destination)),
        protocol: 6,
        layer4: Layer4::Ports { source: from, destination: to },
    };
    let port = 1_000 + u16::from(number);
    Entry {
        zones: Zones::default(),
        original: tuple([10, 0, 0, 1], [10, 0, 0, 2], port, 80),
        reply: tuple([10, 0, 0, 2], [10, 0, 0, 1], 80, port),
        id: u32::from(number),
        status: Status::default(),
        counters: Some(Counters {
            packets,
            octets: packets * 100,
            reverse_packets: packets / 2,
            reverse_octets: packets * 7,
        }),
        start_ns: Some(born * SECOND_NS),
        stop_ns: None,
        timeout_seconds: Some(10),
        state: ProtocolState::Tcp(state),
    }
}

const ESTABLISHED: u8 = 3;
const TIME_WAIT: u8 = 7;

pub(crate) fn at(second: u32) -> Now {
    Now { wall_ms: u64::from(second) * 1_000, steady_s: second + 1 }
}

pub(crate) fn limits() -> Limits {
    Limits {
        connections: 100,
        ended: 100,
        schedule: Schedule::new(Duration::from_secs(10), Duration::from_secs(1), None),
        uncounted: false,
    }
}

fn store() -> Store {
    Store::new(limits(), Memory::default(), 0)
}

fn dump(store: &mut Store, entries: &[Entry], second: u32) {
    store.begin_dump();
    for entry in entries {
        store.seen(entry, at(second));
    }
    store.finish_dump(true, at(second));
}

fn take(store: &mut Store, second: u32) -> Vec<Report> {
    let mut reports = Vec::new();
    store.take(at(second), usize::MAX, &mut reports);
    reports
}

#[test]
fn the_first_delta_is_everything_since_the_flow_began() {
    let mut store = store();
    dump(&mut store, &[entry(1, 100, 50, ESTABLISHED)], 101);
    store.look(at(101));
    assert!(take(&mut store, 101).is_empty(), "its moment has not come");
    store.look(at(111));
    let reports = take(&mut store, 111);
    assert_eq!(reports.len(), 1);
    assert_eq!((reports[0].delta.packets, reports[0].end), (50, FlowEndReason::ActiveTimeout));
    store.look(at(125));
    assert!(take(&mut store, 125).is_empty(), "nothing changed, nothing to say");
    dump(&mut store, &[entry(1, 100, 70, ESTABLISHED)], 126);
    store.look(at(140));
    assert_eq!(take(&mut store, 140)[0].delta.packets, 20);
}

#[test]
fn a_flow_older_than_the_memory_begins_with_what_it_adds() {
    let mut store = Store::new(limits(), Memory { since_ms: 100_000, ..Memory::default() }, 0);
    dump(&mut store, &[entry(1, 99, 50, ESTABLISHED), entry(2, 100, 50, ESTABLISHED)], 101);
    dump(&mut store, &[entry(1, 99, 60, ESTABLISHED), entry(2, 100, 60, ESTABLISHED)], 102);
    store.look_at_all();
    let mut deltas: Vec<_> =
        take(&mut store, 102).iter().map(|report| (report.connection.key.id, report.delta.packets)).collect();
    deltas.sort_unstable();
    assert_eq!(deltas, [(1, 10), (2, 60)]);
}

#[test]
fn what_an_earlier_run_reported_is_not_reported_again() {
    let mut first = store();
    dump(&mut first, &[entry(1, 100, 50, ESTABLISHED)], 101);
    first.look_at_all();
    assert_eq!(take(&mut first, 101)[0].delta.packets, 50);
    let mut second = Store::new(limits(), first.memory(), 0);
    dump(&mut second, &[entry(1, 100, 80, ESTABLISHED)], 110);
    second.look_at_all();
    assert_eq!(take(&mut second, 110)[0].delta.packets, 30);
}

#[test]
fn a_flow_between_two_polls_is_known_by_its_event() {
    let mut store = store();
    store.destroyed(&entry(1, 100, 5, TIME_WAIT), 0, at(101));
    let reports = take(&mut store, 101);
    assert_eq!((reports[0].delta.packets, reports[0].end), (5, FlowEndReason::EndOfFlow));
    assert_eq!((store.len(), store.tally().born_and_dead), (0, 1));
}

#[test]
fn an_event_is_not_undone_by_an_echo_in_the_running_dump() {
    let mut store = store();
    store.begin_dump();
    store.destroyed(&entry(1, 100, 5, TIME_WAIT), 0, at(101));
    store.seen(&entry(1, 100, 4, TIME_WAIT), at(101));
    store.finish_dump(true, at(101));
    assert_eq!(take(&mut store, 101).len(), 1);
    assert_eq!(store.len(), 0);
}

#[test]
fn a_closed_connection_is_reported_once_and_corrected_once() {
    let mut store = store();
    dump(&mut store, &[entry(1, 100, 50, TIME_WAIT)], 101);
    assert!(take(&mut store, 101).is_empty(), "it may still move");
    dump(&mut store, &[entry(1, 100, 50, TIME_WAIT)], 102);
    let reports = take(&mut store, 102);
    assert_eq!((reports.len(), reports[0].end), (1, FlowEndReason::EndOfFlow));
    dump(&mut store, &[entry(1, 100, 50, TIME_WAIT)], 103);
    assert!(take(&mut store, 103).is_empty());
    // The entry goes without anything new: no second record.
    let mut quiet = store;
    quiet.destroyed(&entry(1, 100, 50, TIME_WAIT), 0, at(130));
    assert!(take(&mut quiet, 130).is_empty());
    assert_eq!(quiet.len(), 0);
}

#[test]
fn a_straggler_of_a_closed_connection_comes_as_one_correction() {
    let mut store = store();
    dump(&mut store, &[entry(1, 100, 50, TIME_WAIT)], 101);
    dump(&mut store, &[entry(1, 100, 50, TIME_WAIT)], 102);
    assert_eq!(take(&mut store, 102).len(), 1);
    store.destroyed(&entry(1, 100, 52, TIME_WAIT), 0, at(130));
    let reports = take(&mut store, 130);
    assert_eq!((reports.len(), reports[0].delta.packets), (1, 2));
}

#[test]
fn only_a_complete_dump_ends_flows_and_a_missing_one_is_waited_for() {
    let mut store = store();
    dump(&mut store, &[entry(1, 100, 50, ESTABLISHED)], 101);
    store.begin_dump();
    store.finish_dump(false, at(102));
    dump(&mut store, &[], 103);
    dump(&mut store, &[], 104);
    assert!(take(&mut store, 104).is_empty(), "its event is awaited");
    store.destroyed(&entry(1, 100, 60, ESTABLISHED), 0, at(150));
    let reports = take(&mut store, 150);
    assert_eq!((reports[0].delta.packets, reports[0].end), (60, FlowEndReason::IdleTimeout));
    assert_eq!(store.tally().ended_unheard, 0);
}

#[test]
fn a_missing_flow_ends_without_its_event_after_a_while_or_after_an_overrun() {
    for overrun in [false, true] {
        let mut store = store();
        dump(&mut store, &[entry(1, 100, 50, ESTABLISHED)], 101);
        if overrun {
            store.events_lost();
        }
        dump(&mut store, &[], 102);
        assert_eq!(take(&mut store, 102).len(), usize::from(overrun));
        dump(&mut store, &[], 180);
        assert_eq!(take(&mut store, 180).len(), usize::from(!overrun));
        assert_eq!(store.tally().ended_unheard, 1);
    }
}

#[test]
fn the_dump_after_an_overrun_tells_what_ended_not_the_one_that_ran_meanwhile() {
    let (one, other) = (entry(1, 100, 50, ESTABLISHED), entry(2, 100, 50, ESTABLISHED));
    let mut store = store();
    dump(&mut store, &[one, other], 101);
    // The first is gone before this dump comes to it, the second after; the overrun is noticed at the dump's end.
    store.begin_dump();
    store.seen(&other, at(102));
    store.events_lost();
    store.finish_dump(true, at(102));
    // The first one's event was in the socket all the same.
    store.destroyed(&entry(1, 100, 60, ESTABLISHED), 0, at(102));
    assert_eq!(take(&mut store, 102).iter().map(|report| report.delta.packets).sum::<u64>(), 60);
    // A dump that breaks off answers nothing.
    store.begin_dump();
    store.finish_dump(false, at(103));
    assert!(take(&mut store, 103).is_empty());
    dump(&mut store, &[], 104);
    assert_eq!(take(&mut store, 104).iter().map(|report| report.delta.packets).sum::<u64>(), 50);
    assert_eq!((store.len(), store.tally().ended_unheard, store.tally().born_and_dead), (0, 1, 0));
    // From here on ends are waited for again.
    dump(&mut store, &[entry(3, 104, 1, ESTABLISHED)], 105);
    dump(&mut store, &[], 106);
    assert!(take(&mut store, 106).is_empty());
}

#[test]
fn an_entry_that_comes_back_goes_on() {
    let mut store = store();
    dump(&mut store, &[entry(1, 100, 50, ESTABLISHED)], 101);
    dump(&mut store, &[], 102);
    dump(&mut store, &[entry(1, 100, 55, ESTABLISHED)], 103);
    dump(&mut store, &[], 170);
    assert!(take(&mut store, 170).is_empty(), "the wait begins anew");
    assert_eq!(store.len(), 1);
}

#[test]
fn counters_that_go_back_begin_a_new_flow() {
    let mut store = store();
    dump(&mut store, &[entry(1, 100, 50, ESTABLISHED)], 101);
    dump(&mut store, &[entry(1, 100, 3, ESTABLISHED)], 102);
    store.look_at_all();
    let reports = take(&mut store, 102);
    let deltas: Vec<_> = reports.iter().map(|report| report.delta.packets).collect();
    assert_eq!(deltas, [50, 3]);
    assert_eq!(store.tally().restarted, 1);
}

#[test]
fn without_timestamps_a_tcp_that_opens_again_is_a_new_flow() {
    let unstamped = |packets, state| Entry { start_ns: None, ..entry(1, 0, packets, state) };
    let mut store = store();
    dump(&mut store, &[], 100);
    dump(&mut store, &[unstamped(50, TIME_WAIT)], 101);
    dump(&mut store, &[unstamped(60, ESTABLISHED)], 102);
    store.look_at_all();
    let reports = take(&mut store, 102);
    assert_eq!(reports.len(), 2);
    assert_ne!(reports[0].connection.flow_id, reports[1].connection.flow_id);
}

#[test]
fn somebody_who_deletes_an_entry_is_the_reason() {
    let mut store = store();
    store.destroyed(&entry(1, 100, 5, ESTABLISHED), 4711, at(101));
    assert_eq!(take(&mut store, 101)[0].end, FlowEndReason::ForcedEnd);
}

#[test]
fn entries_without_counters_are_held_and_counted_but_not_reported() {
    let mut store = store();
    let bare = Entry { counters: None, ..entry(1, 100, 0, ESTABLISHED) };
    dump(&mut store, &[bare], 101);
    store.look_at_all();
    store.destroyed(&bare, 0, at(102));
    assert!(take(&mut store, 102).is_empty());
    assert_eq!((store.len(), store.tally().uncounted), (0, 1));
}

#[test]
fn at_the_cap_new_ones_are_refused_and_their_event_tells_of_them() {
    let mut store = Store::new(Limits { connections: 1, ..limits() }, Memory::default(), 0);
    dump(&mut store, &[entry(1, 100, 1, ESTABLISHED), entry(2, 100, 1, ESTABLISHED)], 101);
    assert_eq!((store.len(), store.tally().refused), (1, 1));
    store.destroyed(&entry(2, 100, 9, ESTABLISHED), 0, at(102));
    assert_eq!(take(&mut store, 102)[0].delta.packets, 9);
}

#[test]
fn when_too_many_ended_flows_wait_the_loss_is_counted() {
    let mut store = Store::new(Limits { ended: 1, ..limits() }, Memory::default(), 0);
    store.destroyed(&entry(1, 100, 4, TIME_WAIT), 0, at(101));
    store.destroyed(&entry(2, 100, 10, TIME_WAIT), 0, at(101));
    let tally = store.tally();
    assert_eq!((tally.lost_flows, tally.lost_packets, tally.lost_octets), (1, 15, 1_070));
    assert_eq!(take(&mut store, 101).len(), 1);
    assert_eq!(store.len(), 0);
}

#[test]
fn a_connection_costs_at_most_three_hundred_octets() {
    // A slot, its place in the index (4 octets and a control octet, at the emptiest 7/16 full), and a free list.
    let slot = size_of::<Option<Connection>>();
    assert!(slot + 5 * 16 / 7 + 4 <= 300, "{slot} octets a slot");
}

#[test]
fn a_table_that_never_counts_tells_of_use_by_its_timeouts() {
    let bare = |timeout| Entry {
        counters: None,
        start_ns: None,
        timeout_seconds: Some(timeout),
        ..entry(1, 0, 0, ESTABLISHED)
    };
    let mut store = Store::new(Limits { uncounted: true, ..limits() }, Memory::default(), u64::MAX);
    dump(&mut store, &[bare(60)], 101);
    store.look(at(111));
    assert_eq!(take(&mut store, 111).len(), 1, "its first record");
    dump(&mut store, &[bare(49)], 112);
    store.look(at(122));
    assert!(take(&mut store, 122).is_empty(), "nobody used it");
    dump(&mut store, &[bare(60)], 123);
    store.look(at(133));
    assert_eq!(take(&mut store, 133).len(), 1, "its time began anew");
    dump(&mut store, &[], 134);
    let reports = take(&mut store, 134);
    assert_eq!((reports.len(), reports[0].end), (1, FlowEndReason::IdleTimeout));
    assert_eq!((store.len(), store.tally().ended_unheard), (0, 0));
}

#[test]
fn a_clock_that_steps_costs_no_delta_and_ends_nothing_before_its_start() {
    let stepped = |wall: u32, steady: u32| Now { wall_ms: u64::from(wall) * 1_000, steady_s: steady };
    let poll = |store: &mut Store, packets, now| {
        store.begin_dump();
        store.seen(&entry(1, 10_000, packets, ESTABLISHED), now);
        store.finish_dump(true, now);
        store.look(now);
        let mut reports = Vec::new();
        store.take(now, usize::MAX, &mut reports);
        reports
    };
    let mut store = store();
    let mut reports = poll(&mut store, 5, stepped(10_001, 1));
    // An hour back, then a day forward, while the steady clock goes on.
    for (packets, wall, steady) in [(7, 6_400, 2), (9, 6_410, 12), (11, 92_800, 13), (13, 92_811, 24)] {
        let more = poll(&mut store, packets, stepped(wall, steady));
        assert!(more.iter().all(|report| report.end == FlowEndReason::ActiveTimeout), "a step ends nothing");
        reports.extend(more);
    }
    store.destroyed(&entry(1, 10_000, 15, ESTABLISHED), 0, stepped(5, 25));
    reports.extend(take(&mut store, 92_812));
    assert_eq!(reports.iter().map(|report| report.delta.packets).sum::<u64>(), 15);
    assert!(reports.len() >= 3, "each step is followed by a record within an interval");
    assert!(reports.iter().all(|report| report.end_ms() >= report.connection.start_ms));
    assert_eq!(store.len(), 0);
}

#[test]
fn what_stays_in_the_table_is_not_lost_when_too_many_wait() {
    let mut store = Store::new(Limits { ended: 1, ..limits() }, Memory::default(), 0);
    let closed = [entry(1, 100, 4, TIME_WAIT), entry(2, 100, 10, TIME_WAIT)];
    dump(&mut store, &closed, 101);
    dump(&mut store, &closed, 102);
    assert_eq!((take(&mut store, 102).len(), store.tally().lost_flows), (1, 0));
    dump(&mut store, &closed, 103);
    assert_eq!((take(&mut store, 103).len(), store.tally().lost_flows), (1, 0));
    assert_eq!(store.waiting(), 0);
}

#[test]
fn what_a_crash_may_repeat_or_miss_is_counted() {
    let reported =
        |packets: u64, ended| Reported { totals: entry(1, 0, packets, 3).counters.unwrap(), ended };
    let hash = |number| key::ConnectionKey::of(&entry(number, 100, 0, ESTABLISHED)).hash();
    let memory = Memory {
        since_ms: 0,
        reported: [
            (hash(1), reported(50, false)),
            (hash(2), reported(50, false)),
            (hash(3), reported(9, true)),
        ]
        .into(),
        crashed_before_ms: 110_000,
    };
    let mut store = Store::new(limits(), memory, 0);
    // The first went on, the second is gone, the fourth began after what was written down, the fifth after the crash.
    dump(
        &mut store,
        &[entry(1, 100, 70, ESTABLISHED), entry(4, 105, 6, ESTABLISHED), entry(5, 111, 6, ESTABLISHED)],
        112,
    );
    dump(
        &mut store,
        &[entry(1, 100, 70, ESTABLISHED), entry(4, 105, 6, ESTABLISHED), entry(5, 111, 6, ESTABLISHED)],
        200,
    );
    let tally = store.tally();
    assert_eq!((tally.repeated_flows, tally.repeated_octets, tally.missed_flows), (2, 26 * 107, 1));
}
