//! A wire between two network namespaces, known traffic on it, and other people's exporters that watch it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use podflow_testbed::Namespace;
use podflow_testbed::tools::{IP, run};

/// Two namespaces and the wire.
#[derive(Debug)]
pub struct Wire {
    /// Where the traffic is sent from, the exporter watches, and a collector listens on loopback.
    pub near: Namespace,
    _far: Namespace,
    filler: UdpSocket,
}

/// What is known of the flows that were sent: packets and octets of their IP packets, by source and destination.
pub type Known = BTreeMap<(SocketAddr, SocketAddr), (u64, u64)>;

impl Wire {
    /// Makes it.
    ///
    /// # Errors
    /// When the kernel refuses, or `ip` is missing.
    pub fn start() -> Result<Self> {
        let (near, far) = (Namespace::new("near")?, Namespace::new("far")?);
        let far_path = far.path();
        let ends = |own: u8| {
            format!(
                "link set lo up\nlink set {WATCHED} up\naddress add 10.9.0.{own}/24 dev {WATCHED}\n\
                 address add fd09::{own}/64 dev {WATCHED} nodad\n"
            )
        };
        let link = format!(
            "link add name {WATCHED} type veth peer name {WATCHED} netns {}\n{}",
            far_path.display(),
            ends(1)
        );
        run(&near, IP, &["-batch", "-"], &link)?;
        run(&far, IP, &["-batch", "-"], &ends(2))?;
        let filler = near.enter(|| UdpSocket::bind((NEAR_V4, 0)))??;
        Ok(Self { near, _far: far, filler })
    }

    /// Sends `flows` UDP flows of one to three datagrams of different lengths, every third over IPv6 where `ipv6`, from
    /// `first_port` on.
    ///
    /// # Errors
    /// When they cannot be sent.
    pub fn send_known(&self, first_port: u16, flows: u16, ipv6: bool) -> Result<Known> {
        let mut known = Known::new();
        for number in 0..flows {
            let (near, far, headers): (IpAddr, IpAddr, u64) = if ipv6 && number % 3 == 2 {
                (NEAR_V6.into(), FAR_V6.into(), 40 + 8)
            } else {
                (NEAR_V4.into(), FAR_V4.into(), 20 + 8)
            };
            let source = SocketAddr::new(near, first_port + number);
            let destination = SocketAddr::new(far, 9_000 + number % 7);
            let socket = self.near.enter(|| UdpSocket::bind(source))??;
            let datagram = vec![0; usize::from(100 + number)];
            let packets = 1 + u64::from(number % 3);
            for _ in 0..packets {
                // Nobody listens there; what the peer answers to that is no flow of ours.
                socket.send_to(&datagram, destination)?;
            }
            known.insert((source, destination), (packets, packets * (headers + datagram.len() as u64)));
        }
        Ok(known)
    }

    /// Packets of no interest. A capture's buffer is handed on when it is full, so what was sent before needs some behind
    /// it.
    ///
    /// # Errors
    /// When they cannot be sent.
    pub fn send_filler(&self) -> Result<()> {
        for _ in 0..FILLER {
            self.filler.send_to(&[], (FAR_V4, FILLER_PORT))?;
        }
        Ok(())
    }
}

/// An exporter that watches a wire; ended when this is dropped.
#[derive(Debug)]
pub struct Watcher {
    program: &'static str,
    child: Child,
    control: Option<PathBuf>,
}

impl Watcher {
    /// softflowd, exporting to a port on loopback in NetFlow 5 or 9 or IPFIX (10), seeing one packet of `sampling`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn softflowd(wire: &Wire, folder: &Path, to: u16, version: u8, sampling: u32) -> Result<Self> {
        let control = folder.join("softflowd.ctl");
        let mut command = Command::new("softflowd");
        command.args(["-d", "-N", "-i", WATCHED, "-n", &format!("127.0.0.1:{to}")]);
        command.args(["-v", &version.to_string(), "-s", &sampling.to_string()]);
        command.arg("-p").arg(folder.join("softflowd.pid")).arg("-c").arg(&control);
        let child = wire.near.enter(|| start(&mut command))??;
        Ok(Self { program: "softflowd", child, control: Some(control) })
    }

    /// pmacctd with its nfprobe plugin, exporting to a port on loopback in NetFlow 9 or IPFIX (10).
    ///
    /// # Errors
    /// When it does not start.
    pub fn pmacctd(wire: &Wire, folder: &Path, to: u16, version: u8) -> Result<Self> {
        let configuration = folder.join("pmacctd.conf");
        let text = format!(
            "daemonize: false\npcap_interface: {WATCHED}\npidfile: {}\n\
             aggregate: src_host, dst_host, src_port, dst_port, proto, tos\nplugins: nfprobe[probe]\n\
             nfprobe_receiver[probe]: 127.0.0.1:{to}\nnfprobe_version[probe]: {version}\n\
             nfprobe_timeouts[probe]: udp=1:icmp=1:general=1:maxlife=2:expint=1\n",
            folder.join("pmacctd.pid").display(),
        );
        std::fs::write(&configuration, text)?;
        let mut command = Command::new("pmacctd");
        command.arg("-f").arg(&configuration);
        let child = wire.near.enter(|| start(&mut command))??;
        Ok(Self { program: "pmacctd", child, control: None })
    }

    /// Asks it to export what it has seen now, where it can be asked; the other does so each second.
    ///
    /// # Errors
    /// When it has ended.
    pub fn nudge(&mut self) -> Result<()> {
        if let Some(ended) = self.child.try_wait()? {
            anyhow::bail!("{} has ended: {ended}", self.program);
        }
        if let Some(control) = self.control.as_ref().filter(|control| control.exists()) {
            let mut command = Command::new("softflowctl");
            command.arg("-c").arg(control).arg("expire-all").stdin(Stdio::null()).stdout(Stdio::null());
            // Before it listens there it cannot be asked: the next time it can.
            let _not_yet = command.stderr(Stdio::null()).status().context("running softflowctl")?;
        }
        Ok(())
    }

    /// Ends it and what it started at once: when this returns, nothing more is sent.
    ///
    /// # Errors
    /// When it had ended by itself.
    pub fn stop(mut self) -> Result<()> {
        self.nudge()?;
        self.kill()
    }

    fn kill(&mut self) -> Result<()> {
        killpg(Pid::from_raw(self.child.id().try_into()?), Signal::SIGKILL)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // After `stop` it is gone already, and there is nothing to do.
        let _gone = self.kill();
    }
}

fn start(command: &mut Command) -> Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It may have processes of its own, which end with it.
    command.process_group(0);
    command.spawn().with_context(|| format!("running {command:?}; `make deps` installs it"))
}

/// The name of both ends of the wire.
const WATCHED: &str = "wire0";
const NEAR_V4: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const FAR_V4: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const NEAR_V6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1);
const FAR_V6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 2);
/// The discard service.
const FILLER_PORT: u16 = 9;
/// A buffer of libpcap holds about 1,600 of these packets.
const FILLER: usize = 400;
