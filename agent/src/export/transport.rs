//! The connection to the collector: UDP, TCP, or TLS over TCP.
//!
//! Sockets are made by the thread that runs the agent, so that they belong to its network namespace.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sys::socket::{getsockopt, sockopt};
use podflow_cluster::Directory;
use podflow_daemon::tls::Identity;
use podflow_ipfix::export::{ExportSettings, udp_message_size};
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::unacknowledged;
use crate::config::{CollectorAddr, Host, Protocol, Tls};

/// An open connection to the collector.
pub(crate) enum Transport {
    /// A message a datagram.
    Udp(UdpSocket),
    /// A stream of messages.
    Tcp(TcpStream),
    /// The stream under TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    /// Connects; tries every address that the host has.
    pub(crate) async fn connect(
        to: &CollectorAddr,
        tls: Option<&Tls>,
        directory: &Directory,
    ) -> Result<(Self, SocketAddr)> {
        let addresses = resolve(to, directory).await?;
        let mut last = None;
        for address in addresses {
            let connecting = async {
                match to.protocol {
                    Protocol::Udp => udp(address).await,
                    Protocol::Tcp => Ok(Self::Tcp(tcp(address).await?)),
                    Protocol::Tls => {
                        let tls = tls.ok_or_else(|| anyhow!("podflow.tls is not configured"))?;
                        Ok(Self::Tls(Box::new(handshake(tcp(address).await?, to, tls).await?)))
                    }
                }
            };
            let connected = timeout(CONNECT_TIMEOUT, connecting)
                .await
                .unwrap_or_else(|_| Err(anyhow!("no answer within {} s", CONNECT_TIMEOUT.as_secs())));
            match connected {
                Ok(transport) => return Ok((transport, address)),
                Err(error) => last = Some(error.context(format!("connecting to {address}"))),
            }
        }
        Err(last.unwrap_or_else(|| anyhow!("the host has no address")))
            .with_context(|| format!("connecting to the flow collector {to}"))
    }

    /// The settings of an exporting session over this connection; UDP messages fit packets of `path_mtu` octets, where
    /// that is given.
    pub(crate) fn settings(&self, domain: u32, path_mtu: Option<u16>) -> ExportSettings {
        match self {
            Self::Udp(socket) => {
                let ipv6 = socket.peer_addr().is_ok_and(|peer| peer.is_ipv6());
                // Every IPv6 path carries packets of 1,280 octets; IPv4 tells its path's size.
                let known = || if ipv6 { Some(IPV6_LEAST_MTU) } else { known_mtu(socket) };
                ExportSettings::udp(domain, udp_message_size(path_mtu.or_else(known), ipv6))
            }
            Self::Tcp(_) | Self::Tls(_) => ExportSettings::stream(domain),
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
            Self::Tls(stream) => {
                stream.write_all(message).await?;
                stream.flush().await
            }
        }
    }

    /// Waits until the collector closes the connection; over UDP for ever. Collectors send nothing, what they do
    /// send is thrown away.
    pub(crate) async fn closed(&mut self) -> io::Error {
        match self {
            Self::Udp(_) => std::future::pending().await,
            Self::Tcp(stream) => ended(stream).await,
            Self::Tls(stream) => ended(stream).await,
        }
    }

    /// Octets written that the peer has not acknowledged; `None` over UDP.
    pub(crate) fn unacknowledged(&self) -> Option<u64> {
        let stream = match self {
            Self::Udp(_) => return None,
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        unacknowledged::octets(stream.as_fd()).ok()
    }

    /// Says goodbye: what was written is delivered before the connection closes.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        match self {
            Self::Udp(_) => Ok(()),
            Self::Tcp(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
        }
    }
}

async fn udp(address: SocketAddr) -> Result<Transport> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    Ok(Transport::Udp(socket))
}

async fn tcp(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    // A peer that does not acknowledge for this long is gone: otherwise the kernel tries for minutes.
    SockRef::from(&stream).set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(stream)
}

/// The files are read at every connect, so that renewed certificates take effect.
async fn handshake(stream: TcpStream, to: &CollectorAddr, tls: &Tls) -> Result<TlsStream<TcpStream>> {
    let identity = tls
        .identity
        .as_ref()
        .map(|(certificate, key)| Identity { certificate: certificate.clone(), key: key.clone() });
    let config = podflow_daemon::tls::client(&tls.ca, identity.as_ref())?;
    let name = match (&tls.server_name, &to.host) {
        (Some(name), _) | (None, Host::Name(name)) => name.clone(),
        (None, Host::Address(address)) => address.to_string(),
        (None, Host::Service { namespace, name }) => format!("{name}.{namespace}.svc"),
    };
    let server = ServerName::try_from(name.clone()).with_context(|| {
        format!("\"{name}\" cannot be the name of a TLS server: set podflow.tls.serverName")
    })?;
    TlsConnector::from(config)
        .connect(server, stream)
        .await
        .with_context(|| format!("agreeing on TLS with {name}"))
}

/// Reads until the peer closes.
async fn ended(stream: &mut (impl AsyncRead + Unpin)) -> io::Error {
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

pub(crate) async fn resolve(to: &CollectorAddr, directory: &Directory) -> Result<Vec<SocketAddr>> {
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

fn known_mtu(socket: &UdpSocket) -> Option<u16> {
    getsockopt(socket, sockopt::IpMtu).ok().and_then(|mtu| u16::try_from(mtu).ok())
}

/// A collector that does not answer for this long is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// TCP_USER_TIMEOUT.
const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// RFC 8200 section 5.
const IPV6_LEAST_MTU: u16 = 1_280;

#[cfg(test)]
mod tests {
    use podflow_ipfix::export::ExportTransport;

    use super::*;

    #[tokio::test]
    async fn messages_fit_the_path_that_is_known_or_given() {
        for (peer, given, largest) in [
            ("127.0.0.1:9", Some(1_400), 1_400 - 28),
            ("127.0.0.1:9", Some(512), 512 - 28),
            ("[::1]:9", Some(9_000), 9_000 - 48),
            ("[::1]:9", None, 1_280 - 48),
        ] {
            let transport = udp(peer.parse().unwrap()).await.unwrap();
            let expected = ExportTransport::Udp { largest_message: largest };
            assert_eq!(transport.settings(7, given).transport, expected, "{peer} {given:?}");
        }
        // Of loopback the kernel knows 65,536 octets, more than a packet can have.
        let transport = udp("127.0.0.1:9".parse().unwrap()).await.unwrap();
        let ExportTransport::Udp { largest_message } = transport.settings(7, None).transport else {
            panic!("UDP wanted")
        };
        assert!([512 - 28, 65_535 - 28].contains(&largest_message), "{largest_message}");
    }
}
