//! The asking side: transfers, requests and datagrams of a given number and size.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{CHUNK, HEADER, PATIENCE, Protocol};
use crate::namespace::Namespace;
use crate::stop::Stop;

/// One flow, as its client saw it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sent {
    /// Its transport protocol.
    pub protocol: Protocol,
    /// The client's own address.
    pub source: SocketAddr,
    /// The address the client dialled, which may be a Service's.
    pub dialled: SocketAddr,
    /// Payload octets from the client.
    pub sent: u64,
    /// Payload octets to the client.
    pub received: u64,
}

/// Sends `octets` over one TCP connection and waits until the other side has read them all.
///
/// # Errors
/// When the connection fails or ends early.
pub fn transfer(from: &Namespace, to: SocketAddr, octets: u64) -> Result<Sent> {
    let done = from.enter(|| {
        let mut connection = Connection::open(to)?;
        connection.ask(octets, 1, None)?;
        connection.close()
    })?;
    done.with_context(|| format!("sending {octets} octets from {} to {to}", from.name()))
}

/// Asks `to` once for each of `pieces` (octets of the request, octets of the answer) over one TCP connection,
/// with a pause after each, so that one flow lasts.
///
/// # Errors
/// When the connection fails or ends early.
pub fn conversation(
    from: &Namespace,
    to: SocketAddr,
    pieces: &[(u64, u64)],
    pause: Duration,
) -> Result<Sent> {
    let clock = Stop::new()?;
    let done = from.enter(|| {
        let mut connection = Connection::open(to)?;
        for (request, answer) in pieces {
            connection.ask(*request, *answer, None)?;
            // Nobody else has this switch: it only waits.
            let _nobody = clock.wait(pause);
        }
        connection.close()
    })?;
    done.with_context(|| format!("a conversation of {} with {to}", from.name()))
}

/// Makes `count` TCP connections one after the other, each with a request and an answer of `octets`.
///
/// # Errors
/// When one of them fails or ends early.
pub fn requests(from: &Namespace, to: SocketAddr, count: usize, octets: u64) -> Result<Vec<Sent>> {
    let one = || {
        let mut connection = Connection::open(to)?;
        connection.ask(octets, octets, None)?;
        connection.close()
    };
    let done = from.enter(|| (0..count).map(|_| one()).collect::<io::Result<Vec<_>>>())?;
    done.with_context(|| format!("asking {to} {count} times from {}", from.name()))
}

/// Sends `count` UDP datagrams of `octets` from one socket; each is answered by one of the same size before
/// the next leaves.
///
/// # Errors
/// When an answer does not come.
pub fn datagrams(from: &Namespace, to: SocketAddr, count: usize, octets: u16) -> Result<Sent> {
    let done = from.enter(|| ask_datagrams(to, count, octets))?;
    done.with_context(|| format!("sending {count} datagrams from {} to {to}", from.name()))
}

fn ask_datagrams(to: SocketAddr, count: usize, octets: u16) -> io::Result<Sent> {
    let socket = UdpSocket::bind((unspecified(to), 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut datagram = vec![0; usize::from(octets)];
    datagram.get_mut(..2).ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(&octets.to_be_bytes());
    let mut flow =
        Sent { protocol: Protocol::Udp, source: socket.local_addr()?, dialled: to, sent: 0, received: 0 };
    let mut answer = vec![0; CHUNK];
    for _ in 0..count {
        flow.sent += socket.send(&datagram)? as u64;
        flow.received += socket.recv(&mut answer)? as u64;
    }
    Ok(flow)
}

/// An open TCP connection of a client.
pub(super) struct Connection {
    stream: TcpStream,
    flow: Sent,
}

impl Connection {
    pub(super) fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let source = stream.local_addr()?;
        Ok(Self { stream, flow: Sent { protocol: Protocol::Tcp, source, dialled: to, sent: 0, received: 0 } })
    }

    /// Sends a request of `request` octets and reads its answer of `answer`. Gives up early, without an
    /// error, when the switch is thrown.
    pub(super) fn ask(&mut self, request: u64, answer: u64, stop: Option<&Stop>) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        let request = request.max(HEADER as u64);
        buffer[..HEADER].copy_from_slice(&join(request, answer));
        let stopped = || stop.is_some_and(Stop::is_thrown);
        let mut left = request;
        while left > 0 && !stopped() {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.stream.write_all(&buffer[..most])?;
            self.flow.sent += most as u64;
            left -= most as u64;
        }
        left = answer;
        while left > 0 && !stopped() {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match self.stream.read(&mut buffer[..most])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => left -= count as u64,
            }
        }
        self.flow.received += answer - left;
        Ok(())
    }

    /// Ends the connection and waits for the other side to end it too, so that nothing is still under way.
    pub(super) fn close(mut self) -> io::Result<Sent> {
        self.stream.shutdown(std::net::Shutdown::Write)?;
        match self.stream.read(&mut [0])? {
            0 => Ok(self.flow),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the answer was longer than asked for")),
        }
    }
}

/// The length of a request, then of its answer.
fn join(request: u64, answer: u64) -> [u8; HEADER] {
    ((u128::from(request) << 64) | u128::from(answer)).to_be_bytes()
}

/// The reverse of what the client does.
pub(super) fn split(header: [u8; HEADER]) -> (u64, u64) {
    let both = u128::from_be_bytes(header);
    let low = |number: u128| u64::try_from(number & u128::from(u64::MAX)).unwrap_or(u64::MAX);
    (low(both >> 64), low(both))
}

fn unspecified(like: SocketAddr) -> IpAddr {
    if like.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_both_lengths() {
        for lengths in [(16, 0), (50_000_000, 1), (u64::MAX, u64::MAX)] {
            assert_eq!(split(join(lengths.0, lengths.1)), lengths);
        }
    }
}
