//! An agent that is killed, and what the next one makes of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use podflow_testbed::counts;
use podflow_testbed::traffic::{conversation, requests};
use podflow_testbed::{Namespace, Shape, Testbed};

use crate::support::{self, Collector, Record};

/// An answer of the agent's own pages.
pub fn page(space: &Namespace, path: &str) -> Option<String> {
    space.enter(|| get("127.0.0.1:10360".parse().unwrap(), path)).unwrap().ok()
}

/// An answer over HTTP, headers and all.
pub fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A number of the agent's metrics page.
pub fn metric(space: &Namespace, name: &str) -> Option<u64> {
    let answer = page(space, "/metrics")?;
    let line = answer.lines().find(|line| line.split(' ').next() == Some(name))?;
    line.split(' ').nth(1)?.parse().ok()
}

/// The real program, in a process of its own.
pub fn start(bed: &Testbed, collector: &Collector, more: &str) -> Child {
    start_with(bed, &support::configuration(collector, more))
}

/// As [`start`], with any configuration.
pub fn start_with(bed: &Testbed, configuration: &str) -> Child {
    let node = bed.node(0);
    let arguments = configured(bed, configuration);
    let child = node.space.enter(|| {
        Command::new(env!("CARGO_BIN_EXE_podflow-agent"))
            .arg("run")
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    });
    let child = child.unwrap().unwrap();
    ready(&node.space);
    child
}

/// What `run` is told on the first Node, with a file of this configuration.
pub fn configured(bed: &Testbed, configuration: &str) -> Vec<String> {
    let file = bed.folder().join("antrea-agent.conf");
    std::fs::write(&file, configuration).unwrap();
    let inventory = bed.inventory_path().display().to_string();
    let (file, node) = (file.display().to_string(), bed.node(0).name.clone());
    ["--node-name", &node, "--config", &file, "--inventory", &inventory].map(str::to_owned).to_vec()
}

/// Waits until the agent of a Node is ready.
pub fn ready(space: &Namespace) {
    support::wait_for("the agent is ready", || {
        page(space, "/readyz").is_some_and(|answer| answer.contains("\r\n\r\nready"))
    });
}

fn number(record: &Record, name: &str) -> u64 {
    record[name].parse().unwrap()
}

#[test]
fn a_crash_repeats_no_more_than_it_says() {
    let bed = Testbed::start(Shape { nodes: 2, pods_per_node: 1, ..Shape::default() }).unwrap();
    let collector = Collector::start(&bed, "tcp");
    let state = bed.folder().join("agent.state");
    let more = format!("  stateFile: {}\n", state.display());
    let (client, server) = (bed.pod(0, 0), bed.pod(1, 0).address());
    let space = &bed.node(0).space;

    let mut agent = start(&bed, &collector, &more);
    // It lives through everything.
    let socket = client.space.enter(|| UdpSocket::bind((client.ips[0], 0))).unwrap().unwrap();
    socket.connect(server).unwrap();
    let ask = |count: usize| {
        let mut answer = [0; 512];
        for _ in 0..count {
            // The first two octets ask for an answer of 256.
            socket.send(&[1; 400]).unwrap();
            assert_eq!(socket.recv(&mut answer).unwrap(), 257);
        }
    };
    ask(5);
    let early = requests(&client.space, server, 10, 300).unwrap();
    support::wait_for("the state of the first run", || state.exists());
    let saved = std::fs::metadata(&state).unwrap().modified().unwrap();
    // What is reported after the state was written is what a crash repeats.
    ask(5);
    let late = requests(&client.space, server, 1, 300).unwrap();
    let of = |source: SocketAddr| -> Vec<Record> {
        let port = source.port().to_string();
        let mut records = collector.records();
        records.retain(|record| record.get("sourceTransportPort") == Some(&port));
        records
    };
    let source = socket.local_addr().unwrap();
    let sum =
        |source: SocketAddr, name: &str| of(source).iter().map(|record| number(record, name)).sum::<u64>();
    support::wait_for("all of it is reported", || {
        sum(source, "packetDeltaCount") == 10 && !of(late[0].source).is_empty()
    });
    assert_eq!(std::fs::metadata(&state).unwrap().modified().unwrap(), saved, "not written since");
    agent.kill().unwrap();
    agent.wait().unwrap();

    ask(5);
    let mut agent = start(&bed, &collector, &more);
    ask(5);
    support::wait_for("the rest is reported", || {
        of(source).iter().map(|record| number(record, "packetTotalCount")).max() == Some(20)
    });
    let (flows, octets) = (
        metric(space, "podflow_agent_crash_flows_repeated").unwrap(),
        metric(space, "podflow_agent_crash_octets_repeated").unwrap(),
    );
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(agent.id()).unwrap()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert!(agent.wait().unwrap().success(), "it ends well when it is told to");

    let entries = counts::conntrack(bed.node(0)).unwrap();
    let kernel = |source: SocketAddr| {
        let entry = entries.iter().find(|entry| entry.original.source == source).unwrap();
        entry.original_count.octets + entry.reply_count.octets
    };
    let reported = |source| sum(source, "octetDeltaCount") + sum(source, "reverseOctetDeltaCount");
    // What the state held is reported once.
    for one in &early {
        assert_eq!(reported(one.source), kernel(one.source), "{one:?}");
    }
    let repeated: u64 =
        [source, late[0].source].iter().map(|source| reported(*source) - kernel(*source)).sum();
    assert!(repeated > 0 && repeated <= octets, "{repeated} of at most {octets} octets came twice");
    assert!(flows >= 2, "{flows}");
}

#[test]
fn connections_from_before_the_agent_and_between_two_are_exact() {
    let bed = Testbed::start(Shape { nodes: 2, pods_per_node: 1, ..Shape::default() }).unwrap();
    let node = bed.node(0);
    // The kernel counted already: only then is there anything to know of what was before.
    for switch in ["acct", "timestamp", "events"] {
        node.space.set(&format!("net/netfilter/nf_conntrack_{switch}"), "1").unwrap();
    }
    let collector = Collector::start(&bed, "tcp");
    let state = format!("  stateFile: {}\n", bed.folder().join("agent.state").display());
    let (client, server) = (bed.pod(0, 0), bed.pod(1, 0).address());
    let pieces = [(1_000, 1_000); 40];
    let long = std::thread::scope(|scope| {
        let talk = || conversation(&client.space, server, &pieces, Duration::from_millis(250)).unwrap();
        let before = scope.spawn(talk);
        support::wait_for("a connection before the agent", || {
            counts::conntrack(node).unwrap().iter().any(|entry| entry.original_count.octets > 3_000)
        });
        let agent = support::Agent::start(&bed, node, &collector, &state);
        // The switches were on before it came, so they do not tell that it watches; this does.
        support::wait_for("the agent is ready", || {
            page(&node.space, "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
        });
        let between = scope.spawn(talk);
        support::wait_for("a record", || {
            collector.records().iter().any(|record| record.contains_key("flowId"))
        });
        agent.stop();
        let agent = support::Agent::start(&bed, node, &collector, &state);
        let sent = [before.join().unwrap(), between.join().unwrap()];
        agent.stop();
        sent
    });
    let entries = counts::conntrack(node).unwrap();
    let sums: Vec<(u64, u64, u64)> = long
        .iter()
        .map(|one| {
            let entry = entries.iter().find(|entry| entry.original.source == one.source).unwrap();
            let port = one.source.port().to_string();
            let records = collector.records().into_iter();
            let own: Vec<_> =
                records.filter(|record| record.get("sourceTransportPort") == Some(&port)).collect();
            let sum = own.iter().map(|record| number(record, "octetDeltaCount")).sum();
            let total = own.iter().map(|record| number(record, "octetTotalCount")).max().unwrap();
            (sum, total, entry.original_count.octets)
        })
        .collect();
    let [(sum_before, total_before, kernel_before), (sum, total, kernel)] = sums[..] else { panic!() };
    assert_eq!((sum, total), (kernel, kernel), "begun under the first agent, ended under the second");
    // What was before the first agent is in its totals alone: nobody can say when it was.
    assert_eq!(total_before, kernel_before);
    assert!(sum_before < kernel_before, "{sum_before} of {kernel_before}");
}
