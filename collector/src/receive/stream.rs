//! Connections of one TCP or TLS listener: streams cut into messages, in order, to the decoder of their exporter.
//!
//! A reader that cannot hand on its message waits, reads no more, and so the kernel slows the exporter down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use podflow_ipfix::framing::Framer;

use crate::account::Account;

use super::bad_input::BadInput;
use super::{Decoders, Input, now_ms};

/// How a connection's octets travel.
#[derive(Clone)]
pub(crate) enum Kind {
    /// As they are.
    Tcp,
    /// Encrypted (RFC 7011 section 11 over TCP).
    Tls(TlsAcceptor),
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl Kind {
    /// The word for logs and `/status`.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls(_) => "tls",
        }
    }
}

/// What all connections share.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    pub(crate) decoders: Decoders,
    pub(crate) account: Account,
    pub(crate) bad_input: BadInput,
    pub(crate) limit: Arc<Semaphore>,
    pub(crate) numbers: Arc<AtomicU64>,
    pub(crate) idle_timeout: Duration,
    pub(crate) shutdown: CancellationToken,
}

/// Accepts connections until `shutdown`, then waits for their readers to hand on what had come.
///
/// # Errors
/// When the runtime does not take the socket.
pub(crate) async fn accept(
    listener: std::net::TcpListener,
    kind: Kind,
    connections: Connections,
) -> Result<()> {
    let address = listener.local_addr().context("asking for a listener's address")?;
    let listener = TcpListener::from_std(listener).with_context(|| format!("accepting on {address}"))?;
    info!(address = %address, "listening for IPFIX over {}", kind.word());
    let mut readers = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = connections.shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, from)) => {
                while readers.try_join_next().is_some() {}
                let Ok(permit) = Arc::clone(&connections.limit).try_acquire_owned() else {
                    connections.bad_input.note(
                        from.ip().to_canonical(),
                        "connection_limit",
                        "connection refused: as many are open as listen.connections allows",
                    );
                    continue;
                };
                readers.spawn(connection(stream, from, kind.clone(), connections.clone(), permit));
            }
            Err(error) => {
                // Out of file descriptors, mostly: it passes when connections end.
                warn!(address = %address, "accepting a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    while readers.join_next().await.is_some() {}
    Ok(())
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    kind: Kind,
    connections: Connections,
    _permit: OwnedSemaphorePermit,
) {
    let number = connections.numbers.fetch_add(1, Ordering::Relaxed);
    debug!(exporter = %from, "connected over {}", kind.word());
    // A peer that vanished without a word is found out.
    let keepalive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60));
    if let Err(error) = socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive) {
        debug!(exporter = %from, "asking for keepalives: {error}");
    }
    let peer = Peer { from, number, kind: kind.clone() };
    match kind {
        Kind::Tcp => read(stream, &peer, &connections).await,
        Kind::Tls(acceptor) => {
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => read(stream, &peer, &connections).await,
                Ok(Err(error)) => {
                    let what = format_args!("connection closed: TLS handshake: {error}");
                    connections.bad_input.note(from.ip().to_canonical(), "tls_handshake", what);
                }
                Err(_) => {
                    let what = "connection closed: the TLS handshake took too long";
                    connections.bad_input.note(from.ip().to_canonical(), "tls_handshake", what);
                }
            };
        }
    }
    connections.decoders.of(from.ip().to_canonical()).tell(Input::Closed { connection: number }).await;
    debug!(exporter = %from, "connection ended");
}

/// The other end of a connection.
struct Peer {
    from: SocketAddr,
    number: u64,
    kind: Kind,
}

async fn read(mut stream: impl AsyncRead + Unpin, peer: &Peer, connections: &Connections) {
    let Peer { from, number, kind } = peer;
    let exporter = from.ip().to_canonical();
    let queue = connections.decoders.of(exporter);
    let mut framer = Framer::new();
    let mut buffer = vec![0; READ];
    let mut stop_at = None;
    loop {
        let until = stop_at.unwrap_or_else(|| Instant::now() + connections.idle_timeout);
        let length = tokio::select! {
            biased;
            read = tokio::time::timeout_at(until, stream.read(&mut buffer)) => match read {
                Ok(Ok(length)) => length,
                Ok(Err(error)) => {
                    debug!(exporter = %from, "connection broke: {error}");
                    break;
                }
                Err(_) if stop_at.is_some() => return,
                Err(_) => {
                    connections.bad_input.note(exporter, "idle", "connection closed: silent for listen.idleTimeout");
                    return;
                }
            },
            () = connections.shutdown.cancelled(), if stop_at.is_none() => {
                // What the kernel has received is still taken.
                stop_at = Some(Instant::now() + LAST_WORDS);
                continue;
            }
        };
        if length == 0 {
            break;
        }
        framer.push(&buffer[..length]);
        loop {
            let octets = match framer.next_message() {
                Ok(Some(message)) => message.to_vec(),
                Ok(None) => break,
                Err(error) => {
                    connections.bad_input.note(
                        exporter,
                        "framing",
                        format_args!("connection closed: {error}"),
                    );
                    return;
                }
            };
            connections.account.message();
            let length = octets.len();
            let received_ms = now_ms();
            let input = |room| Input::Message {
                connection: *number,
                kind: kind.clone(),
                from: *from,
                received_ms,
                octets,
                room,
            };
            if !queue.hand_on(length, input).await {
                return;
            }
        }
    }
    if framer.pending() > 0 {
        let what =
            format_args!("connection ended within a message, {} octets of it had come", framer.pending());
        connections.bad_input.note(exporter, "cut_message", what);
    }
}

/// Octets of one read.
const READ: usize = 64 * 1024;

/// A TLS handshake takes no longer, or its peer is only half there.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// After a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a stopping reader takes octets that the kernel has or that are on the way.
const LAST_WORDS: Duration = Duration::from_millis(500);
