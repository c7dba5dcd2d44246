//! Sent messages that may have to be sent again.
//!
//! What TCP acknowledged may still be lost with a collector that crashes before it stored it. So a message is kept
//! until it was acknowledged and [`KEEP_MS`] passed; after a reconnect, what is kept is sent again. Our collector
//! stores a record that comes twice once.

use std::collections::VecDeque;

use podflow_ipfix::export::Message;

/// Messages in the order in which they were sent.
#[derive(Debug)]
pub(crate) struct ResendBuffer {
    kept: VecDeque<Kept>,
    octets: usize,
    bound: usize,
    /// Octets written to the present connection.
    written: u64,
}

#[derive(Debug)]
struct Kept {
    message: Message,
    sent_ms: u64,
    /// Octets of the connection up to and with this message; `None`: it was not sent on the present one.
    end: Option<u64>,
    resends: u8,
}

impl ResendBuffer {
    /// A buffer of at most so many octets; with 0, nothing is kept.
    pub(crate) fn new(bound: usize) -> Self {
        Self { kept: VecDeque::new(), octets: 0, bound, written: 0 }
    }

    /// Octets that are kept.
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    /// A message was written to the connection. Answers how many of the oldest had to go to make room for it.
    pub(crate) fn sent(&mut self, message: Message, now_ms: u64) -> u64 {
        self.written += message.octets.len() as u64;
        if message.records == 0 || self.bound == 0 {
            return 0;
        }
        self.octets += message.octets.len();
        self.kept.push_back(Kept { message, sent_ms: now_ms, end: Some(self.written), resends: 0 });
        let mut cut = 0;
        while self.octets > self.bound {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.octets -= oldest.message.octets.len();
            cut += 1;
        }
        cut
    }

    /// The peer has acknowledged all but `unacknowledged` octets of what was written.
    pub(crate) fn acknowledged(&mut self, unacknowledged: u64, now_ms: u64) {
        let acknowledged = self.written.saturating_sub(unacknowledged);
        while let Some(oldest) = self.kept.front() {
            let safe = oldest.end.is_some_and(|end| end <= acknowledged)
                && now_ms.saturating_sub(oldest.sent_ms) >= KEEP_MS;
            if !safe {
                break;
            }
            self.octets -= oldest.message.octets.len();
            self.kept.pop_front();
        }
    }

    /// A new connection was made: nothing was written to it yet. Answers how many messages were given up because
    /// they were sent often enough.
    pub(crate) fn reconnected(&mut self) -> u64 {
        self.written = 0;
        let before = self.kept.len();
        self.kept.retain(|kept| kept.resends < RESENDS);
        self.octets = self.kept.iter().map(|kept| kept.message.octets.len()).sum();
        for kept in &mut self.kept {
            kept.end = None;
        }
        (before - self.kept.len()) as u64
    }

    /// The next message that was not sent on the present connection.
    pub(crate) fn next_to_resend(&self) -> Option<&Message> {
        self.kept.iter().find(|kept| kept.end.is_none()).map(|kept| &kept.message)
    }

    /// The message of [`ResendBuffer::next_to_resend`] was written.
    pub(crate) fn resent(&mut self, now_ms: u64) {
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.end.is_none()) {
            self.written += kept.message.octets.len() as u64;
            kept.end = Some(self.written);
            kept.sent_ms = now_ms;
            kept.resends += 1;
        }
    }
}

/// A collector stores or spools what it received within 10 s; three times that.
const KEEP_MS: u64 = 30_000;

/// How often a message is sent again.
const RESENDS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(mark: u8, length: usize) -> Message {
        Message { octets: vec![mark; length], records: 1, options_records: 0 }
    }

    fn resend_all(buffer: &mut ResendBuffer, now_ms: u64) -> Vec<u8> {
        let mut marks = Vec::new();
        while let Some(message) = buffer.next_to_resend() {
            marks.push(message.octets[0]);
            buffer.resent(now_ms);
        }
        marks
    }

    #[test]
    fn kept_until_acknowledged_and_old_enough() {
        let mut buffer = ResendBuffer::new(1_000);
        buffer.sent(message(1, 100), 0);
        buffer.sent(message(2, 100), 20_000);
        buffer.acknowledged(0, 29_999);
        assert_eq!(buffer.octets(), 200, "too young");
        buffer.acknowledged(150, 30_000);
        assert_eq!(buffer.octets(), 200, "not acknowledged");
        buffer.acknowledged(100, 30_000);
        assert_eq!(buffer.octets(), 100);
        buffer.acknowledged(0, 50_000);
        assert_eq!(buffer.octets(), 0);
    }

    #[test]
    fn after_a_reconnect_everything_kept_is_sent_again_in_order_three_times_at_most() {
        let mut buffer = ResendBuffer::new(1_000);
        buffer.sent(message(1, 100), 0);
        buffer.sent(message(2, 100), 0);
        for round in 1..=3 {
            assert_eq!(buffer.reconnected(), 0);
            assert_eq!(resend_all(&mut buffer, round), [1, 2], "round {round}");
            assert!(resend_all(&mut buffer, round).is_empty(), "once per reconnect");
        }
        buffer.sent(message(3, 100), 4);
        assert_eq!(buffer.reconnected(), 2);
        assert_eq!(resend_all(&mut buffer, 5), [3]);
        assert_eq!(buffer.octets(), 100);
    }

    #[test]
    fn the_bound_cuts_the_oldest() {
        let mut buffer = ResendBuffer::new(250);
        assert_eq!(buffer.sent(message(1, 100), 0), 0);
        assert_eq!(buffer.sent(message(2, 100), 0), 0);
        assert_eq!(buffer.sent(message(3, 100), 0), 1);
        buffer.reconnected();
        assert_eq!(resend_all(&mut buffer, 0), [2, 3]);
    }

    #[test]
    fn what_holds_no_records_is_not_kept_but_counts_as_written() {
        let mut buffer = ResendBuffer::new(1_000);
        buffer.sent(Message { octets: vec![0; 500], records: 0, options_records: 0 }, 0);
        buffer.sent(message(1, 100), 0);
        buffer.acknowledged(100, 60_000);
        assert_eq!(buffer.octets(), 100);
    }
}
