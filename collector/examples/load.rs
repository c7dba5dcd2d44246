//! An exporter for measurements: so many records of the v0.9 template, over tcp or udp, as fast as it can or at a
//! rate. `load tcp 127.0.0.1:4739 1000000 [records a second]`. The messages are made beforehand and sent over and over, each
//! time with the sequence number and the export time that are due, so that no record is the same as another.
//!
//! `load inventory` prints the cluster that its records are of, for the collector's `cluster.inventory`.

mod sample;

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use podflow_ipfix::export::Message;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["inventory"] {
        print!("{}", sample::inventory());
        return Ok(());
    }
    let [transport, address, records, rest @ ..] = arguments.as_slice() else {
        bail!("usage: load tcp|udp ADDRESS RECORDS [RECORDS-A-SECOND]");
    };
    let records: u64 = records.parse().context("RECORDS")?;
    let rate: Option<f64> = rest.first().map(|rate| rate.parse()).transpose().context("RECORDS-A-SECOND")?;
    let mut send = connect(transport, address)?;
    let is_udp = transport == "udp";
    let mut pass = messages(is_udp, if records < PASS { 0 } else { PASS })?;
    let mut rest = messages(is_udp, records % PASS)?;
    let began = Instant::now();
    let mut sent = 0;
    while sent < records {
        let messages = if records - sent < PASS { &mut rest } else { &mut pass };
        for Message { octets, records, .. } in messages {
            octets[4..8].copy_from_slice(&export_time());
            octets[8..12].copy_from_slice(&u32::try_from(sent & 0xffff_ffff)?.to_be_bytes());
            sent += u64::from(*records);
            if let Some(rate) = rate {
                let due = Duration::from_secs_f64(sent as f64 / rate);
                #[expect(clippy::disallowed_methods, reason = "a program of its own, without a runtime")]
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
            send(octets)?;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{sent} records in {seconds:.2} s: {:.0} a second", sent as f64 / seconds);
    Ok(())
}

/// Messages with so many records, the template before them.
fn messages(is_udp: bool, records: u64) -> Result<Vec<Message>> {
    let mut session = sample::session(is_udp)?;
    let now = now_ms();
    let mut messages = Vec::new();
    for number in 0..records {
        sample::add(&mut session, number, now)?;
        messages.extend(std::iter::from_fn(|| session.next_message()));
    }
    session.flush(now);
    messages.extend(std::iter::from_fn(|| session.next_message()));
    Ok(messages)
}

/// Records of one pass; their messages fit the caches of a small processor better than a million's would.
const PASS: u64 = 100_000;

/// Sends one message.
type Send = Box<dyn FnMut(&[u8]) -> Result<()>>;

fn connect(transport: &str, address: &str) -> Result<Send> {
    Ok(match transport {
        "tcp" => {
            let mut stream = TcpStream::connect(address)?;
            Box::new(move |octets| Ok(stream.write_all(octets)?))
        }
        "udp" => {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect(address)?;
            // A listener that is gone answers with an error; what it lost is counted where it listens.
            Box::new(move |octets| Ok(socket.send(octets).map(|_| ()).or(Ok::<_, std::io::Error>(()))?))
        }
        other => bail!("{other} is neither tcp nor udp"),
    })
}

/// Seconds since 1970, as a message's header has them.
fn export_time() -> [u8; 4] {
    u32::try_from(now_ms() / 1000).unwrap_or(u32::MAX).to_be_bytes()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}
