//! A busy Node: a thousand short connections each second, every one reported as ended exactly once, to the octet,
//! with the collector killed and the agents restarted in between.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use podflow_e2e::running::{Running, Settings};
use podflow_testbed::Namespace;
use podflow_testbed::counts::{self, Both, Count, Ended, Entry, Tuple, Watch};
use podflow_testbed::traffic::{Sent, mix, short_connections};
use serde_json::{Value, json};

#[test]
fn a_thousand_connections_a_second_are_each_reported_once() {
    let mut running = Running::start(&settings()).unwrap();
    // Beside everything else that Pods do: Services, names, long connections, clients and servers outside.
    mix(&mut running.bed).unwrap();
    check(&mut running, 4, 60, |_, _| {});
    running.stop().unwrap();
}

#[test]
fn nothing_is_lost_or_repeated_when_the_collector_is_killed_ten_times() {
    let collector = Some(env!("CARGO_BIN_EXE_collector").into());
    let mut running = Running::start(&Settings { collector, ..settings() }).unwrap();
    let kills = Cell::new(0);
    check(&mut running, 11, 11, |running, round| {
        if round > 0 {
            // The agents send whatever has ended at each of their polls: at any moment of one it may be too late.
            let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
            #[expect(
                clippy::disallowed_methods,
                reason = "no runtime's thread, and nothing to wait for: any moment will do"
            )]
            std::thread::sleep(Duration::from_millis(u64::from(nanos / 1000 % 1200)));
            running.kill_collector().unwrap();
            kills.set(kills.get() + 1);
        }
    });
    assert_eq!(kills.get(), 10);
    running.stop().unwrap();
}

#[test]
fn nothing_is_lost_or_repeated_when_the_agents_are_restarted() {
    let mut running = Running::start(&settings()).unwrap();
    check(&mut running, 4, 8, |running, round| {
        if round > 0 {
            running.stop_agents().unwrap();
            running.start_agents().unwrap();
        }
    });
    running.stop().unwrap();
}

fn settings() -> Settings {
    Settings { export_frequency: 5, ..Settings::default() }
}

/// Rounds of traffic with `between` before each, `seconds` in all, then the accounts.
fn check(running: &mut Running, rounds: usize, seconds: usize, mut between: impl FnMut(&mut Running, usize)) {
    for node in running.bed.nodes() {
        node.shorten_timeouts().unwrap();
    }
    let ended: Vec<_> = running.bed.nodes().iter().map(|node| Ended::listen(node).unwrap()).collect();
    let pairs: Vec<_> = routes(running).iter().map(|(_, client, server)| (*client, *server)).collect();
    let watch = Watch::start(running.bed.node(0), &pairs).unwrap();
    let mut sent = Vec::new();
    for round in 0..rounds {
        between(running, round);
        sent.extend(make(running, seconds * PER_SECOND / rounds));
    }
    // The agents' own polls let the kernel see that time is over.
    running.until("the kernel forgot every connection", || forgotten(running, &sent)).unwrap();
    let ended: Vec<_> = ended.into_iter().map(|ended| by_tuple(ended.finish().unwrap())).collect();
    let (mut all, tuples): (_, BTreeSet<_>) = (0, sent.iter().map(tuple).collect());
    let mut by_pair: HashMap<_, Both> = HashMap::new();
    for tuple in &tuples {
        let here = ended[0][tuple];
        let sum = by_pair.entry((tuple.source.ip(), tuple.destination)).or_default();
        add(&mut sum.forward, here.forward);
        add(&mut sum.reverse, here.reverse);
        assert_eq!(ended[1][tuple], here, "the other Node's table");
        all += here.connections;
    }
    assert_eq!(all, sent.len(), "connections that the kernel forgot");
    assert_eq!(watch.read().unwrap(), by_pair, "nftables and conntrack");
    for node in running.bed.nodes() {
        assert_eq!(
            running.agent_metric(node, "podflow_agent_event_overruns_total").unwrap(),
            0,
            "{}",
            node.name
        );
    }
    // Counting is cheap, reading them all is not.
    let over = json!({"query": {"bool": {"must_not": [{"term": {"ipfix.flowEndReason": ACTIVE}}]}}});
    running
        .until("every connection is over", || {
            let ended = running.ask("flow-*/_count", &over)?["count"].as_u64().context("no count")?;
            ensure!(usize::try_from(ended)? >= sent.len(), "{ended} of {} are over", sent.len());
            Ok(())
        })
        .unwrap();
    running.until("every connection is reported", || reported(running, &tuples, &ended[0])).unwrap();
}

/// What was counted of all connections of one tuple: after a minute ports are used again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Sum {
    reply: Tuple,
    forward: Count,
    reverse: Count,
    connections: usize,
}

/// From two Pods of the first Node to two of the second, that the mixed traffic does not ask: four triples of source,
/// destination and port.
fn make(running: &Running, count: usize) -> Vec<Sent> {
    let routes: Vec<_> = routes(running).into_iter().map(|(space, _, server)| (space, server)).collect();
    short_connections(&routes, count, u32::try_from(PER_SECOND).unwrap(), 200).unwrap()
}

fn routes(running: &Running) -> Vec<(&Namespace, IpAddr, SocketAddr)> {
    let bed = &running.bed;
    let from = |client: usize| [0, 2].map(|server| (bed.pod(0, client), bed.pod(1, server).address()));
    (0..2).flat_map(from).map(|(client, server)| (&client.space, client.ips[0], server)).collect()
}

fn forgotten(running: &Running, sent: &[Sent]) -> Result<()> {
    for node in running.bed.nodes() {
        let known = by_tuple(counts::conntrack(node)?);
        let left = sent.iter().filter(|flow| known.contains_key(&tuple(flow))).count();
        ensure!(left == 0, "{left} connections are still known to {}", node.name);
    }
    Ok(())
}

/// What the documents say of each tuple, against what the kernel said last.
fn reported(running: &Running, tuples: &BTreeSet<Tuple>, ended: &HashMap<Tuple, Sum>) -> Result<()> {
    let mut flows: HashMap<Tuple, (Count, Count, usize)> = HashMap::new();
    let documents = running.documents()?;
    for document in &documents {
        let (forward, reverse, ends) = flows.entry(key(document).context("no addresses")?).or_default();
        add(forward, count_of(document, "packetDeltaCount", "octetDeltaCount"));
        add(reverse, count_of(document, "reversePacketDeltaCount", "reverseOctetDeltaCount"));
        *ends += usize::from(document["flowEndReason"] != ACTIVE);
    }
    let mut wrong = Vec::new();
    for tuple in tuples {
        let (sum, found) = (&ended[tuple], flows.get(tuple));
        if found != Some(&(sum.forward, sum.reverse, sum.connections)) {
            let own: Vec<_> = documents.iter().filter(|document| key(document) == Some(*tuple)).collect();
            wrong.push(format!("{found:?} of {tuple:?} {sum:?}: {own:?}"));
        }
    }
    ensure!(wrong.is_empty(), "{} of {} tuples are wrong, such as {}", wrong.len(), tuples.len(), wrong[0]);
    Ok(())
}

fn key(document: &Value) -> Option<Tuple> {
    let end = |address: &str, port: &str| {
        let port = u16::try_from(document[port].as_u64()?).ok()?;
        Some(SocketAddr::new(document[address].as_str()?.parse().ok()?, port))
    };
    let source = end("sourceIPv4Address", "sourceTransportPort")?;
    let destination = end("destinationIPv4Address", "destinationTransportPort")?;
    Some(Tuple {
        protocol: u8::try_from(document["protocolIdentifier"].as_u64()?).ok()?,
        source,
        destination,
    })
}

fn count_of(document: &Value, packets: &str, octets: &str) -> Count {
    let number = |field: &str| document[field].as_u64().unwrap_or_default();
    Count { packets: number(packets), octets: number(octets) }
}

fn add(sum: &mut Count, more: Count) {
    sum.packets += more.packets;
    sum.octets += more.octets;
}

fn by_tuple(entries: Vec<Entry>) -> HashMap<Tuple, Sum> {
    let mut sums = HashMap::new();
    for entry in entries {
        let nothing =
            Sum { reply: entry.reply, forward: Count::default(), reverse: Count::default(), connections: 0 };
        let sum: &mut Sum = sums.entry(entry.original).or_insert(nothing);
        add(&mut sum.forward, entry.original_count);
        add(&mut sum.reverse, entry.reply_count);
        sum.connections += 1;
    }
    sums
}

fn tuple(sent: &Sent) -> Tuple {
    Tuple { protocol: sent.protocol.number(), source: sent.source, destination: sent.dialled }
}

const PER_SECOND: usize = 1000;

/// flowEndReason of a flow that goes on.
const ACTIVE: u64 = 2;
