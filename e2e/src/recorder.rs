//! What agents send, taken down as it comes: TCP streams octet by octet, UDP by a capture program.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use podflow_testbed::namespace::Namespace;

/// Takes a given number of TCP connections and keeps what each sends until it closes.
#[derive(Debug)]
pub struct Streams {
    port: u16,
    connections: usize,
    connected: Receiver<()>,
    thread: JoinHandle<anyhow::Result<Vec<Vec<u8>>>>,
}

impl Streams {
    /// Listens inside `namespace` for `connections` connections, no more.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn listen(namespace: &Namespace, connections: usize) -> anyhow::Result<Self> {
        let listener = namespace.enter(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)))??;
        let port = listener.local_addr()?.port();
        let (connects, connected) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || accept(&listener, connections, &connects));
        Ok(Self { port, connections, connected, thread })
    }

    /// Waits until all connections are there.
    ///
    /// # Errors
    /// When it cannot take connections any more.
    pub fn wait_connected(&self) -> anyhow::Result<()> {
        (0..self.connections)
            .try_for_each(|_| self.connected.recv())
            .context("the recorder of TCP streams ended")
    }

    /// The port it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What came over each connection, once all have closed.
    ///
    /// # Errors
    /// When a connection broke off.
    pub fn finish(self) -> anyhow::Result<Vec<Vec<u8>>> {
        self.thread.join().map_err(|_| anyhow!("the thread that records TCP streams panicked"))?
    }
}

fn accept(listener: &TcpListener, connections: usize, connects: &Sender<()>) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut readers = Vec::new();
    for _ in 0..connections {
        let (connection, _) = listener.accept()?;
        readers.push(std::thread::spawn(move || read(connection)));
        // Nobody needs to wait for it.
        let _unheard = connects.send(());
    }
    let join = |reader: JoinHandle<anyhow::Result<Vec<u8>>>| {
        reader.join().map_err(|_| anyhow!("a reader panicked"))?
    };
    readers.into_iter().map(join).collect()
}

fn read(mut connection: TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut octets = Vec::new();
    connection.read_to_end(&mut octets).context("reading a TCP stream to its end")?;
    Ok(octets)
}

/// A UDP socket with a capture beside it, so that other programs read what really was on the wire.
#[derive(Debug)]
pub struct Datagrams {
    port: u16,
    ended: Arc<AtomicBool>,
    receiver: JoinHandle<usize>,
    capture: Capture,
}

impl Datagrams {
    /// Listens inside `namespace` and captures into `file`.
    ///
    /// # Errors
    /// When it cannot listen there or the capture program (dumpcap, of the package tshark) does not start.
    pub fn listen(namespace: &Namespace, file: &Path) -> anyhow::Result<Self> {
        let socket = namespace.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))??;
        socket.set_read_timeout(Some(SILENCE))?;
        let port = socket.local_addr()?.port();
        let capture = namespace.enter(|| Capture::start(port, file))??;
        let ended = Arc::new(AtomicBool::new(false));
        let receiver = std::thread::spawn({
            let ended = Arc::clone(&ended);
            move || receive(&socket, &ended)
        });
        Ok(Self { port, ended, receiver, capture })
    }

    /// The port it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Ends the capture once every datagram that was sent has been received; gives their number. To be called when
    /// the senders have ended.
    ///
    /// # Errors
    /// When the capture did not end well.
    pub fn finish(self) -> anyhow::Result<usize> {
        self.ended.store(true, Ordering::Release);
        let received =
            self.receiver.join().map_err(|_| anyhow!("the thread that receives datagrams panicked"))?;
        self.capture.finish(received)?;
        Ok(received)
    }
}

/// Counts datagrams until the senders have ended and the socket's buffer is empty: all are on this machine, so what
/// was sent is there.
fn receive(socket: &UdpSocket, ended: &AtomicBool) -> usize {
    let mut buffer = [0; 65_535];
    let mut received = 0;
    loop {
        let was_ended = ended.load(Ordering::Acquire);
        match socket.recv(&mut buffer) {
            Ok(_) => received += 1,
            Err(_) if was_ended => return received,
            Err(_) => {}
        }
    }
}

/// dumpcap, which comes with tshark.
#[derive(Debug)]
pub struct Capture {
    child: Child,
    said: BufReader<ChildStderr>,
}

impl Capture {
    /// Captures what goes to and from a UDP port in the network namespace of this thread; returns once it does.
    ///
    /// # Errors
    /// When the program is missing or does not begin.
    pub fn start(port: u16, file: &Path) -> anyhow::Result<Self> {
        let filter = format!("udp port {port}");
        let mut child = Command::new("dumpcap")
            // It ends by itself even when nobody is left to stop it.
            .args(["-i", "any", "-a", "duration:300", "-f", &filter, "-w"])
            .arg(file)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("running dumpcap; `make deps` installs it")?;
        let said = BufReader::new(child.stderr.take().context("dumpcap's standard error")?);
        let mut capture = Self { child, said };
        capture.wait_until_it_captures()?;
        Ok(capture)
    }

    /// Ends it when it has written `datagrams`: what it has not read from the kernel by its end is not in the file.
    ///
    /// # Errors
    /// When it captured fewer, or did not end well.
    pub fn finish(mut self, datagrams: usize) -> anyhow::Result<()> {
        let mut written = 0;
        while written < datagrams {
            // It says so several times a second, each time over what it said before: `\rPackets: 12 `.
            let mut word = Vec::new();
            if self.said.read_until(b' ', &mut word)? == 0 {
                bail!("dumpcap ended after {written} of {datagrams} datagrams");
            }
            written = std::str::from_utf8(&word)?.trim().parse().unwrap_or(written);
        }
        kill(Pid::from_raw(self.child.id().try_into()?), Signal::SIGINT)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("dumpcap: {status}");
        }
        Ok(())
    }

    /// It says on which interface it captures, and with `File:` that it has begun.
    fn wait_until_it_captures(&mut self) -> anyhow::Result<()> {
        let mut lines = Vec::new();
        for line in self.said.by_ref().lines() {
            let line = line?;
            if line.starts_with("File:") {
                return Ok(());
            }
            lines.push(line);
        }
        bail!("dumpcap did not begin: {}", lines.join("; "))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // After `finish` it is gone already, and there is nothing to do.
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// How often it is asked whether the senders have ended.
const SILENCE: Duration = Duration::from_millis(200);
