//! Where nobody knows from which networks Pods have their addresses, both Nodes export what passes between them: each flow
//! is stored once all the same, as its source's Node tells it, and the other side's copy is counted.

use std::collections::HashSet;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use podflow_e2e::running::{Running, Settings};
use podflow_testbed::bed::OUTSIDE_PORT;
use podflow_testbed::counts::{self, Entry};
use podflow_testbed::plan;
use podflow_testbed::traffic::{Sent, datagrams, requests, transfer};
use serde_json::Value;

use crate::truth::is_of;

/// A flow that was made.
struct Made {
    sent: Sent,
    /// The Node whose record of it is stored.
    node: usize,
    /// Both Nodes export it.
    twice: bool,
    kind: &'static str,
    /// flowTypeStr.
    course: &'static str,
}

#[test]
fn a_flow_that_both_nodes_export_is_stored_once() {
    let running = Running::start(&Settings { unknown_networks: true, ..Settings::default() }).unwrap();
    let made = make(&running);
    // Every flow from its source's Node to the octet.
    let stored = running.until("every flow is stored whole", || whole(&running, &made)).unwrap();
    let twice = made.iter().filter(|flow| flow.twice).count() as u64;
    running
        .until("the copies of the other side are counted", || {
            let dropped = dropped(&running.status()?)?;
            ensure!(dropped >= twice, "{dropped} copies of {twice} flows");
            Ok(())
        })
        .unwrap();
    // Each of them from one exporter, whatever came meanwhile.
    let documents = running.documents().unwrap();
    for (flow, entry) in made.iter().zip(&stored) {
        let own: Vec<_> = documents.iter().filter(|document| is_of(document, entry)).collect();
        let exporters: HashSet<_> = own.iter().filter_map(|one| one["exporterNode"].as_str()).collect();
        assert_eq!(exporters, HashSet::from([running.bed.node(flow.node).name.as_str()]), "{own:?}");
    }
    running.stop().unwrap();
}

fn make(running: &Running) -> Vec<Made> {
    let bed = &running.bed;
    for node in bed.nodes() {
        // The kernel must still have every entry when it is asked, however slow the machine is.
        for timeout in ["udp_timeout", "udp_timeout_stream", "tcp_timeout_time_wait", "tcp_timeout_close"] {
            node.space.set(&format!("net/netfilter/nf_conntrack_{timeout}"), "600").unwrap();
        }
    }
    let (here, beside, there) = (bed.pod(0, 0), bed.pod(0, 1), bed.pod(1, 1));
    let (service, front) = (bed.service("cart"), bed.service("frontend"));
    let far = SocketAddr::new(plan::outside()[0].v4.into(), OUTSIDE_PORT);
    let node_port = SocketAddr::new(bed.node(1).ips[0], front.node_port);
    let ask = |from, to, count| requests(from, to, count, 1_000).unwrap();
    let flows = |sent: Vec<Sent>, node, twice, kind, course| {
        sent.into_iter().map(move |sent| Made { sent, node, twice, kind, course })
    };
    let (between, within) = ("Inter-Node", "Intra-Node");
    let mut made = Vec::new();
    made.extend(flows(ask(&here.space, there.address(), 20), 0, true, "Pod-to-Pod", between));
    made.extend(flows(ask(&there.space, here.address(), 20), 1, true, "Pod-to-Pod", between));
    made.extend(flows(
        vec![
            transfer(&here.space, there.address(), 3_000_000).unwrap(),
            datagrams(&here.space, there.address(), 500, 300).unwrap(),
        ],
        0,
        true,
        "Pod-to-Pod",
        between,
    ));
    made.extend(flows(ask(&here.space, beside.address(), 5), 0, false, "Pod-to-Pod", within));
    made.extend(flows(ask(&bed.node(0).space, there.address(), 5), 0, false, "Node-to-Pod", between));
    made.extend(flows(ask(&here.space, far, 5), 0, false, "Pod-to-External", "To External"));
    made.extend(flows(
        ask(bed.outside_namespace(), node_port, 5),
        1,
        false,
        "External-to-Service",
        "From External",
    ));
    for sent in ask(&here.space, service.address(), 20) {
        // Its endpoints are on both Nodes.
        let entries = counts::conntrack(bed.node(0)).unwrap();
        let entry = entries.iter().find(|entry| entry.original.source == sent.source).unwrap();
        let local = bed.node(0).pods.iter().any(|pod| pod.ips[0] == entry.reply.source.ip());
        let course = if local { within } else { between };
        made.extend(flows(vec![sent], 0, !local, "Pod-to-Service", course));
    }
    made
}

/// The documents of every flow add up to what its Node's kernel counted, and say who and what; gives back what that
/// kernel has of them.
fn whole(running: &Running, made: &[Made]) -> Result<Vec<Entry>> {
    let tables: Vec<_> = running.bed.nodes().iter().map(counts::conntrack).collect::<Result<_>>()?;
    let documents = running.documents()?;
    let mut found = Vec::new();
    for flow in made {
        let entry = tables[flow.node].iter().find(|entry| {
            (entry.original.source, entry.original.destination) == (flow.sent.source, flow.sent.dialled)
        });
        let entry = entry.with_context(|| format!("conntrack has no entry of {:?}", flow.sent))?;
        let own: Vec<_> = documents.iter().filter(|document| is_of(document, entry)).collect();
        let sum = |field: &str| {
            own.iter().map(|document| document[field].as_u64().unwrap_or_default()).sum::<u64>()
        };
        let (forward, reverse) = (entry.original_count, entry.reply_count);
        for (field, counted) in [
            ("packetDeltaCount", forward.packets),
            ("octetDeltaCount", forward.octets),
            ("reversePacketDeltaCount", reverse.packets),
            ("reverseOctetDeltaCount", reverse.octets),
        ] {
            ensure!(sum(field) == counted, "{field} is {} of {counted}: {own:?}", sum(field));
        }
        for document in own {
            ensure!(document["flowKind"] == flow.kind, "not {}: {document}", flow.kind);
            ensure!(document["flowTypeStr"] == flow.course, "not {}: {document}", flow.course);
        }
        found.push(*entry);
    }
    Ok(found)
}

fn dropped(status: &Value) -> Result<u64> {
    status["dropped"]["other_side"].as_u64().with_context(|| format!("no drop of that name: {status}"))
}
