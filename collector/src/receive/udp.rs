//! Datagrams of one UDP socket to their decoders.

use std::net::SocketAddr;

use anyhow::{Context, Result};
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
    let socket = UdpSocket::from_std(socket).with_context(|| format!("reading from udp {address}"))?;
    info!(address = %address, receive_buffer = granted, "listening for IPFIX over udp");
    let mut buffer = vec![0; LARGEST];
    loop {
        let stopping = shutdown.is_cancelled();
        if !stopping {
            tokio::select! {
                ready = socket.ready(Interest::READABLE) => { ready.context("waiting for a datagram")?; }
                () = shutdown.cancelled() => {}
            }
        }
        for _ in 0..ROUND {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, from)) => hand_on(&decoders, &account, from, &buffer[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    if stopping {
                        return Ok(());
                    }
                    break;
                }
                // An ICMP answer to something nobody sent, a signal: the socket goes on.
                Err(error) => {
                    warn!(address = %address, "receiving: {error}");
                    break;
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

fn hand_on(decoders: &Decoders, account: &Account, from: SocketAddr, octets: &[u8]) {
    account.message();
    let input = Input::Datagram { from, received_ms: now_ms(), octets: octets.to_vec() };
    if decoders.of(from.ip().to_canonical()).try_send(input).is_err() {
        account.message_dropped(MessageDrop::QueueFull, 1);
    }
}

/// The largest datagram there is.
const LARGEST: usize = 65_535;

/// Datagrams taken before others have a turn.
const ROUND: usize = 256;
