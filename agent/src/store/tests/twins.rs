//! One connection in several zones.

use super::*;

/// The entries that a connection to a Service leaves: Antrea's zone before and after, the Node's own between them.
/// The Node translates the Service 10.0.0.9 to 10.0.0.2 and the client 10.0.0.1 to the gateway 10.0.0.254.
pub(super) fn three_zones(number: u8, born: u64, packets: u64) -> [Entry; 3] {
    let address = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
    let cni = Zones { original: 65_520, reply: 65_520 };
    let mut node = entry(number, born, packets, ESTABLISHED);
    (node.original.destination, node.reply.destination) = (address(9), address(254));
    let mut before = Entry { zones: cni, ..node };
    (before.reply.source, before.reply.destination) = (address(9), address(1));
    let mut after = Entry { zones: cni, ..node };
    (after.original.source, after.original.destination) = (address(254), address(2));
    [before, node, after]
}

/// Zone, packets, client, dialled, endpoint, and whether it is left out.
fn shown(report: &Report) -> (u16, u64, String, String, String, bool) {
    let key = &report.connection.key;
    let at = |address: IpAddr, port: u16| format!("{address}:{port}");
    (
        key.zones.original,
        report.delta.packets,
        at(key.original.source, key.original.source_port()),
        at(key.original.destination, key.original.destination_port()),
        at(key.endpoint.address, key.endpoint.port),
        report.is_twin,
    )
}

#[test]
fn counters_come_from_the_cnis_zone_and_names_from_the_nodes_translation() {
    let [before, node, after] = three_zones(1, 100, 5);
    let counted = Entry { counters: Some(Counters { packets: 7, ..Counters::default() }), ..after };
    let (client, service) = ("10.0.0.1:1001".to_owned(), "10.0.0.9:80".to_owned());
    let whole = (65_520, 7, client, service, "10.0.0.2:80".to_owned(), false);
    // In whatever order they come.
    for order in [[before, counted, node], [node, before, counted], [counted, node, before]] {
        let mut polled = store();
        dump(&mut polled, &order, 101);
        polled.look_at_all();
        assert_eq!(
            take(&mut polled, 101).iter().map(shown).collect::<Vec<_>>(),
            std::slice::from_ref(&whole)
        );

        // Known by their events alone, where others have shown that there are zones.
        let other = Entry { zones: before.zones, ..entry(2, 100, 0, ESTABLISHED) };
        let mut heard = store();
        dump(&mut heard, &[other], 101);
        order.iter().for_each(|gone| heard.destroyed(gone, 0, at(101)));
        assert!(take(&mut heard, 101).is_empty(), "the next dump may show a twin");
        dump(&mut heard, &[other], 102);
        let reports = take(&mut heard, 102);
        assert_eq!(reports.len(), 3);
        let ours: Vec<_> = reports.iter().map(shown).filter(|(.., is_twin)| !is_twin).collect();
        assert_eq!(ours, std::slice::from_ref(&whole));
        assert_eq!((heard.len(), heard.waiting()), (1, 0));
    }
}

#[test]
fn a_twin_stays_one_when_its_flow_is_gone_and_a_flow_keeps_its_service() {
    let [before, node, after] = three_zones(1, 100, 5);
    for first in 0..3 {
        let all = [before, after, node];
        let mut store = store();
        dump(&mut store, &all, 101);
        dump(&mut store, &all, 102);
        store.destroyed(&all[first], 0, at(102));
        let mut reports = take(&mut store, 102);
        store.look_at_all();
        reports.extend(take(&mut store, 103));
        for gone in (0..3).filter(|number| *number != first) {
            store.destroyed(&all[gone], 0, at(104));
        }
        reports.extend(take(&mut store, 104));
        let ours: Vec<_> = reports.iter().filter(|report| !report.is_twin).collect();
        assert_eq!(ours.iter().map(|report| report.delta.packets).sum::<u64>(), 5, "{first} went first");
        assert!(ours.iter().all(|report| shown(report).3 == "10.0.0.9:80"), "{first} went first");
        assert_eq!(store.len(), 0);
    }
}

#[test]
fn nothing_is_told_of_an_entry_whose_counterparts_may_not_have_shown_themselves() {
    let [before, node, after] = three_zones(1, 100, 5);
    let other = Entry { zones: before.zones, ..entry(2, 100, 0, ESTABLISHED) };
    for ends in [false, true] {
        let mut store = store();
        dump(&mut store, &[other], 101);
        // Born while a poll reads zone after zone: the Node's own was read last.
        dump(&mut store, &[other, node], 102);
        store.look(at(115));
        assert!(take(&mut store, 115).is_empty(), "it may be a twin");
        if ends {
            [node, before].iter().for_each(|gone| store.destroyed(gone, 0, at(115)));
            dump(&mut store, &[other, after], 116);
            store.destroyed(&after, 0, at(116));
        } else {
            dump(&mut store, &[other, before, node, after], 116);
        }
        dump(&mut store, &[other], 117);
        store.look_at_all();
        let reports = take(&mut store, 117);
        let ours: Vec<_> = reports.iter().filter(|report| !report.is_twin).map(shown).collect();
        assert_eq!(ours.len(), 1, "{ours:?}");
        assert_eq!((ours[0].0, ours[0].1, ours[0].3.as_str()), (65_520, 5, "10.0.0.9:80"));
    }
}

#[test]
fn entries_of_an_earlier_connection_of_the_same_ports_are_none_of_its_own() {
    let (old, new) = (three_zones(1, 100, 5), three_zones(1, 101, 7));
    let other = Entry { zones: old[0].zones, ..entry(2, 100, 0, ESTABLISHED) };
    // The old one's entries wait to be reported while the new ones come, in whatever order.
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut store = store();
        dump(&mut store, &[other], 100);
        order.iter().for_each(|place| store.destroyed(&old[*place], 0, at(101)));
        let live: Vec<_> = order.iter().map(|place| new[*place]).chain([other]).collect();
        dump(&mut store, &live, 102);
        dump(&mut store, &live, 103);
        store.look_at_all();
        let reports = take(&mut store, 103);
        let ours = reports.iter().filter(|report| !report.is_twin).map(shown);
        let mut told: Vec<_> = ours.map(|one| (one.0, one.1, one.3)).collect();
        told.sort();
        let service = || "10.0.0.9:80".to_owned();
        assert_eq!(told, [(65_520, 5, service()), (65_520, 7, service())]);
    }
}

#[test]
fn a_twin_that_outlives_its_flow_over_a_restart_has_nothing_to_say() {
    let all = three_zones(1, 100, 5);
    let [before, node, after] = all;
    let mut first = store();
    dump(&mut first, &all, 101);
    dump(&mut first, &all, 102);
    first.destroyed(&after, 0, at(102));
    let told = take(&mut first, 102);
    assert_eq!(told.iter().map(|report| report.delta.packets).sum::<u64>(), 5);
    dump(&mut first, &[before, node], 103);

    let mut second = Store::new(limits(), first.memory(), 0);
    dump(&mut second, &[before, node], 104);
    dump(&mut second, &[before, node], 105);
    second.look_at_all();
    [before, node].iter().for_each(|gone| second.destroyed(gone, 0, at(106)));
    dump(&mut second, &[], 107);
    second.look_at_all();
    assert!(take(&mut second, 107).iter().all(|report| report.is_twin));
    assert_eq!((second.len(), second.tally().missed_flows), (0, 0));
}

#[test]
fn without_a_later_entry_the_earlier_one_has_the_endpoint() {
    let [before, node, _] = three_zones(1, 100, 5);
    let mut store = store();
    dump(&mut store, &[before, node], 101);
    store.look_at_all();
    let reports = take(&mut store, 101);
    assert_eq!(reports.len(), 1);
    let (zone, _, client, dialled, endpoint, _) = shown(&reports[0]);
    assert_eq!((zone, client.as_str(), dialled.as_str()), (65_520, "10.0.0.1:1001", "10.0.0.9:80"));
    assert_eq!(endpoint, "10.0.0.2:80");
}

#[test]
fn of_two_zones_of_a_cni_the_one_that_knows_what_was_dialled_is_the_flow() {
    let mut first = entry(1, 100, 5, ESTABLISHED);
    first.zones = Zones { original: 3, reply: 3 };
    first.original.destination = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
    let second = Entry { zones: Zones { original: 4, reply: 4 }, ..entry(1, 100, 5, ESTABLISHED) };
    for order in [[first, second], [second, first]] {
        let mut store = store();
        dump(&mut store, &order, 101);
        store.look_at_all();
        let reports = take(&mut store, 101);
        assert_eq!((reports.len(), shown(&reports[0]).0), (1, 3));
    }
}

#[test]
fn the_same_tuple_in_both_directions_zones_or_in_one_zone_is_no_twin() {
    let per_direction = Entry { zones: Zones { original: 7, reply: 0 }, ..entry(1, 100, 5, ESTABLISHED) };
    let mut store = store();
    // It comes with the dump of each of its zones.
    dump(&mut store, &[per_direction, per_direction, entry(2, 100, 5, ESTABLISHED)], 101);
    store.look_at_all();
    assert_eq!(take(&mut store, 101).len(), 2);
}
