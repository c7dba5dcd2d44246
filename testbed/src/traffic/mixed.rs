//! Endless, gentle traffic between everybody, for the demo: a shop whose frontends ask carts and catalogs,
//! carts that ask the database, everybody who asks for names, some who fetch from outside, and customers.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use super::client::Connection;
use super::{Protocol, datagrams};
use crate::bed::{OUTSIDE_PORT, Testbed};
use crate::namespace::Namespace;
use crate::plan;
use crate::stop::Stop;

/// Starts one client in every Pod and one outside. They go on until the testbed is dropped.
///
/// # Errors
/// When a thread cannot be started.
pub fn mix(bed: &mut Testbed) -> Result<()> {
    let mut threads = Vec::new();
    for (number, pod) in bed.nodes().iter().flat_map(|node| &node.pods).enumerate() {
        let asks = asks_of_pod(bed, pod.name.split('-').next().unwrap_or_default());
        threads.push(start(&pod.space, asks, number as u64 + 1, bed.stop())?);
    }
    threads.push(start(bed.outside_namespace(), asks_of_customers(bed), 0, bed.stop())?);
    bed.keep(threads);
    Ok(())
}

/// One kind of thing a client does, and how much of it.
#[derive(Clone, Copy, Debug)]
struct Ask {
    to: SocketAddr,
    protocol: Protocol,
    /// Octets of a request, at most.
    request: u64,
    /// Octets of an answer, at most.
    answer: u64,
    /// Requests over one connection, at most.
    times: u64,
}

/// Each application asks those it would ask in a real shop, as far as the testbed has them.
fn asks_of_pod(bed: &Testbed, name: &str) -> Vec<Ask> {
    let wanted: &[(&str, u64, u64, u64)] = match name {
        "frontend" => &[("cart", 900, 4_000, 6), ("catalog", 300, 60_000, 10), ("checkout", 2_000, 1_000, 2)],
        "cart" => &[("postgres", 700, 9_000, 20), ("redis", 120, 900, 30)],
        "catalog" => &[("postgres", 300, 40_000, 10), ("redis", 120, 2_000, 30)],
        "checkout" => &[("cart", 500, 3_000, 3), ("postgres", 2_000, 800, 5)],
        "prometheus" => &[("frontend", 200, 30_000, 4), ("cart", 200, 25_000, 4), ("redis", 200, 8_000, 2)],
        "worker" => &[("postgres", 90_000, 2_000, 8), ("catalog", 400, 20_000, 3)],
        _ => &[],
    };
    let mut asks: Vec<_> = bed
        .services()
        .iter()
        .filter_map(|service| {
            let (_, request, answer, times) = *wanted.iter().find(|(name, ..)| *name == service.name)?;
            Some(Ask { to: service.address(), protocol: service.protocol, request, answer, times })
        })
        .collect();
    if let Some(names) = bed.services().iter().find(|service| service.name == "coredns" && name != "coredns")
    {
        asks.push(Ask { to: names.address(), protocol: names.protocol, request: 60, answer: 60, times: 3 });
    }
    // Who has nobody to ask in a small testbed still fetches something, straight from the other Pods' data.
    let [first, second, ..] = plan::outside();
    let outside = if matches!(name, "checkout" | "worker") { first } else { second };
    let to = SocketAddr::new(outside.v4.into(), OUTSIDE_PORT);
    asks.push(Ask { to, protocol: Protocol::Tcp, request: 400, answer: 15_000, times: 2 });
    asks
}

/// Customers come in through a port of the first Node.
fn asks_of_customers(bed: &Testbed) -> Vec<Ask> {
    let open = bed.services().iter().filter(|service| service.node_port != 0);
    open.flat_map(|service| {
        bed.nodes().iter().filter_map(move |node| {
            let to = SocketAddr::new(*node.ips.first()?, service.node_port);
            Some(Ask { to, protocol: service.protocol, request: 1_200, answer: 80_000, times: 5 })
        })
    })
    .collect()
}

fn start(space: &Namespace, asks: Vec<Ask>, seed: u64, stop: &Stop) -> Result<std::thread::JoinHandle<()>> {
    let (stop, inside) = (stop.clone(), space.clone());
    space.spawn("client", move || {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        while !stop.wait(Duration::from_millis(dice.upto(PAUSE_MILLISECONDS))) {
            let Some(ask) = asks.get(usize::try_from(dice.upto(asks.len() as u64)).unwrap_or_default())
            else {
                return;
            };
            if let Err(error) = exchange(&inside, *ask, &mut dice, &stop) {
                tracing::debug!(%error, to = %ask.to, "an exchange of the mixed traffic failed");
            }
        }
    })
}

fn exchange(space: &Namespace, ask: Ask, dice: &mut Dice, stop: &Stop) -> Result<()> {
    let times = 1 + dice.upto(ask.times);
    if ask.protocol == Protocol::Udp {
        let octets = u16::try_from(ask.request).unwrap_or(u16::MAX);
        return datagrams(space, ask.to, usize::try_from(times)?, octets).map(drop);
    }
    let mut connection = Connection::open(ask.to)?;
    for _ in 0..times {
        connection.ask(1 + dice.upto(ask.request), 1 + dice.upto(ask.answer), Some(stop))?;
        if stop.wait(Duration::from_millis(dice.upto(PAUSE_MILLISECONDS))) {
            return Ok(());
        }
    }
    connection.close()?;
    Ok(())
}

/// A small xorshift generator: the traffic need not be random, only varied.
struct Dice(u64);

impl Dice {
    /// A number from 0 to below `bound`; 0 for a bound of 0.
    fn upto(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.checked_rem(bound).unwrap_or_default()
    }
}

/// The longest pause of a client between two things it does; the mean is half of it.
const PAUSE_MILLISECONDS: u64 = 700;
