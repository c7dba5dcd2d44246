//! TCP segments to the streams they are part of, in each direction for itself.
//!
//! Octets come out once and in order. What was not captured leaves a gap: when too much waits behind it, or the
//! stream ends, the gap is told and reading goes on after it. Bounded in streams and in what waits.

use std::collections::HashMap;
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

/// The streams that were seen last.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    streams: HashMap<(SocketAddr, SocketAddr), Stream>,
    serial: u64,
    /// Counts segments: tells which stream has been silent longest.
    clock: u64,
    waiting_octets: usize,
}

#[derive(Debug)]
struct Stream {
    serial: u64,
    /// Sequence number of the first octet that was seen.
    first: u32,
    next: u32,
    waiting: Vec<(u32, Vec<u8>)>,
    waiting_octets: usize,
    end: Option<u32>,
    /// It has ended, and is known so that what is captured twice does not begin it again.
    ended: bool,
    last: u64,
}

impl Streams {
    /// Takes a segment and says what it made of its stream.
    pub(crate) fn take(
        &mut self,
        segment: &Segment<'_>,
        on_event: &mut dyn FnMut(StreamId, StreamEvent<'_>),
    ) {
        let key = (segment.from, segment.to);
        let start = segment.start();
        if let Some(stream) = self.streams.get(&key) {
            if stream.is_another(segment) {
                self.end(key, on_event);
                self.streams.remove(&key);
            } else if stream.ended {
                return;
            }
        }
        if !self.streams.contains_key(&key) {
            if segment.payload.is_empty() && !segment.begins {
                return;
            }
            self.open(key, segment, on_event);
        }
        self.clock += 1;
        let Some(stream) = self.streams.get_mut(&key) else { return };
        stream.last = self.clock;
        let id = StreamId { from: segment.from, to: segment.to, serial: stream.serial };
        if segment.ends {
            stream.end = Some(add(start, segment.payload.len()));
        }
        let before = stream.waiting_octets;
        stream.take(start, segment.payload, &mut |event| on_event(id, event));
        self.waiting_octets = self.waiting_octets + stream.waiting_octets - before;
        if stream.end == Some(stream.next) {
            self.end(key, on_event);
        }
        self.bound_waiting(on_event);
    }

    /// Ends all streams: the file is over.
    pub(crate) fn finish(&mut self, on_event: &mut dyn FnMut(StreamId, StreamEvent<'_>)) {
        let mut open: Vec<_> = self.streams.iter().map(|(key, stream)| (stream.serial, *key)).collect();
        open.sort_unstable();
        for (_, key) in open {
            self.end(key, on_event);
        }
    }

    fn open(
        &mut self,
        key: (SocketAddr, SocketAddr),
        segment: &Segment<'_>,
        on_event: &mut dyn FnMut(StreamId, StreamEvent<'_>),
    ) {
        self.make_room(on_event);
        self.serial += 1;
        let (serial, first) = (self.serial, segment.start());
        let stream = Stream {
            serial,
            first,
            next: first,
            waiting: Vec::new(),
            waiting_octets: 0,
            end: None,
            ended: false,
            last: self.clock,
        };
        self.streams.insert(key, stream);
        if !segment.begins {
            on_event(StreamId { from: key.0, to: key.1, serial }, StreamEvent::Gap);
        }
    }

    /// Says all that is left of a stream, and that it is over.
    fn end(&mut self, key: (SocketAddr, SocketAddr), on_event: &mut dyn FnMut(StreamId, StreamEvent<'_>)) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        if stream.ended {
            return;
        }
        stream.ended = true;
        self.waiting_octets -= stream.waiting_octets;
        let id = StreamId { from: key.0, to: key.1, serial: stream.serial };
        while !stream.waiting.is_empty() {
            stream.leap(&mut |event| on_event(id, event));
        }
        on_event(id, StreamEvent::End);
    }

    /// At the limit the sixteenth that has been silent longest is ended: seldom, so that it costs little.
    fn make_room(&mut self, on_event: &mut dyn FnMut(StreamId, StreamEvent<'_>)) {
        if self.streams.len() < MOST_STREAMS {
            return;
        }
        let mut silent: Vec<_> = self.streams.iter().map(|(key, stream)| (stream.last, *key)).collect();
        silent.sort_unstable();
        for (_, key) in silent.into_iter().take(MOST_STREAMS / 16) {
            self.end(key, on_event);
            self.streams.remove(&key);
        }
    }

    /// Too much waits behind the gaps of all streams together: the streams that have been silent longest go on.
    fn bound_waiting(&mut self, on_event: &mut dyn FnMut(StreamId, StreamEvent<'_>)) {
        while self.waiting_octets > MOST_WAITING_IN_ALL {
            let behind_gaps = self.streams.iter_mut().filter(|(_, stream)| stream.waiting_octets > 0);
            let Some((key, stream)) = behind_gaps.min_by_key(|(_, stream)| stream.last) else { return };
            let id = StreamId { from: key.0, to: key.1, serial: stream.serial };
            let before = stream.waiting_octets;
            while !stream.waiting.is_empty() {
                stream.leap(&mut |event| on_event(id, event));
            }
            self.waiting_octets -= before;
        }
    }
}

impl Segment<'_> {
    /// Sequence number of its first octet; the beginning of a connection is counted as one of its own.
    const fn start(&self) -> u32 {
        if self.begins { self.sequence.wrapping_add(1) } else { self.sequence }
    }
}

impl Stream {
    /// Whether a segment is of another connection of the same addresses: it begins elsewhere, goes on where this one
    /// had ended, or lies so far back that it is no repetition.
    fn is_another(&self, segment: &Segment<'_>) -> bool {
        let start = segment.start();
        let after_end = distance(self.next, add(start, segment.payload.len())) > 0;
        (segment.begins && start != self.first)
            || (self.ended && !segment.payload.is_empty() && after_end)
            || (!segment.payload.is_empty() && distance(self.next, start) < -OLDEST_REPETITION)
    }

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

/// Streams that are known at once: some times the exporters of a large cluster, since all TCP of the file counts.
const MOST_STREAMS: usize = 8_192;
/// Octets that wait behind a gap of one stream: a TCP window of a fast path.
const MOST_WAITING: usize = 1 << 20;
/// Octets that wait behind the gaps of all streams.
const MOST_WAITING_IN_ALL: usize = 32 << 20;
/// Segments that wait behind a gap of one stream: keeps a flood of tiny ones from making the search slow.
const MOST_SEGMENTS: usize = 2_048;
/// How far back a segment can be that is sent again: several windows.
const OLDEST_REPETITION: i64 = 1 << 24;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

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

    /// A segment with one letter for each octet of the stream, counted from `from`.
    fn letters(from: u32, count: usize) -> Vec<u8> {
        (0..count).map(|place| b'a' + u8::try_from((from as usize + place) % 26).unwrap()).collect()
    }

    #[test]
    fn out_of_order_repeated_and_overlapping_across_the_wrap_of_the_numbers() {
        let segments = [
            segment(u32::MAX - 4, b"", true, false),
            segment(u32::MAX, b"defg", false, false),
            segment(u32::MAX - 3, b"XYZabc", false, false),
            segment(u32::MAX - 3, b"XYZabc", false, false),
            segment(3, b"hijk", false, false),
            segment(7, b"", false, true),
        ];
        // Of octets that came twice, those that were in order first are given out.
        assert_eq!(told(&segments), ["1 XYZabc", "1 g", "1 hijk", "1 end"]);
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
            segment(500, b"", true, false),
        ];
        assert_eq!(told(&segments), ["1 a", "1 gap", "1 z", "1 end", "2 new", "2 end"]);
    }

    #[test]
    fn a_capture_that_began_in_the_middle_begins_with_a_gap() {
        assert_eq!(told(&[segment(77, b"x", false, false)]), ["1 gap", "1 x", "1 end"]);
    }

    #[test]
    fn what_is_captured_twice_does_not_begin_again_after_its_end() {
        let last = segment(10, b"ab", false, true);
        let begin = segment(9, b"", true, false);
        let again = [segment(9, b"", true, false), segment(10, b"ab", false, true)];
        let once = ["1 ab", "1 end"];
        assert_eq!(told(&[begin, last, segment(10, b"ab", false, true)]), once);
        let [begin, last] = again;
        assert_eq!(told(&[begin, last, segment(9, b"", true, false), segment(12, b"", false, true)]), once);
        // The same ports again, whose beginning was not captured: further on, and far back.
        let seen =
            |sequence| told(&[segment(1 << 30, b"ab", false, true), segment(sequence, b"x", false, false)]);
        let two = ["1 gap", "1 ab", "1 end", "2 gap", "2 x", "2 end"];
        assert_eq!(seen((1 << 30) + 9), two);
        assert_eq!(seen(5), two);
    }

    #[test]
    fn too_much_behind_a_gap_gives_the_gap_up() {
        let behind = vec![0; 65_000];
        let (mut streams, gaps, mut octets) = (Streams::default(), Cell::new(0), 0);
        let mut on_event = |_: StreamId, event: StreamEvent<'_>| match event {
            StreamEvent::Octets(part) => octets += part.len(),
            StreamEvent::Gap => gaps.set(gaps.get() + 1),
            StreamEvent::End => {}
        };
        streams.take(&segment(0, b"", true, false), &mut on_event);
        let mut sequence = 5;
        while gaps.get() == 0 {
            streams.take(&segment(sequence, &behind, false, false), &mut on_event);
            sequence += 65_000;
            assert!(streams.waiting_octets <= MOST_WAITING);
        }
        assert_eq!((octets, streams.waiting_octets), (sequence as usize - 5, 0));
        assert!(octets > MOST_WAITING && octets < MOST_WAITING + 65_001);
        let (mut streams, mut gaps, mut segments) = (Streams::default(), 0, 0);
        let mut on_event =
            |_: StreamId, event: StreamEvent<'_>| gaps += usize::from(event == StreamEvent::Gap);
        streams.take(&segment(0, b"", true, false), &mut on_event);
        while segments as usize <= MOST_SEGMENTS {
            segments += 1;
            streams.take(&segment(segments * 2 + 1, &letters(0, 1), false, false), &mut on_event);
        }
        assert_eq!(gaps, 1, "after {segments} segments of one octet");
    }

    #[test]
    fn streams_and_what_waits_in_all_of_them_are_bounded() {
        let to = "10.0.0.9:4739".parse().unwrap();
        let from = |number: u32| SocketAddr::from((std::net::Ipv4Addr::from(number), 5_000));
        let (mut streams, mut ended, mut gaps) = (Streams::default(), 0, 0);
        let mut on_event = |_: StreamId, event: StreamEvent<'_>| match event {
            StreamEvent::Octets(_) => {}
            StreamEvent::Gap => gaps += 1,
            StreamEvent::End => ended += 1,
        };
        let one = |number, sequence, begins, payload: &'static [u8]| Segment {
            from: from(number),
            to,
            sequence,
            begins,
            ends: false,
            payload,
        };
        let most = u32::try_from(MOST_STREAMS).unwrap();
        for number in 0..most {
            streams.take(&one(number, 0, true, b""), &mut on_event);
        }
        // The first is heard again: it is not among those that give way.
        streams.take(&one(0, 1, false, b"x"), &mut on_event);
        streams.take(&one(most, 0, true, b""), &mut on_event);
        streams.take(&one(0, 2, false, b"x"), &mut on_event);
        assert_eq!(streams.streams.len(), MOST_STREAMS - MOST_STREAMS / 16 + 1);
        const BEHIND: &[u8] = &[0; 60_000];
        // The last first, as they have not given way.
        for number in (0..=most).rev() {
            streams.take(&one(number, 9, false, BEHIND), &mut on_event);
            assert!(streams.waiting_octets <= MOST_WAITING_IN_ALL);
        }
        streams.finish(&mut on_event);
        assert_eq!(streams.waiting_octets, 0);
        // Those that gave way came back in the middle, and made the first give way.
        let opened = most as usize + 1 + MOST_STREAMS / 16 + 1;
        assert_eq!((ended, gaps), (opened, most as usize + 1));
    }
}
