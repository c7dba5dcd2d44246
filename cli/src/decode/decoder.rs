//! Datagrams and streams to records: one table of sessions for each address that was sent to, as a collector has
//! one for each socket.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use podflow_capture::{Event, StreamId};
use podflow_ipfix::Limits;
use podflow_ipfix::collect::{CollectingSession, Transport, UdpSessions};
use podflow_ipfix::framing::{Framer, FramingError};
use podflow_ipfix::message::Version;
use podflow_ipfix::registry::Registry;

use super::output::Output;
use super::tally::Tally;

/// The sessions of everything that is read.
pub(super) struct Decoder {
    ports: Vec<u16>,
    file_exporter: IpAddr,
    limits: Arc<Limits>,
    registry: Arc<Registry>,
    sockets: HashMap<SocketAddr, UdpSessions>,
    streams: HashMap<StreamId, Stream>,
    pub(super) tally: Tally,
}

/// One direction of a TCP connection.
enum Stream {
    /// Its first octets are of no message.
    Other,
    /// Its beginning was not captured.
    BegunBefore,
    Ipfix(Box<MessageStream>),
}

/// A stream of messages: a TCP connection or a file.
pub(super) struct MessageStream {
    exporter: IpAddr,
    framer: Framer,
    session: CollectingSession,
    /// Octets are missing: messages begin again where something looks like the beginning of one.
    out_of_step: bool,
    /// When the last message was exported, seconds since 1970.
    exported: u32,
}

impl Decoder {
    /// Nothing read yet; no ports means whatever looks like IPFIX or NetFlow.
    pub(super) fn new(ports: &[u16], file_exporter: IpAddr, registry: Registry) -> Self {
        Self {
            ports: ports.to_vec(),
            file_exporter,
            limits: Arc::new(Limits::default()),
            registry: Arc::new(registry),
            sockets: HashMap::new(),
            streams: HashMap::new(),
            tally: Tally::default(),
        }
    }

    /// Takes what a capture file held.
    pub(super) fn take(&mut self, event: Event<'_>, output: &mut Output<'_>) {
        match event {
            Event::Datagram { time_ns, from, to, octets, cut } => {
                if self.wants(to.port()) && (self.is_expected(to.port()) || looks_like_messages(octets)) {
                    if cut {
                        self.tally
                            .lost("datagram_cut", "the capture holds less of the datagram than was sent");
                    } else {
                        self.datagram(time_ns / NANOSECONDS_PER_MILLISECOND, from, to, octets, output);
                    }
                }
            }
            Event::Octets { time_ns, stream, octets } => {
                self.stream_octets(time_ns / NANOSECONDS_PER_MILLISECOND, stream, octets, output);
            }
            Event::Gap { stream } => match self.streams.get_mut(&stream) {
                Some(Stream::Ipfix(messages)) => messages.gap(&mut self.tally),
                Some(Stream::Other | Stream::BegunBefore) => {}
                None => drop(self.streams.insert(stream, Stream::BegunBefore)),
            },
            Event::End { stream } => {
                if let Some(Stream::Ipfix(messages)) = self.streams.remove(&stream) {
                    messages.end(self);
                }
            }
        }
    }

    /// A file of messages (RFC 5655) begins.
    pub(super) fn message_file(&self) -> MessageStream {
        self.message_stream(self.file_exporter, Transport::File)
    }

    /// A capture file is over: what waits for a template waits in vain.
    pub(super) fn end_of_file(&mut self) {
        for (_, sessions) in self.sockets.drain() {
            for (_, session, _) in sessions.sessions() {
                self.tally.without_template(session.held_sets());
            }
        }
    }

    fn message_stream(&self, exporter: IpAddr, transport: Transport) -> MessageStream {
        let session = CollectingSession::new(transport, Arc::clone(&self.limits), Arc::clone(&self.registry));
        MessageStream { exporter, framer: Framer::new(), session, out_of_step: false, exported: 0 }
    }

    fn wants(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.contains(&port)
    }

    /// Whether anything sent to this port is taken for messages, even when it does not look like them.
    fn is_expected(&self, port: u16) -> bool {
        self.ports.contains(&port) || (self.ports.is_empty() && port == IPFIX_PORT)
    }

    fn datagram(
        &mut self,
        now_ms: u64,
        from: SocketAddr,
        to: SocketAddr,
        octets: &[u8],
        output: &mut Output<'_>,
    ) {
        if self.sockets.len() >= MOST_SOCKETS && !self.sockets.contains_key(&to) {
            self.tally.lost("sockets", "more collectors in one file than are kept apart");
            return;
        }
        let new = || UdpSessions::new(Arc::clone(&self.limits), Arc::clone(&self.registry));
        let sessions = self.sockets.entry(to).or_insert_with(new);
        let exporter = from.ip();
        let received = sessions
            .receive(now_ms, from, octets, &mut |record| output.record(&record, exporter, Some(now_ms)));
        self.tally.message(exporter, octets.len(), received.map(|received| received.summary));
    }

    fn stream_octets(&mut self, now_ms: u64, id: StreamId, octets: &[u8], output: &mut Output<'_>) {
        if !self.wants(id.to.port()) {
            return;
        }
        let begun_before = matches!(self.streams.get(&id), Some(Stream::BegunBefore));
        if begun_before || !self.streams.contains_key(&id) {
            let is_ipfix = self.is_expected(id.to.port()) || begins_message(octets);
            let stream = if is_ipfix {
                let mut messages = self.message_stream(id.from.ip(), Transport::Stream);
                if begun_before {
                    messages.gap(&mut self.tally);
                }
                Stream::Ipfix(Box::new(messages))
            } else if begun_before {
                // A message may begin in a later segment.
                return;
            } else {
                Stream::Other
            };
            self.streams.insert(id, stream);
        }
        if let Some(Stream::Ipfix(messages)) = self.streams.get_mut(&id) {
            messages.take(octets, Some(now_ms), &mut self.tally, output);
        }
    }
}

impl MessageStream {
    /// Octets of a file, whose messages are received when they were exported.
    pub(super) fn octets(&mut self, octets: &[u8], decoder: &mut Decoder, output: &mut Output<'_>) {
        self.take(octets, None, &mut decoder.tally, output);
    }

    /// The stream or file is over.
    pub(super) fn end(&self, decoder: &mut Decoder) {
        if self.framer.pending() > 0 {
            decoder.tally.lost("cut_at_the_end", "the last message is not whole");
        }
        decoder.tally.without_template(self.session.held_sets());
    }

    fn gap(&mut self, tally: &mut Tally) {
        tally.lost("stream_gap", "octets of a TCP stream were not captured");
        self.framer = Framer::new();
        self.out_of_step = true;
    }

    fn take(&mut self, octets: &[u8], now_ms: Option<u64>, tally: &mut Tally, output: &mut Output<'_>) {
        if !self.out_of_step {
            self.framer.push(octets);
        } else if !self.find_step(octets, now_ms) {
            return;
        }
        while let Err(error) = self.messages(now_ms, tally, output) {
            tally.lost("framing", &error);
            let behind = self.framer.rest().get(1..).unwrap_or_default().to_vec();
            if !self.find_step(&behind, now_ms) {
                return;
            }
        }
    }

    /// Goes on with the first message that begins among these octets, where one does.
    fn find_step(&mut self, octets: &[u8], now_ms: Option<u64>) -> bool {
        let seconds = now_ms.map_or_else(|| u64::from(self.exported), |now_ms| now_ms / 1_000);
        let start = message_start(octets, seconds);
        self.framer = Framer::new();
        self.out_of_step = start.is_none();
        if let Some(message) = start.and_then(|start| octets.get(start..)) {
            self.framer.push(message);
        }
        start.is_some()
    }

    /// Decodes the messages that are whole.
    fn messages(
        &mut self,
        now_ms: Option<u64>,
        tally: &mut Tally,
        output: &mut Output<'_>,
    ) -> Result<(), FramingError> {
        while let Some(message) = self.framer.next_message()? {
            let exporter = self.exporter;
            self.exported = exported(message).unwrap_or(self.exported);
            let clock_ms = now_ms.unwrap_or(0);
            let summary = self
                .session
                .receive(clock_ms, message, &mut |record| output.record(&record, exporter, now_ms));
            tally.message(exporter, message.len(), summary);
        }
        Ok(())
    }
}

/// Whether octets can be the beginning of an IPFIX message.
fn begins_message(octets: &[u8]) -> bool {
    matches!(octets.first_chunk::<4>(), Some([0, 10, high, low]) if u16::from_be_bytes([*high, *low]) >= 16)
}

/// Where in a stream of unknown place a message begins: its export time is about `seconds` since 1970.
fn message_start(octets: &[u8], seconds: u64) -> Option<usize> {
    let is_start = |from: &[u8]| {
        begins_message(from)
            && exported(from).is_some_and(|time| u64::from(time).abs_diff(seconds) < SECONDS_OF_A_DAY)
    };
    // Exporters with a wrong clock still begin most of their segments with a message.
    (0..octets.len())
        .find(|start| octets.get(*start..).is_some_and(is_start))
        .or_else(|| begins_message(octets).then_some(0))
}

/// A message's export time, seconds since 1970.
fn exported(message: &[u8]) -> Option<u32> {
    message.get(4..)?.first_chunk().map(|time| u32::from_be_bytes(*time))
}

/// Whether a datagram's header and length agree for one of the protocols.
fn looks_like_messages(octets: &[u8]) -> bool {
    let count = match octets.first_chunk::<4>() {
        Some([_, _, high, low]) => usize::from(u16::from_be_bytes([*high, *low])),
        None => return false,
    };
    match Version::of(octets) {
        Some(Version::Ipfix) => count >= 16 && count == octets.len(),
        Some(Version::NetFlow9) => octets.len() >= 24 && count > 0 && count <= octets.len() / 4,
        Some(Version::NetFlow5) => (1..=30).contains(&count) && octets.len() == 24 + 48 * count,
        None => false,
    }
}

/// An exporter's address where there is none.
pub(super) const NO_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// Where IPFIX is sent by default.
const IPFIX_PORT: u16 = 4_739;
/// How far apart export time and capture time are at most, in an exporter whose clock is about right.
const SECONDS_OF_A_DAY: u64 = 86_400;
/// Collectors in one file that are kept apart.
const MOST_SOCKETS: usize = 256;
const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;
