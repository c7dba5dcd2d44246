//! What a poll costs beside what the kernel takes to hand its table over: 200,000 real connections, counted by a real
//! kernel in a network namespace of our own, in one run. `cargo bench -p podflow-agent`; needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use podflow_agent::measure::{Agent, bare_dump};
use podflow_testbed::Namespace;
use podflow_testbed::tools::{CONNTRACK, IP, NFT, run};

/// Connections of the agent's zone and of another, both UDP from one address to another.
const CONNECTIONS: u16 = 50_000;

/// How often each thing is done; the median counts.
const TIMES: usize = 9;

/// Everything in 10.10.0.0/16 is this namespace's own; destination ports above 50,000 are tracked in zone 7.
const RULES: &str = "table inet bench {
  chain out { type filter hook output priority raw; udp dport > 50000 ct zone set 7; }
  chain track { type filter hook output priority 0; ct state new counter; }
}
";

const INVENTORY: &str = "
nodes: [{name: node-a, addresses: [172.18.0.2], podCIDRs: [10.10.0.0/24]}, {name: node-b, addresses: [172.18.0.3], podCIDRs: [10.10.1.0/24]}]
pods: [{namespace: shop, name: cart-7d9f-abcde, node: node-a, ips: [10.10.0.11]}]
";

fn main() {
    // Under `cargo test` benches are only built.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("| what | time | CPU |\n|---|---|---|");
    let own = || space_with(&[(4, 1)]);
    {
        let space = own();
        space.enter(|| compare(usize::from(CONNECTIONS) * 4)).unwrap();
        let listed = timed(UsageWho::RUSAGE_CHILDREN, || {
            run(&space, CONNTRACK, &["-L", "-o", "id,timestamp"], "").unwrap();
        });
        row("`conntrack -L -o id,timestamp`", listed);
    }
    let half = space_with(&[(2, 1)]);
    let alone = half.enter(|| polls(2 * usize::from(CONNECTIONS))).unwrap();
    row("poll of 100,000 own entries", alone);
    send(&half, 2, 1, true);
    let mixed = half.enter(|| polls(2 * usize::from(CONNECTIONS))).unwrap();
    row("the same beside 100,000 of another zone", mixed);
    let share = |with: Duration, without: Duration| {
        with.saturating_sub(without).as_secs_f64() / without.as_secs_f64()
    };
    println!("\nforeign entries cost {:.2} of what own ones do (CPU)", share(mixed.1, alone.1));
}

/// The bare dump, the poll, its memory, and the export, of so many entries of zone 0.
fn compare(entries: usize) {
    bare_dump(Some(0)).unwrap();
    let before = resident();
    let mut agent = Agent::open(vec![0]).unwrap();
    assert!(agent.poll() >= entries);
    let memory = resident().saturating_sub(before);
    let [bare, poll] = side_by_side([
        &mut || {
            bare_dump(Some(0)).unwrap();
        },
        &mut || {
            agent.poll();
        },
    ]);
    row("dump received and thrown away", bare);
    row("poll", poll);
    let began = cpu(UsageWho::RUSAGE_THREAD);
    let clock = Instant::now();
    let (records, octets) = agent.export(INVENTORY, "node-a").unwrap();
    row(
        &format!("export of {records} records, {octets} octets"),
        (clock.elapsed(), cpu(UsageWho::RUSAGE_THREAD) - began),
    );
    assert!(records >= entries, "{records} records");
    println!(
        "| poll over bare dump | {:.2} | {:.2} |\n| memory a connection | {} octets | |",
        poll.0.as_secs_f64() / bare.0.as_secs_f64(),
        poll.1.as_secs_f64() / bare.1.as_secs_f64(),
        memory / entries as u64,
    );
}

fn polls(entries: usize) -> (Duration, Duration) {
    let mut agent = Agent::open(vec![0]).unwrap();
    assert!(agent.poll() >= entries);
    timed(UsageWho::RUSAGE_THREAD, || {
        agent.poll();
    })
}

/// Medians of time and CPU.
fn timed(who: UsageWho, mut work: impl FnMut()) -> (Duration, Duration) {
    median((0..TIMES).map(|_| once(who, &mut work)).collect())
}

/// The same of two things that are done by turns, so that whatever slows the machine slows both.
fn side_by_side(mut works: [&mut dyn FnMut(); 2]) -> [(Duration, Duration); 2] {
    let mut taken = [Vec::new(), Vec::new()];
    for _ in 0..TIMES {
        for (work, taken) in works.iter_mut().zip(&mut taken) {
            taken.push(once(UsageWho::RUSAGE_THREAD, work));
        }
    }
    taken.map(median)
}

fn once(who: UsageWho, mut work: impl FnMut()) -> (Duration, Duration) {
    let (clock, began) = (Instant::now(), cpu(who));
    work();
    (clock.elapsed(), cpu(who) - began)
}

fn median(taken: Vec<(Duration, Duration)>) -> (Duration, Duration) {
    let (mut times, mut cpus): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
    times.sort();
    cpus.sort();
    (times[TIMES / 2], cpus[TIMES / 2])
}

fn cpu(who: UsageWho) -> Duration {
    let usage: Usage = getrusage(who).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.try_into().unwrap())
}

fn row(what: &str, (time, cpu): (Duration, Duration)) {
    println!("| {what} | {} ms | {} ms |", time.as_millis(), cpu.as_millis());
}

/// Octets of memory that this process holds.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// A namespace whose kernel counts, with connections from so many sources to so many destinations' 50,000 ports.
fn space_with(parts: &[(u8, u8)]) -> Namespace {
    let space = Namespace::new("bench").unwrap();
    run(&space, IP, &["-batch", "-"], "link set lo up\nroute add local 10.10.0.0/16 dev lo\n").unwrap();
    run(&space, NFT, &["-f", "-"], RULES).unwrap();
    for (name, value) in [("acct", "1"), ("timestamp", "1"), ("events", "1"), ("udp_timeout", "3600")] {
        space.set(&format!("net/netfilter/nf_conntrack_{name}"), value).unwrap();
    }
    for (sources, destinations) in parts {
        send(&space, *sources, *destinations, false);
    }
    space
}

/// One datagram from each of the sources to each port: below 50,000, or, foreign, in zone 7 from there on.
fn send(space: &Namespace, sources: u8, destinations: u8, foreign: bool) {
    space
        .enter(|| {
            for _ in 0..sources {
                let socket = UdpSocket::bind("10.10.0.11:0").unwrap();
                for destination in 0..destinations {
                    let host = [10, 10, 1, 1 + destination];
                    for port in 0..CONNECTIONS {
                        let (host, port) = match foreign {
                            false => (host, 1 + port),
                            // There are 15,535 such ports: the hosts make up for the rest.
                            true => (
                                [10, 10, 2 + u8::try_from(port / 10_000).unwrap(), 1],
                                50_000 + port % 10_000,
                            ),
                        };
                        // Nobody listens: an earlier datagram's refusal may be told here, and that one is sent again.
                        let to = SocketAddr::from((host, port));
                        if socket.send_to(b"x", to).is_err() {
                            socket.send_to(b"x", to).unwrap();
                        }
                    }
                }
            }
        })
        .unwrap();
}
