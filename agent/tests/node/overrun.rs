//! Events that a real kernel could not deliver: counted, answered by a dump at once, and the totals stay exact.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use podflow_testbed::counts::{self, Entry};
use podflow_testbed::tools::{CONNTRACK, run};
use podflow_testbed::traffic::requests;
use podflow_testbed::{Namespace, Shape, Testbed};

use super::restarts::{metric, start_with};
use crate::support::{self, Collector, NO_STATE, Record};

#[test]
fn an_overrun_is_counted_and_answered_by_a_dump() {
    let bed = Testbed::start(Shape { nodes: 2, pods_per_node: 1, ..Shape::default() }).unwrap();
    let (node, client, server) = (bed.node(0), bed.pod(0, 0), bed.pod(1, 0).address());
    // The kernel must still have what it is asked for, however slow the machine is.
    for timeout in ["udp_timeout", "udp_timeout_stream", "tcp_timeout_time_wait", "tcp_timeout_close"] {
        node.space.set(&format!("net/netfilter/nf_conntrack_{timeout}"), "600").unwrap();
    }
    let collector = Collector::start(&bed, "tcp");
    // It polls when it starts; what makes it poll again within this test is an overrun.
    let configuration = support::configuration(&collector, NO_STATE);
    let agent = Agent(start_with(&bed, &configuration.replace("PollInterval: 1s", "PollInterval: 1h")));
    let polls = || metric(&node.space, "podflow_agent_poll_duration_seconds_count").unwrap();
    assert_eq!(polls(), 1);

    let [ends_unheard, lives] = [(); 2].map(|()| {
        let socket = client.space.enter(|| UdpSocket::bind((client.ips[0], 0))).unwrap().unwrap();
        socket.connect(server).unwrap();
        socket
    });
    let ask = |socket: &UdpSocket, count: usize| {
        for _ in 0..count {
            socket.send(&[1; 300]).unwrap();
            socket.recv(&mut [0; 512]).unwrap();
        }
    };
    ask(&ends_unheard, 5);
    ask(&lives, 5);
    agent.stop_while(|| overrun(&node.space));
    support::wait_for("a dump that answers the overrun", || polls() == 2);

    let source = ends_unheard.local_addr().unwrap();
    let last_of_it = entry(&bed, source);
    agent.stop_while(|| {
        overrun(&node.space);
        // The kernel tells nothing any more until all of that is read.
        delete(&node.space, source);
        ask(&lives, 3);
    });
    support::wait_for("another dump", || polls() == 3);
    let of = |source: SocketAddr| -> Vec<Record> {
        let port = source.port().to_string();
        let mut records = collector.records();
        records.retain(|record| record.get("sourceTransportPort") == Some(&port));
        records
    };
    support::wait_for("the end that nobody heard of", || !of(source).is_empty());
    assert!(metric(&node.space, "podflow_agent_event_overruns_total").unwrap() >= 2);
    // Others of the Node may have ended meanwhile, too.
    support::wait_for("it is counted", || {
        metric(&node.space, "podflow_agent_flows_ended_unheard").is_some_and(|flows| flows >= 1)
    });
    is_exact(&of(source), &last_of_it);

    // Events are heard again, and what is made now is counted whole.
    let sent = requests(&client.space, server, 10, 1_000).unwrap();
    let heard = entry(&bed, sent[0].source);
    delete(&node.space, heard.original.source);
    ask(&lives, 2);
    assert_eq!(polls(), 3);
    agent.end();
    let mut flows = vec![heard, entry(&bed, lives.local_addr().unwrap())];
    flows.extend(sent[1..].iter().map(|one| entry(&bed, one.source)));
    for flow in &flows {
        let source = flow.original.source;
        support::wait_for("its record", || !of(source).is_empty());
        is_exact(&of(source), flow);
    }
    let heard = &flows[0];
    assert_eq!(of(heard.original.source)[0]["flowEndReason"], "4", "an event said who deleted it");
}

/// Lets connections end until the buffer of whoever listens has no more room.
fn overrun(space: &Namespace) {
    let before = drops(space);
    for _ in 0..MOST_ROUNDS {
        let flood = || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            for port in 1..=CONNECTIONS {
                // Nobody listens, and an earlier datagram's refusal may be told here.
                drop(socket.send_to(b"x", (Ipv4Addr::LOCALHOST, port)));
            }
        };
        space.enter(flood).unwrap();
        delete_all(space, &["-p", "udp", "-s", "127.0.0.1"]);
        if drops(space) > before {
            return;
        }
    }
    panic!("{MOST_ROUNDS} times {CONNECTIONS} connections ended, and every event found room");
}

/// Events that the kernel could not deliver to the one socket that hears of ends in a namespace: the ninth column.
fn drops(space: &Namespace) -> u64 {
    let text = space.enter(|| std::fs::read_to_string("/proc/thread-self/net/netlink")).unwrap().unwrap();
    let listening = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours: Vec<_> =
        listening.filter(|columns| columns[1] == NETFILTER && columns[3] == DESTROY_GROUP).collect();
    assert_eq!(ours.len(), 1, "{text}");
    ours[0][8].parse().unwrap()
}

fn delete(space: &Namespace, source: SocketAddr) {
    let (address, port) = (source.ip().to_string(), source.port().to_string());
    let which =
        |protocol| run(space, CONNTRACK, &["-D", "-p", protocol, "-s", &address, "--sport", &port], "");
    assert!(which("udp").is_ok() || which("tcp").is_ok(), "{source} is not known");
}

fn delete_all(space: &Namespace, which: &[&str]) {
    run(space, CONNTRACK, &[&["-D"], which].concat(), "").unwrap();
}

fn entry(bed: &Testbed, source: SocketAddr) -> Entry {
    let entries = counts::conntrack(bed.node(0)).unwrap();
    entries.into_iter().find(|entry| entry.original.source == source).unwrap()
}

/// The deltas of a flow's records, and its last totals, are what the kernel counted.
fn is_exact(records: &[Record], kernel: &Entry) {
    for (what, counted) in [
        ("packet", kernel.original_count.packets),
        ("octet", kernel.original_count.octets),
        ("reversePacket", kernel.reply_count.packets),
        ("reverseOctet", kernel.reply_count.octets),
    ] {
        let numbers = |kind: &str| -> Vec<u64> {
            records.iter().map(|record| record[&format!("{what}{kind}Count")].parse().unwrap()).collect()
        };
        let said = (numbers("Delta").iter().sum(), numbers("Total").into_iter().max().unwrap());
        assert_eq!(said, (counted, counted), "{what} of {kernel:?}: {records:?}");
    }
}

/// The real program; killed where the test fails.
pub struct Agent(pub Child);

impl Agent {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }

    /// Every thread of it stands still while `work` is done.
    fn stop_while(&self, work: impl FnOnce()) {
        self.signal(Signal::SIGSTOP);
        support::wait_for("the agent stands still", || {
            let mut threads = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
            threads.all(|thread| {
                let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
                // The state follows the name, which is in parentheses.
                stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"))
            })
        });
        work();
        self.signal(Signal::SIGCONT);
    }

    /// Ends it as an operator would.
    pub fn end(mut self) {
        self.signal(Signal::SIGTERM);
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It has ended already where all went well.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// As many as there are ports to send to from one.
const CONNECTIONS: u16 = 60_000;

/// The agent's buffer has room for less than one or two of them.
const MOST_ROUNDS: usize = 20;

/// NETLINK_NETFILTER, and NFNLGRP_CONNTRACK_DESTROY as a bit, as the kernel shows them.
const NETFILTER: &str = "12";
const DESTROY_GROUP: &str = "00000004";
