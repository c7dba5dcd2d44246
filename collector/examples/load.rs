//! An exporter for measurements: so many records of the v0.9 template, over tcp or udp, as fast as it can or at a
//! rate. `load tcp 127.0.0.1:4739 1000000 [records a second]`.
//!
//! `load inventory` prints the cluster that its records are of, for the collector's `cluster.inventory`.

mod sample;

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

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
    let mut session = sample::session(transport == "udp")?;
    let began = Instant::now();
    let mut sent = 0;
    for number in 0..records {
        let now = now_ms();
        sample::add(&mut session, number, now)?;
        if number + 1 == records {
            session.flush(now);
        }
        while let Some(message) = session.next_message() {
            sent += u64::from(message.records);
            if let Some(rate) = rate {
                let due = Duration::from_secs_f64(sent as f64 / rate);
                #[expect(clippy::disallowed_methods, reason = "a program of its own, without a runtime")]
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
            send(&message.octets)?;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{sent} records in {seconds:.2} s: {:.0} a second", sent as f64 / seconds);
    Ok(())
}

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

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}
