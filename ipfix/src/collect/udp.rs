//! The sessions of one UDP socket: one for each exporter address and port (RFC 7011 section 10.3).
//!
//! A Service's source NAT may give an exporter a new port at any time. Messages from an unknown port whose address
//! and observation domain have exactly one live session therefore begin with that session's templates.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::record::DataRecord;
use super::session::{CollectingSession, DomainKey, Transport};
use super::summary::MessageSummary;
use crate::error::DecodeError;
use crate::limits::Limits;
use crate::message::MessageHeader;
use crate::registry::Registry;

/// The sessions of one UDP socket.
#[derive(Debug)]
pub struct UdpSessions {
    pub(super) limits: Arc<Limits>,
    pub(super) registry: Arc<Registry>,
    sessions: HashMap<SocketAddr, Entry>,
    ports: HashMap<IpAddr, Vec<u16>>,
}

#[derive(Debug)]
struct Entry {
    session: CollectingSession,
    last_ms: u64,
}

/// What a datagram did to the table of sessions, beside what its message brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Received {
    /// What the message brought.
    pub summary: MessageSummary,
    /// Whether the address and port had not been seen.
    pub new_session: bool,
    /// Whether a known session of the same address and domain gave its templates.
    pub templates_taken_over: bool,
    /// Sessions that gave way at the limit.
    pub sessions_evicted: u32,
}

impl UdpSessions {
    /// No sessions yet.
    pub fn new(limits: Arc<Limits>, registry: Arc<Registry>) -> Self {
        Self { limits, registry, sessions: HashMap::new(), ports: HashMap::new() }
    }

    /// Reads one datagram. `now_ms` are milliseconds of any clock that does not go back.
    ///
    /// # Errors
    /// When the message is malformed. Such a datagram makes no session.
    pub fn receive(
        &mut self,
        now_ms: u64,
        from: SocketAddr,
        message: &[u8],
        on_record: &mut dyn FnMut(DataRecord<'_>),
    ) -> Result<Received, DecodeError> {
        if let Some(entry) = self.sessions.get_mut(&from) {
            let summary = entry.session.receive(now_ms, message, on_record)?;
            entry.last_ms = now_ms;
            return Ok(Received {
                summary,
                new_session: false,
                templates_taken_over: false,
                sessions_evicted: 0,
            });
        }
        let (header, _) = MessageHeader::read(message)?;
        let (limits, registry) = (Arc::clone(&self.limits), Arc::clone(&self.registry));
        let mut session = CollectingSession::new(Transport::Udp, limits, registry);
        let sibling = self.only_session_of(from.ip(), header.key(), now_ms);
        let templates_taken_over = sibling.is_some_and(|known| session.take_over(known, header.key()));
        let summary = session.receive(now_ms, message, on_record)?;
        let sessions_evicted = self.make_room();
        self.sessions.insert(from, Entry { session, last_ms: now_ms });
        self.ports.entry(from.ip()).or_default().push(from.port());
        Ok(Received { summary, new_session: true, templates_taken_over, sessions_evicted })
    }

    /// Forgets the sessions that have been silent too long; answers how many. To be called now and then.
    pub fn expire(&mut self, now_ms: u64) -> usize {
        let idle = self.limits.udp_session_idle_ms;
        self.retain(|entry| entry.last_ms.saturating_add(idle) >= now_ms)
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// The sessions, each with its exporter's address and when it was last heard.
    pub fn sessions(&self) -> impl Iterator<Item = (SocketAddr, &CollectingSession, u64)> {
        self.sessions.iter().map(|(address, entry)| (*address, &entry.session, entry.last_ms))
    }

    /// The session of an exporter, made where there is none and room is left. `heard_ms` is when it was heard last.
    pub(super) fn session_of(&mut self, from: SocketAddr, heard_ms: u64) -> Option<&mut CollectingSession> {
        if !self.sessions.contains_key(&from) {
            if self.sessions.len() >= self.limits.udp_sessions {
                return None;
            }
            let (limits, registry) = (Arc::clone(&self.limits), Arc::clone(&self.registry));
            let session = CollectingSession::new(Transport::Udp, limits, registry);
            self.sessions.insert(from, Entry { session, last_ms: heard_ms });
            self.ports.entry(from.ip()).or_default().push(from.port());
        }
        self.sessions.get_mut(&from).map(|entry| &mut entry.session)
    }

    /// The session of an exporter, where there is one.
    pub(super) fn known_session(&mut self, from: SocketAddr) -> Option<&mut CollectingSession> {
        self.sessions.get_mut(&from).map(|entry| &mut entry.session)
    }

    /// The one live session of an address that has templates of a domain; none where there are several.
    fn only_session_of(&self, address: IpAddr, domain: DomainKey, now_ms: u64) -> Option<&CollectingSession> {
        let idle = self.limits.udp_session_idle_ms;
        let ports = self.ports.get(&address)?;
        let mut live = ports
            .iter()
            .filter_map(|port| self.sessions.get(&SocketAddr::new(address, *port)))
            .filter(|entry| entry.last_ms.saturating_add(idle) >= now_ms)
            .map(|entry| &entry.session)
            .filter(|session| session.has_templates(domain));
        let only = live.next();
        if live.next().is_some() { None } else { only }
    }

    /// At the limit the sixteenth that has been silent longest gives way: seldom, so that it costs little.
    fn make_room(&mut self) -> u32 {
        if self.sessions.len() < self.limits.udp_sessions.max(1) {
            return 0;
        }
        let mut times: Vec<u64> = self.sessions.values().map(|entry| entry.last_ms).collect();
        let place = times.len() / 16;
        let (_, oldest, _) = times.select_nth_unstable(place);
        let oldest = *oldest;
        let mut wanted = place + 1;
        let evicted = self.retain(|entry| {
            let goes = entry.last_ms <= oldest && wanted > 0;
            wanted -= usize::from(goes);
            !goes
        });
        u32::try_from(evicted).unwrap_or(u32::MAX)
    }

    fn retain(&mut self, mut keep: impl FnMut(&Entry) -> bool) -> usize {
        let before = self.sessions.len();
        self.sessions.retain(|_, entry| keep(entry));
        let Self { sessions, ports, .. } = self;
        if sessions.len() < before {
            ports.retain(|address, ports| {
                ports.retain(|port| sessions.contains_key(&SocketAddr::new(*address, *port)));
                !ports.is_empty()
            });
        }
        before - sessions.len()
    }
}
