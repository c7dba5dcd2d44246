//! The answering side: one listener and one datagram socket for each address of a Pod.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread::{Builder, JoinHandle};

use anyhow::{Context, Result};

use super::{CHUNK, HEADER, PATIENCE};
use crate::namespace::Namespace;
use crate::stop::{Stop, Wake};

/// Listens on `port` of every address inside `space` until `stop` is thrown.
pub(crate) fn serve(
    space: &Namespace,
    addresses: &[IpAddr],
    port: u16,
    stop: &Stop,
) -> Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::new();
    for address in addresses {
        let address = SocketAddr::new(*address, port);
        let bound =
            space.enter(|| Ok::<_, io::Error>((TcpListener::bind(address)?, UdpSocket::bind(address)?)))?;
        let (listener, datagrams) =
            bound.with_context(|| format!("listening on {address} in {}", space.name()))?;
        // A wait also ends when its time is over, and a datagram may be gone when it is asked for.
        listener.set_nonblocking(true)?;
        datagrams.set_nonblocking(true)?;
        let (first, second) = (stop.clone(), stop.clone());
        threads.push(spawn(move || accept(&listener, &first))?);
        threads.push(spawn(move || echo(&datagrams, &second))?);
    }
    Ok(threads)
}

/// Sockets stay in the namespace where they were made, so these threads need not be inside.
fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    Builder::new().name("server".into()).stack_size(STACK).spawn(work).context("starting a server thread")
}

fn accept(listener: &TcpListener, stop: &Stop) {
    let mut open: Vec<JoinHandle<()>> = Vec::new();
    while stop.wait_readable(listener, PATIENCE) != Wake::Stopped {
        open.retain(|thread| !thread.is_finished());
        let Ok((stream, _)) = listener.accept() else { continue };
        let stop = stop.clone();
        let answering = spawn(move || {
            if let Err(error) = answer_all(stream, &stop) {
                tracing::debug!(%error, "a connection ended early");
            }
        });
        open.extend(answering.ok());
    }
    for thread in open {
        if thread.join().is_err() {
            tracing::error!("a server's connection panicked");
        }
    }
}

fn answer_all(mut stream: TcpStream, stop: &Stop) -> io::Result<()> {
    // On Linux an accepted socket does not inherit this, but other code should not have to know.
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; CHUNK];
    let mut header = [0; HEADER];
    loop {
        if stop.wait_readable(&stream, IDLE) != Wake::Ready || stream.peek(&mut header[..1])? == 0 {
            return Ok(());
        }
        stream.read_exact(&mut header)?;
        let (request, answer) = super::client::split(header);
        let mut left = request.saturating_sub(HEADER as u64);
        while left > 0 {
            if stop.wait_readable(&stream, PATIENCE) != Wake::Ready {
                return Ok(());
            }
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = stream.read(&mut buffer[..most])?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= count as u64;
        }
        left = answer;
        while left > 0 && !stop.is_thrown() {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            stream.write_all(&buffer[..most])?;
            left -= most as u64;
        }
    }
}

fn echo(socket: &UdpSocket, stop: &Stop) {
    let mut buffer = vec![0; CHUNK];
    while stop.wait_readable(socket, PATIENCE) != Wake::Stopped {
        let Ok((count, from)) = socket.recv_from(&mut buffer) else { continue };
        let wanted = if count < 2 { 0 } else { usize::from(u16::from_be_bytes([buffer[0], buffer[1]])) };
        if wanted > 0 && socket.send_to(&buffer[..wanted], from).is_err() {
            tracing::debug!(%from, "an answer could not be sent");
        }
    }
}

/// These threads call nothing deep; the default of 2 MiB a connection would be a waste of addresses.
const STACK: usize = 128 * 1024;

/// A client may keep a connection for long without saying anything.
const IDLE: std::time::Duration = std::time::Duration::from_secs(600);
