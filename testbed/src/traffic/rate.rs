//! Many short connections at a steady rate: what a busy Node's connection table goes through.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Sent;
use super::client::Connection;
use crate::namespace::Namespace;
use crate::stop::Stop;

/// Makes `count` TCP connections in all, from and to each of `routes` in turn, `per_second` of them begun each
/// second at most; each asks for `octets` with as many and ends.
///
/// # Errors
/// When one of them fails.
pub fn short_connections(
    routes: &[(&Namespace, SocketAddr)],
    count: usize,
    per_second: u32,
    octets: u64,
) -> Result<Vec<Sent>> {
    let clock = &Stop::new()?;
    let begun = Instant::now();
    let between = Duration::from_secs(1) / per_second.max(1);
    std::thread::scope(|scope| {
        let route = |first: usize, from: &Namespace, to: SocketAddr| {
            let one = |number: usize| {
                let due = between * u32::try_from(number).unwrap_or(u32::MAX);
                // Nobody else has this switch: it only waits. Behind time, it does not.
                let _nobody = clock.wait(due.saturating_sub(begun.elapsed()));
                let mut connection = Connection::open(to)?;
                connection.ask(octets, octets, None)?;
                connection.close()
            };
            let numbers = (first..count).step_by(routes.len());
            let done = from.enter(|| numbers.map(one).collect::<std::io::Result<Vec<_>>>())?;
            done.with_context(|| format!("short connections from {} to {to}", from.name()))
        };
        let threads: Vec<_> = routes
            .iter()
            .enumerate()
            .map(|(first, (from, to))| scope.spawn(move || route(first, from, *to)))
            .collect();
        let mut sent = Vec::with_capacity(count);
        for thread in threads {
            sent.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(sent)
    })
}
