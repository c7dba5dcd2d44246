//! What is stored is what happened: for every flow of a known transfer the documents, conntrack and nftables say the
//! same to the octet, both ends are named, and nothing is stored twice.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use podflow_e2e::running::{Running, Settings};
use podflow_testbed::counts::{self, Count, Entry, Tuple};
use podflow_testbed::traffic::{Sent, conversation, datagrams, requests, transfer};
use podflow_testbed::{Pod, Service, Shape, Testbed, bed::OUTSIDE_PORT, plan};
use serde_json::Value;

/// A flow that was made, and what its documents must say.
struct Made {
    sent: Sent,
    /// The Node that exports it.
    node: usize,
    from: Option<Pod>,
    service: Option<Service>,
}

#[test]
fn a_known_transfer_is_reported_to_the_octet_over_tcp() {
    known_transfer("tcp", 0);
}

#[test]
fn a_known_transfer_is_reported_to_the_octet_over_udp() {
    known_transfer("udp", 0);
}

#[test]
fn a_known_transfer_over_ipv6_is_reported_to_the_octet() {
    known_transfer("tcp", 1);
}

/// `family` is the place of the addresses in use: 0 for IPv4, 1 for IPv6.
fn known_transfer(transport: &'static str, family: usize) {
    let shape = Shape { ipv6: family == 1, ..Shape::default() };
    let running = Running::start(&Settings { shape, transport, ..Settings::default() }).unwrap();
    let made = make_traffic(&running.bed, family);
    let documents = running.until("documents and kernel agree", || agree(&running, &made)).unwrap();

    // The conversation outlived several exports, so its deltas had to be added up.
    let pieces = documents.values().map(Vec::len).max().unwrap();
    assert!(pieces >= 3, "the longest flow has {pieces} documents");
    names_are_right(&running.bed, &made, &documents);

    // Nothing was lost on the way, and nothing stored that was not counted.
    let status = running.status().unwrap();
    assert_eq!(status["duplicates"], 0, "{status}");
    assert_eq!(status["rejected"], 0, "{status}");
    running.stop().unwrap();
}

/// Flows of every shape whose sizes are known, and one that lasts over several exports.
fn make_traffic(bed: &Testbed, family: usize) -> Vec<Made> {
    // The kernel must still have every entry when it is asked, however slow the machine is.
    for node in bed.nodes() {
        for timeout in ["udp_timeout", "udp_timeout_stream", "tcp_timeout_time_wait", "tcp_timeout_close"] {
            node.space.set(&format!("net/netfilter/nf_conntrack_{timeout}"), "600").unwrap();
        }
    }
    let at = |pod: &Pod| SocketAddr::new(pod.ips[family], pod.port);
    let (here, there, names) = (bed.pod(0, 0), bed.pod(1, 1), bed.pod(1, 2));
    let service = bed.service("cart");
    let cluster_ip = SocketAddr::new(service.cluster_ips[family], service.port);
    let outside = SocketAddr::new(plan::outside()[0].addresses(true)[family], OUTSIDE_PORT);
    let from_pod = |sent, pod: &Pod, service: Option<&Service>| Made {
        sent,
        node: pod.node,
        from: Some(pod.clone()),
        service: service.cloned(),
    };
    let mut made = vec![
        from_pod(transfer(&here.space, at(there), 50_000_000).unwrap(), here, None),
        from_pod(datagrams(&here.space, at(names), 1000, 512).unwrap(), here, None),
        from_pod(transfer(&here.space, at(bed.pod(0, 1)), 70_000).unwrap(), here, None),
        from_pod(transfer(&there.space, outside, 80_000).unwrap(), there, None),
    ];
    for sent in requests(&here.space, cluster_ip, 200, 1000).unwrap() {
        made.push(from_pod(sent, here, Some(service)));
    }
    let pieces: Vec<_> = (1..=20).map(|piece| (piece * 10_000, piece * 1000)).collect();
    let lasting = conversation(&there.space, at(here), &pieces, Duration::from_millis(350)).unwrap();
    made.push(from_pod(lasting, there, None));

    let front = bed.service("frontend");
    let node_port = SocketAddr::new(bed.node(1).ips[family], front.node_port);
    for sent in requests(bed.outside_namespace(), node_port, 3, 1000).unwrap() {
        made.push(Made { sent, node: 1, from: None, service: Some(front.clone()) });
    }
    made
}

/// All documents of each flow, by the tuple that was dialled, once every flow's counters are the kernel's.
fn agree(running: &Running, made: &[Made]) -> Result<HashMap<Tuple, Vec<Value>>> {
    let mut tables = Vec::new();
    for node in running.bed.nodes() {
        tables.push((counts::conntrack(node)?, counts::nft(node)?));
    }
    let documents = running.documents()?;
    let mut found = HashMap::new();
    for flow in made {
        let (entries, counted) = &tables[flow.node];
        let dialled = tuple(&flow.sent);
        let entry = entries.iter().find(|entry| entry.original == dialled);
        let entry = entry.with_context(|| format!("conntrack has no entry {dialled:?}"))?;
        let nft = |tuple| counted.get(tuple).copied().unwrap_or_default();
        ensure!(nft(&entry.original) == entry.original_count, "nft disagrees with {entry:?}");
        ensure!(nft(&entry.reply) == entry.reply_count, "nft disagrees with the replies of {entry:?}");

        let own: Vec<_> = documents.iter().filter(|document| is_of(document, entry)).cloned().collect();
        let sums = (summed(&own, "octetDeltaCount", "packetDeltaCount"), reverse(&own));
        ensure!(
            sums == (entry.original_count, entry.reply_count),
            "the {} documents of {entry:?} add up to {sums:?}",
            own.len()
        );
        let last =
            own.iter().max_by_key(|document| number(document, "octetTotalCount")).context("no document")?;
        let totals = (
            counted_in(last, "octetTotalCount", "packetTotalCount"),
            counted_in(last, "reverseOctetTotalCount", "reversePacketTotalCount"),
        );
        ensure!(totals == sums, "the last totals of {entry:?} are {totals:?}");
        found.insert(dialled, own);
    }
    Ok(found)
}

fn names_are_right(bed: &Testbed, made: &[Made], documents: &HashMap<Tuple, Vec<Value>>) {
    let pods: HashMap<_, _> = bed
        .nodes()
        .iter()
        .flat_map(|node| &node.pods)
        .flat_map(|pod| pod.ips.iter().map(move |ip| (ip.to_string(), pod)))
        .collect();
    for flow in made {
        let own = &documents[&tuple(&flow.sent)];
        let ids: BTreeSet<_> = own.iter().map(|document| document["flowId"].to_string()).collect();
        assert_eq!(ids.len(), 1, "one flow, one id: {own:?}");
        for document in own {
            let text = |field: &str| document[field].as_str().unwrap_or_default().to_owned();
            assert_eq!(text("exporterNode"), bed.node(flow.node).name, "{document}");
            match &flow.from {
                Some(pod) => {
                    assert_eq!(text("sourcePodNamespace"), pod.namespace, "{document}");
                    assert_eq!(text("sourcePodName"), pod.name, "{document}");
                    assert_eq!(text("sourceNodeName"), bed.node(pod.node).name, "{document}");
                }
                None => assert_eq!(text("sourcePodName"), "", "{document}"),
            }
            match pods.get(&text("destinationIP")) {
                Some(pod) => {
                    assert_eq!(text("destinationPodNamespace"), pod.namespace, "{document}");
                    assert_eq!(text("destinationPodName"), pod.name, "{document}");
                    assert_eq!(text("destinationNodeName"), bed.node(pod.node).name, "{document}");
                }
                None => assert_eq!(text("destinationPodName"), "", "{document}"),
            }
            if let Some(service) = &flow.service {
                assert_eq!(text("destinationServicePortName"), service.full_name(), "{document}");
                assert_eq!(
                    number(document, "destinationTransportPort"),
                    u64::from(service.target_port),
                    "{document}"
                );
            }
            if flow.service.is_some() && flow.from.is_some() {
                let field = if flow.sent.dialled.is_ipv6() {
                    "destinationClusterIPv6"
                } else {
                    "destinationClusterIP"
                };
                assert_eq!(text(field), flow.sent.dialled.ip().to_string(), "{document}");
                assert_eq!(
                    number(document, "destinationServicePort"),
                    u64::from(flow.sent.dialled.port()),
                    "{document}"
                );
            }
        }
    }
}

fn tuple(sent: &Sent) -> Tuple {
    Tuple { protocol: sent.protocol.number(), source: sent.source, destination: sent.dialled }
}

/// A record's destination is the endpoint: the source of the replies. One port of a client may be at an endpoint directly
/// and through a Service at the same time, so what was dialled is compared too.
pub(crate) fn is_of(document: &Value, entry: &Entry) -> bool {
    let through_service = entry.original.destination != entry.reply.source;
    let names_service = document["destinationServicePortName"].as_str().is_some_and(|name| !name.is_empty());
    let is = |address: &str, port: &str, end: SocketAddr| {
        document[address] == end.ip().to_string() && number(document, port) == u64::from(end.port())
    };
    number(document, "protocolIdentifier") == u64::from(entry.original.protocol)
        && names_service == through_service
        && is("sourceIP", "sourceTransportPort", entry.original.source)
        && is("destinationIP", "destinationTransportPort", entry.reply.source)
}

fn summed(documents: &[Value], octets: &str, packets: &str) -> Count {
    documents.iter().map(|document| counted_in(document, octets, packets)).fold(
        Count::default(),
        |sum, next| Count { packets: sum.packets + next.packets, octets: sum.octets + next.octets },
    )
}

fn reverse(documents: &[Value]) -> Count {
    summed(documents, "reverseOctetDeltaCount", "reversePacketDeltaCount")
}

fn counted_in(document: &Value, octets: &str, packets: &str) -> Count {
    Count { packets: number(document, packets), octets: number(document, octets) }
}

fn number(document: &Value, field: &str) -> u64 {
    document[field].as_u64().unwrap_or_default()
}
