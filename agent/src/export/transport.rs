//! The connection to the collector: UDP, or TCP.
//!
//! Sockets are made by the thread that runs the agent, so that they belong to its network namespace.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::socket::{getsockopt, sockopt};
use podflow_cluster::Directory;
use podflow_ipfix::export::{ExportSettings, udp_message_size};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, lookup_host};

use crate::config::{CollectorAddr, Host, Protocol};

/// An open connection to the collector.
pub(crate) enum Transport {
    /// A message a datagram.
    Udp(UdpSocket),
    /// A stream of messages.
    Tcp(TcpStream),
}

impl Transport {
    /// Connects; tries every address that the host has.
    pub(crate) async fn connect(to: &CollectorAddr, directory: &Directory) -> Result<(Self, SocketAddr)> {
        let addresses = resolve(to, directory).await?;
        let mut last = None;
        for address in addresses {
            match Self::connect_to(to.protocol, address).await {
                Ok(transport) => return Ok((transport, address)),
                Err(error) => last = Some(error.context(format!("connecting to {address}"))),
            }
        }
        Err(last.unwrap_or_else(|| anyhow!("the host has no address")))
            .with_context(|| format!("connecting to the flow collector {to}"))
    }

    async fn connect_to(protocol: Protocol, address: SocketAddr) -> Result<Self> {
        match protocol {
            Protocol::Udp => {
                let any: IpAddr = match address {
                    SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                let socket = UdpSocket::bind((any, 0)).await?;
                socket.connect(address).await?;
                Ok(Self::Udp(socket))
            }
            Protocol::Tcp => {
                let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
                    .await
                    .map_err(|_| anyhow!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))??;
                stream.set_nodelay(true)?;
                // A peer that does not acknowledge for this long is gone: otherwise the kernel tries for minutes.
                SockRef::from(&stream).set_tcp_user_timeout(Some(USER_TIMEOUT))?;
                Ok(Self::Tcp(stream))
            }
            Protocol::Tls => bail!("tls is not available"),
        }
    }

    /// The settings of an exporting session over this connection.
    pub(crate) fn settings(&self, domain: u32) -> ExportSettings {
        match self {
            Self::Udp(socket) => {
                let ipv6 = socket.peer_addr().is_ok_and(|peer| peer.is_ipv6());
                // Every IPv6 path carries packets of 1,280 octets; IPv4 tells its path's size.
                let mtu = if ipv6 { Some(IPV6_LEAST_MTU) } else { path_mtu(socket) };
                ExportSettings::udp(domain, udp_message_size(mtu, ipv6))
            }
            Self::Tcp(_) => ExportSettings::stream(domain),
        }
    }

    /// Sends one message.
    pub(crate) async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => match socket.send(message).await {
                Ok(_) => Ok(()),
                // What an earlier datagram met (a port nobody listens on) is told at the next: that one was not sent.
                Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => {
                    socket.send(message).await.map(drop)
                }
                Err(error) => Err(error),
            },
            Self::Tcp(stream) => stream.write_all(message).await,
        }
    }

    /// Waits until the collector closes the connection; over UDP for ever. Collectors send nothing, what they do
    /// send is thrown away.
    pub(crate) async fn closed(&mut self) -> io::Error {
        match self {
            Self::Udp(_) => std::future::pending().await,
            Self::Tcp(stream) => {
                let mut scrap = [0; 512];
                loop {
                    match stream.read(&mut scrap).await {
                        Ok(0) => {
                            return io::Error::new(
                                io::ErrorKind::ConnectionAborted,
                                "the collector closed the connection",
                            );
                        }
                        Ok(_) => {}
                        Err(error) => return error,
                    }
                }
            }
        }
    }

    /// Says goodbye: what was written is delivered before the connection closes.
    pub(crate) async fn close(mut self) -> io::Result<()> {
        match &mut self {
            Self::Udp(_) => Ok(()),
            Self::Tcp(stream) => stream.shutdown().await,
        }
    }
}

async fn resolve(to: &CollectorAddr, directory: &Directory) -> Result<Vec<SocketAddr>> {
    match &to.host {
        Host::Address(address) => Ok(vec![SocketAddr::new(*address, to.port)]),
        Host::Name(name) => {
            let found = lookup_host((name.as_str(), to.port)).await;
            Ok(found.with_context(|| format!("resolving {name}"))?.collect())
        }
        Host::Service { namespace, name } => {
            let service = directory
                .service_named(namespace, name)
                .ok_or_else(|| anyhow!("there is no Service {namespace}/{name} (or none is known yet)"))?;
            Ok(service.cluster_ips.iter().map(|address| SocketAddr::new(*address, to.port)).collect())
        }
    }
}

fn path_mtu(socket: &UdpSocket) -> Option<u16> {
    getsockopt(socket, sockopt::IpMtu).ok().and_then(|mtu| u16::try_from(mtu).ok())
}

/// A collector that does not answer for this long is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// TCP_USER_TIMEOUT.
const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// RFC 8200 section 5.
const IPV6_LEAST_MTU: u16 = 1_280;
