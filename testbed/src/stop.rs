//! One switch that ends every thread of the testbed, also those that wait for a socket.
//!
//! It is a pipe: while its writing end is open nothing can be read from it; closing that end wakes
//! whoever polls the reading end, now or later.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Shared by all threads; copies are the same switch.
#[derive(Clone, Debug)]
pub struct Stop {
    closed: Arc<PipeReader>,
    open: Arc<Mutex<Option<PipeWriter>>>,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wake {
    /// The file descriptor has something, or has failed: the next call on it says which.
    Ready,
    /// The switch was thrown.
    Stopped,
    /// Nothing came within the time given.
    TimedOut,
}

impl Stop {
    /// A switch nobody has thrown yet.
    ///
    /// # Errors
    /// When no pipe can be made (too many open files).
    pub fn new() -> io::Result<Self> {
        let (closed, open) = io::pipe()?;
        Ok(Self { closed: Arc::new(closed), open: Arc::new(Mutex::new(Some(open))) })
    }

    /// Throws the switch. Throwing it again does nothing.
    pub fn throw(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether it was thrown.
    #[must_use]
    pub fn is_thrown(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits for `time` or for the switch; true when it was thrown.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        self.poll(None, time) == Wake::Stopped
    }

    /// Waits until `file` can be read, the switch is thrown, or `time` is over.
    #[must_use]
    pub fn wait_readable(&self, file: &impl AsFd, time: Duration) -> Wake {
        self.poll(Some((file.as_fd(), PollFlags::POLLIN)), time)
    }

    /// Waits until `file` can be written, the switch is thrown, or `time` is over.
    #[must_use]
    pub fn wait_writable(&self, file: &impl AsFd, time: Duration) -> Wake {
        self.poll(Some((file.as_fd(), PollFlags::POLLOUT)), time)
    }

    fn poll(&self, file: Option<(BorrowedFd<'_>, PollFlags)>, time: Duration) -> Wake {
        // Rounded up, so that a wait is never shorter than asked for; longer ones than 24 days are cut.
        let milliseconds = i32::try_from(time.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
        let mut files = vec![PollFd::new(self.closed.as_fd(), PollFlags::POLLIN)];
        files.extend(file.map(|(file, flags)| PollFd::new(file, flags)));
        loop {
            match poll(&mut files, timeout) {
                Err(Errno::EINTR) => {}
                // Without poll nobody could be woken: as good as stopped.
                Err(_) => return Wake::Stopped,
                Ok(0) => return Wake::TimedOut,
                Ok(_) if files.first().is_some_and(|stop| stop.any() == Some(true)) => return Wake::Stopped,
                Ok(_) => return Wake::Ready,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn throwing_it_wakes_who_waits_for_a_socket() {
        let stop = Stop::new().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let waiting = stop.clone();
        let thread = std::thread::spawn(move || waiting.wait_readable(&socket, LONG));
        stop.throw();
        stop.throw();
        assert_eq!(thread.join().unwrap(), Wake::Stopped);
        assert!(stop.is_thrown());
    }

    #[test]
    fn data_and_time_wake_too() {
        let stop = Stop::new().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(stop.wait_readable(&socket, Duration::from_micros(1)), Wake::TimedOut);
        assert_eq!(stop.wait_writable(&socket, LONG), Wake::Ready);
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        assert_eq!(stop.wait_readable(&socket, LONG), Wake::Ready);
        assert!(!stop.is_thrown());
    }
}
