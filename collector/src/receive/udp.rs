//! Datagrams of one UDP socket to their decoders, many with one system call.
//!
//! The kernel says with each datagram how many it had to drop before it for want of room (SO_RXQ_OVFL).

use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, setsockopt, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::account::{Account, MessageDrop};

use super::{Decoders, Input, now_ms};

/// Reads until `shutdown`, and then what had come before it.
///
/// # Errors
/// When the runtime does not take the socket.
pub(crate) async fn read(
    socket: std::net::UdpSocket,
    decoders: Decoders,
    account: Account,
    shutdown: CancellationToken,
) -> Result<()> {
    let address = socket.local_addr().context("asking for a socket's address")?;
    let granted = socket2::SockRef::from(&socket).recv_buffer_size().unwrap_or_default();
    setsockopt(&socket, sockopt::RxqOvfl, &1)
        .context("asking for the kernel's count of dropped datagrams")?;
    let socket = UdpSocket::from_std(socket).with_context(|| format!("reading from udp {address}"))?;
    info!(address = %address, receive_buffer = granted, "listening for IPFIX over udp");
    let mut reader = Reader { buffer: vec![0; AT_ONCE * LARGEST], dropped_before: 0 };
    loop {
        let stopping = shutdown.is_cancelled();
        if !stopping {
            tokio::select! {
                ready = socket.ready(Interest::READABLE) => { ready.context("waiting for a datagram")?; }
                () = shutdown.cancelled() => {}
            }
        }
        let round = socket.try_io(Interest::READABLE, || {
            reader.round(socket.as_raw_fd(), |from, octets| hand_on(&decoders, &account, from, octets))
        });
        match round {
            Ok(0) => {}
            Ok(dropped) => {
                account.message_dropped(MessageDrop::Kernel, dropped);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if stopping {
                    return Ok(());
                }
            }
            // An ICMP answer to something nobody sent, a signal: the socket goes on.
            Err(error) => warn!(address = %address, "receiving: {error}"),
        }
        tokio::task::yield_now().await;
    }
}

fn hand_on(decoders: &Decoders, account: &Account, from: SocketAddr, octets: &[u8]) {
    account.message();
    let input = |room| Input::Datagram { from, received_ms: now_ms(), octets: octets.to_vec(), room };
    if !decoders.of(from.ip().to_canonical()).offer(octets.len(), input) {
        account.message_dropped(MessageDrop::QueueFull, 1);
    }
}

/// The buffers of one socket.
struct Reader {
    buffer: Vec<u8>,
    /// The kernel's count, which begins with the socket and wraps at 2^32.
    dropped_before: u32,
}

impl Reader {
    /// Takes as many datagrams as there are, up to [`AT_ONCE`]; answers how many the kernel had dropped.
    fn round(&mut self, socket: i32, mut taken: impl FnMut(SocketAddr, &[u8])) -> std::io::Result<u64> {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            self.buffer.chunks_exact_mut(LARGEST).map(|slice| [IoSliceMut::new(slice)]).collect();
        // Made anew: the kernel shortens the space for control messages to what it used.
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(AT_ONCE, Some(nix::cmsg_space!(u32)));
        let received = recvmmsg(socket, &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        let mut dropped = 0;
        for message in received {
            for control in message.cmsgs().into_iter().flatten() {
                if let ControlMessageOwned::RxqOvfl(count) = control {
                    dropped += u64::from(count.wrapping_sub(self.dropped_before));
                    self.dropped_before = count;
                }
            }
            let from = message.address.as_ref().and_then(socket_address);
            let Some(from) = from else { continue };
            let octets = message.iovs().next().unwrap_or_default();
            taken(from, octets);
        }
        Ok(dropped)
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::new(v4.ip().into(), v4.port()));
    }
    address.as_sockaddr_in6().map(|v6| SocketAddr::new(v6.ip().into(), v6.port()))
}

/// The largest datagram there is.
const LARGEST: usize = 65_535;

/// Datagrams of one system call: more save little, and the buffer is 4 MB already.
const AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(receive_buffer: usize) -> (std::net::UdpSocket, std::net::UdpSocket) {
        let receiver =
            crate::receive::bind_udp("[::]:0".parse().unwrap(), receive_buffer, 1).unwrap().remove(0);
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(("127.0.0.1", receiver.local_addr().unwrap().port())).unwrap();
        setsockopt(&receiver, sockopt::RxqOvfl, &1).unwrap();
        (receiver, sender)
    }

    #[test]
    fn many_datagrams_of_one_call_keep_their_order_and_sender() {
        let (receiver, sender) = pair(1 << 20);
        for number in 0..10_u8 {
            sender.send(&vec![number; usize::from(number) + 1]).unwrap();
        }
        let mut reader = Reader { buffer: vec![0; AT_ONCE * LARGEST], dropped_before: 0 };
        let mut taken = Vec::new();
        let dropped = reader
            .round(receiver.as_raw_fd(), |from, octets| {
                assert_eq!(from.ip().to_canonical(), sender.local_addr().unwrap().ip());
                assert_eq!(from.port(), sender.local_addr().unwrap().port());
                taken.push((octets[0], octets.len()));
            })
            .unwrap();
        assert_eq!(dropped, 0);
        assert_eq!(taken, (0..10_u8).map(|number| (number, usize::from(number) + 1)).collect::<Vec<_>>());
        let nothing = reader.round(receiver.as_raw_fd(), |_, _| panic!("nothing was sent")).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    }

    #[test]
    fn what_the_kernel_drops_is_counted() {
        let (receiver, sender) = pair(4096);
        let mut reader = Reader { buffer: vec![0; AT_ONCE * LARGEST], dropped_before: 0 };
        let (mut taken, mut dropped) = (0_u64, 0);
        for _ in 0..3 {
            for _ in 0..200 {
                sender.send(&[7; 1000]).unwrap();
            }
            while let Ok(lost) = reader.round(receiver.as_raw_fd(), |_, _| taken += 1) {
                dropped += lost;
            }
        }
        // A last one, before which nothing is lost, brings the count up to date.
        sender.send(&[7; 1000]).unwrap();
        dropped += reader.round(receiver.as_raw_fd(), |_, _| taken += 1).unwrap();
        assert!(dropped > 0, "the receive buffer took all of it");
        assert_eq!(taken + dropped, 601);
    }
}
