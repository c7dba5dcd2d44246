//! TCP segments to the streams they are part of, in each direction for itself.
//!
//! Octets come out once and in order. What was not captured leaves a gap: when too much waits behind it, or the
//! stream ends, the gap is told and reading goes on after it.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// One direction of one TCP connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct StreamId {
    /// Who sends.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// Tells connections of the same addresses apart.
    pub serial: u64,
}

/// What a stream does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StreamEvent<'a> {
    /// The next octets.
    Octets(&'a [u8]),
    /// Octets that were not captured stood here. Also at the beginning of a stream whose start was not captured.
    Gap,
    /// The stream ended.
    End,
}

/// One segment.
pub(crate) struct Segment<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) sequence: u32,
    pub(crate) begins: bool,
    pub(crate) ends: bool,
    pub(crate) payload: &'a [u8],
}

/// The streams that are open.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    streams: HashMap<(SocketAddr, SocketAddr), Stream>,
    order: VecDeque<(SocketAddr, SocketAddr)>,
    serial: u64,
}

#[derive(Debug)]
struct Stream {
    serial: u64,
    next: u32,
    waiting: Vec<(u32, Vec<u8>)>,
    waiting_octets: usize,
    end: Option<u32>,
}

impl Streams {
    /// Takes a segment and says what it made of its stream.
    pub(crate) fn take(
        &mut self,
        segment: &Segment<'_>,
        on_event: &mut dyn FnMut(StreamId, StreamEvent<'_>),
    ) {
        let key = (segment.from, segment.to);
        // A new connection of the same addresses ends the one before.
        let known_start =
            self.streams.get(&key).is_some_and(|stream| stream.next == segment.sequence.wrapping_add(1));
        if segment.begins && !known_start {
            self.end(key, on_event);
        }
        if !self.streams.contains_key(&key) {
            if segment.payload.is_empty() && !segment.begins {
                return;
            }
            self.open(key, segment, on_event);
        }
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let id = StreamId { from: segment.from, to: segment.to, serial: stream.serial };
        let start = if segment.begins { segment.sequence.wrapping_add(1) } else { segment.sequence };
        if segment.ends {
            stream.end = Some(add(start, segment.payload.len()));
        }
        stream.take(start, segment.payload, &mut |event| on_event(id, event));
        if stream.end == Some(stream.next) {
            self.end(key, on_event);
        }
    }

    /// Ends all streams: the file is over.
    pub(crate) fn finish(&mut self, on_event: &mut dyn FnMut(StreamId, StreamEvent<'_>)) {
        while let Some(key) = self.order.front().copied() {
            self.end(key, on_event);
        }
    }

    fn open(
        &mut self,
        key: (SocketAddr, SocketAddr),
        segment: &Segment<'_>,
        on_event: &mut dyn FnMut(StreamId, StreamEvent<'_>),
    ) {
        if self.streams.len() >= MOST_STREAMS
            && let Some(oldest) = self.order.front().copied()
        {
            self.end(oldest, on_event);
        }
        self.serial += 1;
        let next = if segment.begins { segment.sequence.wrapping_add(1) } else { segment.sequence };
        let stream = Stream { serial: self.serial, next, waiting: Vec::new(), waiting_octets: 0, end: None };
        self.streams.insert(key, stream);
        self.order.push_back(key);
        if !segment.begins {
            on_event(StreamId { from: key.0, to: key.1, serial: self.serial }, StreamEvent::Gap);
        }
    }

    fn end(&mut self, key: (SocketAddr, SocketAddr), on_event: &mut dyn FnMut(StreamId, StreamEvent<'_>)) {
        let Some(mut stream) = self.streams.remove(&key) else { return };
        self.order.retain(|known| *known != key);
        let id = StreamId { from: key.0, to: key.1, serial: stream.serial };
        while !stream.waiting.is_empty() {
            stream.leap(&mut |event| on_event(id, event));
        }
        on_event(id, StreamEvent::End);
    }
}

impl Stream {
    fn take(&mut self, sequence: u32, payload: &[u8], on_event: &mut dyn FnMut(StreamEvent<'_>)) {
        if payload.is_empty() {
            return;
        }
        if distance(self.next, sequence) > 0 {
            self.wait(sequence, payload);
            while self.waiting_octets > MOST_WAITING || self.waiting.len() > MOST_SEGMENTS {
                self.leap(on_event);
            }
            return;
        }
        self.give(sequence, payload, on_event);
        self.give_waiting(on_event);
    }

    /// Gives out what is new of a segment that begins at or before the expected octet.
    fn give(&mut self, sequence: u32, payload: &[u8], on_event: &mut dyn FnMut(StreamEvent<'_>)) {
        let known = usize::try_from(distance(sequence, self.next)).unwrap_or(0);
        let Some(new) = payload.get(known..).filter(|new| !new.is_empty()) else { return };
        self.next = add(self.next, new.len());
        on_event(StreamEvent::Octets(new));
    }

    fn give_waiting(&mut self, on_event: &mut dyn FnMut(StreamEvent<'_>)) {
        while let Some(place) = self.waiting.iter().position(|(start, _)| distance(self.next, *start) <= 0) {
            let (start, payload) = self.waiting.swap_remove(place);
            self.waiting_octets -= payload.len();
            self.give(start, &payload, on_event);
        }
    }

    fn wait(&mut self, sequence: u32, payload: &[u8]) {
        self.waiting_octets += payload.len();
        self.waiting.push((sequence, payload.to_vec()));
    }

    /// Gives the missing octets up and goes on with the nearest that waits.
    fn leap(&mut self, on_event: &mut dyn FnMut(StreamEvent<'_>)) {
        let next = self.next;
        let Some(nearest) =
            self.waiting.iter().map(|(start, _)| *start).min_by_key(|start| distance(next, *start))
        else {
            return;
        };
        self.next = nearest;
        on_event(StreamEvent::Gap);
        self.give_waiting(on_event);
    }
}

/// How far `to` is ahead of `from`, in the circle of 2^32 sequence numbers.
#[expect(clippy::cast_possible_wrap, reason = "the sign is which half of the circle it is")]
fn distance(from: u32, to: u32) -> i64 {
    i64::from(to.wrapping_sub(from) as i32)
}

fn add(sequence: u32, octets: usize) -> u32 {
    // A segment is far below 2^32 octets.
    sequence.wrapping_add(u32::try_from(octets).unwrap_or(0))
}

/// Streams that are open at once; the oldest is ended for a new one.
const MOST_STREAMS: usize = 4_096;
/// Octets that wait behind a gap of one stream: a TCP window of a fast path.
const MOST_WAITING: usize = 1 << 20;
/// Segments that wait behind a gap of one stream: keeps a flood of tiny ones from making the search slow.
const MOST_SEGMENTS: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(sequence: u32, payload: &[u8], begins: bool, ends: bool) -> Segment<'_> {
        let from = "10.0.0.1:5000".parse().unwrap();
        let to = "10.0.0.9:4739".parse().unwrap();
        Segment { from, to, sequence, begins, ends, payload }
    }

    fn told(segments: &[Segment<'_>]) -> Vec<String> {
        let (mut streams, mut told) = (Streams::default(), Vec::new());
        let mut on_event = |id: StreamId, event: StreamEvent<'_>| {
            told.push(match event {
                StreamEvent::Octets(octets) => format!("{} {}", id.serial, String::from_utf8_lossy(octets)),
                StreamEvent::Gap => format!("{} gap", id.serial),
                StreamEvent::End => format!("{} end", id.serial),
            });
        };
        for segment in segments {
            streams.take(segment, &mut on_event);
        }
        streams.finish(&mut on_event);
        told
    }

    #[test]
    fn out_of_order_repeated_and_overlapping() {
        let segments = [
            segment(u32::MAX, b"", true, false),
            segment(3, b"def", false, false),
            segment(0, b"abc", false, false),
            segment(0, b"abc", false, false),
            segment(4, b"efgh", false, false),
            segment(8, b"", false, true),
        ];
        assert_eq!(told(&segments), ["1 abc", "1 def", "1 gh", "1 end"]);
    }

    #[test]
    fn a_lost_segment_is_a_gap_and_a_new_connection_a_new_stream() {
        let segments = [
            segment(9, b"", true, false),
            segment(10, b"a", false, false),
            segment(15, b"z", false, false),
            segment(500, b"", true, false),
            segment(500, b"", true, false),
            segment(501, b"new", false, false),
        ];
        assert_eq!(told(&segments), ["1 a", "1 gap", "1 z", "1 end", "2 new", "2 end"]);
    }

    #[test]
    fn a_capture_that_began_in_the_middle_begins_with_a_gap() {
        assert_eq!(told(&[segment(77, b"x", false, false)]), ["1 gap", "1 x", "1 end"]);
    }
}
