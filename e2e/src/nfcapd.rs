//! nfdump's collector and reader: datagrams in, flow records as JSON out.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use podflow_testbed::Namespace;
use podflow_testbed::tools::{IP, run};
use serde_json::Value;

/// What nfcapd made of datagrams.
#[derive(Clone, Debug)]
pub struct Collected {
    /// A flow record each, as `nfdump -o json` has it, times in UTC.
    pub flows: Vec<Value>,
    /// What nfcapd said of them in the end: `Flows: 2, Packets: 6, …, Sequence Errors: 0, Bad Packets: 0`.
    pub summary: String,
}

/// Sends datagrams to an nfcapd in a namespace of its own, and reads with nfdump what it wrote.
///
/// # Errors
/// When a program is missing or fails.
pub fn collect(datagrams: &[Vec<u8>]) -> Result<Collected> {
    let (folder, space) = (tempfile::tempdir()?, Namespace::new("nfcapd")?);
    run(&space, IP, &["link", "set", "lo", "up"], "")?;
    let log = std::fs::File::create(folder.path().join("log"))?;
    let flows = folder.path().join("flows");
    std::fs::create_dir(&flows)?;
    let mut command = Command::new("nfcapd");
    command.args(["-b", "127.0.0.1", "-p", &PORT.to_string(), "-t", "3600"]).arg("-w").arg(&flows);
    command.arg("-P").arg(folder.path().join("pid"));
    command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);
    let child = space.enter(|| command.spawn())?.context("running nfcapd; `make deps` installs it")?;
    let mut running = Running(child);

    wait(&space, "nfcapd listens", |octets| octets.is_some())?;
    let socket = space.enter(|| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)))??;
    for datagram in datagrams {
        socket.send_to(datagram, (Ipv4Addr::LOCALHOST, PORT))?;
        wait(&space, "nfcapd has read the datagram", |octets| octets == Some(0))?;
    }
    kill(Pid::from_raw(running.0.id().try_into()?), Signal::SIGTERM)?;
    let ended = running.0.wait()?;
    let log = std::fs::read_to_string(folder.path().join("log"))?;
    ensure!(ended.success(), "nfcapd: {ended}: {log}");
    let summary =
        log.lines().find(|line| line.contains("Sequence Errors")).context("no summary of nfcapd")?;

    let read =
        Command::new("nfdump").arg("-R").arg(&flows).args(["-o", "json", "-q"]).env("TZ", "UTC").output()?;
    ensure!(read.status.success(), "nfdump: {}", String::from_utf8_lossy(&read.stderr));
    // Some versions write an array, others only its entries.
    let text = String::from_utf8(read.stdout)?;
    let text = if text.trim_start().starts_with('[') { text } else { format!("[{text}]") };
    Ok(Collected { flows: serde_json::from_str(&text)?, summary: summary.to_owned() })
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already, unless something failed before.
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}

/// Waits until the octets that wait in nfcapd's socket, none where there is no such socket, are as `wanted`.
fn wait(space: &Namespace, what: &str, wanted: impl Fn(Option<u64>) -> bool) -> Result<()> {
    let begun = Instant::now();
    let port = format!(":{PORT:04X}");
    while begun.elapsed() < PATIENCE {
        let sockets = space.enter(|| std::fs::read_to_string("/proc/thread-self/net/udp"))??;
        let ours = sockets.lines().find_map(|line| {
            let mut columns = line.split_whitespace().skip(1);
            columns.next().filter(|local| local.ends_with(&port))?;
            let (_, waiting) = columns.nth(2)?.split_once(':')?;
            u64::from_str_radix(waiting, 16).ok()
        });
        if wanted(ours) {
            return Ok(());
        }
        std::thread::yield_now();
    }
    bail!("waited {PATIENCE:?} until {what}")
}

/// nfcapd's own default, in a namespace where nobody else is.
const PORT: u16 = 9_995;

/// Far more than it takes on a machine that works.
const PATIENCE: Duration = Duration::from_secs(60);
