//! How much of what was written to a TCP connection its peer has not acknowledged yet.
#![allow(unsafe_code, reason = "this ioctl has no safe wrapper")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Octets in the send queue of a TCP socket, sent or not, that are not acknowledged (SIOCOUTQ).
///
/// # Errors
/// When it is no socket.
pub(super) fn octets(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut octets: libc::c_int = 0;
    // SAFETY: the descriptor is open while it is borrowed, and the kernel writes one int.
    unsafe { ask(socket.as_raw_fd(), &raw mut octets) }?;
    Ok(u64::try_from(octets).unwrap_or(0))
}

nix::ioctl_read_bad!(
    /// SIOCOUTQ.
    ask,
    libc::TIOCOUTQ,
    libc::c_int
);
