//! Listening sockets: bound before anything else starts, so that an occupied port stops the start with a sentence.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};

/// So many UDP sockets on one address, with as large receive buffers as the kernel grants. The kernel gives all
/// datagrams of one exporter's port to the same socket.
pub(crate) fn bind_udp(address: SocketAddr, receive_buffer: usize, sockets: usize) -> Result<Vec<UdpSocket>> {
    let context = || format!("listening for IPFIX on udp {address}");
    // Sockets that share a port do not notice another process that shares it too: a first one asks for it alone.
    let alone = bound(address, Type::DGRAM, Protocol::UDP, |_| Ok(())).with_context(context)?;
    let address = alone.local_addr()?.as_socket().unwrap_or(address);
    drop(alone);
    let one = |_| {
        let socket = bound(address, Type::DGRAM, Protocol::UDP, |socket| {
            if sockets > 1 {
                socket.set_reuse_port(true)?;
            }
            // The kernel cuts the wish at net.core.rmem_max; what was granted is said when reading begins.
            socket.set_recv_buffer_size(receive_buffer)
        });
        socket.map(Into::into).with_context(context)
    };
    (0..sockets.max(1)).map(one).collect()
}

/// A TCP listener.
pub(crate) fn bind_tcp(address: SocketAddr) -> Result<TcpListener> {
    listener(address).with_context(|| format!("listening for IPFIX on tcp {address}"))
}

/// The listener of page and query API.
pub(crate) fn bind_http(address: SocketAddr) -> Result<TcpListener> {
    listener(address).with_context(|| format!("listening for the web page on {address}"))
}

fn listener(address: SocketAddr) -> Result<TcpListener> {
    let socket = bound(address, Type::STREAM, Protocol::TCP, |socket| socket.set_reuse_address(true))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bound(
    address: SocketAddr,
    kind: Type,
    protocol: Protocol,
    prepare: impl Fn(&Socket) -> std::io::Result<()>,
) -> Result<Socket> {
    let socket = match Socket::new(Domain::for_address(address), kind, Some(protocol)) {
        Ok(socket) => socket,
        // A machine without IPv6: everywhere means every IPv4 address there.
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) && is_everywhere(address.ip()) => {
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            return bound(address, kind, protocol, prepare);
        }
        Err(error) => return Err(error.into()),
    };
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    prepare(&socket)?;
    socket.set_nonblocking(true)?;
    match socket.bind(&address.into()) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(error)
            .context("another process has this port: stop it, or choose another port in collector.yml"),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(socket),
    }
}

fn is_everywhere(ip: IpAddr) -> bool {
    ip.is_ipv6() && ip.is_unspecified()
}

/// Connections that may wait to be accepted: all agents of a cluster come back at once after a restart.
const BACKLOG: i32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_occupied_port_is_named() {
        let udp = bind_udp("127.0.0.1:0".parse().unwrap(), 1 << 16, 2).unwrap();
        let taken = udp[0].local_addr().unwrap();
        assert_eq!(udp[1].local_addr().unwrap(), taken);
        let error = format!("{:#}", bind_udp(taken, 1 << 16, 2).unwrap_err());
        assert!(
            error.starts_with(&format!("listening for IPFIX on udp {taken}: another process has")),
            "{error}"
        );
        let tcp = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let taken = tcp.local_addr().unwrap();
        let error = format!("{:#}", bind_http(taken).unwrap_err());
        assert!(
            error.starts_with(&format!("listening for the web page on {taken}: another process")),
            "{error}"
        );
    }

    #[test]
    fn everywhere_takes_both_families() {
        let udp = bind_udp("[::]:0".parse().unwrap(), 1 << 16, 1).unwrap().remove(0);
        let port = udp.local_addr().unwrap().port();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"x", ("127.0.0.1", port)).unwrap();
        udp.set_nonblocking(false).unwrap();
        let (_, from) = udp.recv_from(&mut [0; 8]).unwrap();
        assert_eq!(from.ip().to_canonical(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}
