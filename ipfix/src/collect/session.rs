//! One transport session of a collector: messages in, records out.

use std::cell::Cell;
use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use super::check::{Change, CheckContext, Plan};
use super::domain::{Domain, Learned};
use super::held::{Held, HeldSet};
use super::record::DataRecord;
use super::sequence::Sequence;
use crate::error::DecodeError;
use crate::limits::Limits;
use crate::message::{MessageHeader, Version};
use crate::netflow::{rebuilt_records, v5_template};
use crate::reader::Reader;
use crate::registry::Registry;
use crate::template::{CompiledTemplate, TemplateView, Templates};
use crate::value::ListContext;

/// How messages reach the collector: decides what a template's life is (RFC 7011 section 8).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// Datagrams: templates are sent again and again and die without it; there is no withdrawal.
    Udp,
    /// TCP or TLS: templates hold until the connection ends or they are withdrawn.
    Stream,
    /// A file of messages (RFC 5655): as a stream, and templates may be repeated.
    File,
}

/// An observation domain; an exporter that changes its protocol begins anew.
pub(super) type DomainKey = (Version, u32);

/// One transport session of a collector.
#[derive(Debug)]
pub struct CollectingSession {
    transport: Transport,
    limits: Arc<Limits>,
    registry: Arc<Registry>,
    domains: HashMap<DomainKey, Domain>,
    rebuilt: Vec<u8>,
    held: Held,
    plan: Box<Plan>,
    next_expiry_ms: u64,
}

/// What one message brought, beside its records.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MessageSummary {
    /// The message's header; none before it was read.
    pub header: Option<MessageHeader>,
    /// What its sequence number says.
    pub sequence: Sequence,
    /// Data records given out, those of held sets included.
    pub records: u32,
    /// Options records given out.
    pub options_records: u32,
    /// Templates that were new, or sent again.
    pub templates: u32,
    /// Templates that took the place of a different one. Over a stream that is the exporter's error.
    pub templates_redefined: u32,
    /// Templates that were refused at the limit.
    pub templates_refused: u32,
    /// Templates withdrawn.
    pub templates_withdrawn: u32,
    /// Templates whose lifetime ended without a refresh.
    pub templates_expired: u32,
    /// Withdrawals over UDP, where there are none, and of templates that were not there.
    pub withdrawals_ignored: u32,
    /// Data sets without a template, held for it to come.
    pub sets_held: u32,
    /// Held data sets that were decoded now.
    pub sets_claimed: u32,
    /// Held data sets given up: too old, too many, or malformed under the template that came.
    pub sets_lost: u32,
    /// Sets with reserved ids, skipped.
    pub sets_reserved: u32,
    /// The template id of the first data set without a template, for the log.
    pub unknown_template: Option<u16>,
}

impl CollectingSession {
    /// A session of a transport.
    pub fn new(transport: Transport, limits: Arc<Limits>, registry: Arc<Registry>) -> Self {
        Self {
            transport,
            limits,
            registry,
            domains: HashMap::new(),
            rebuilt: Vec::new(),
            held: Held::default(),
            plan: Box::default(),
            next_expiry_ms: 0,
        }
    }

    /// Reads one message. `now_ms` are milliseconds of any clock that does not go back, for lifetimes.
    ///
    /// # Errors
    /// When the message is malformed: then nothing of it took effect, and the session goes on.
    pub fn receive(
        &mut self,
        now_ms: u64,
        message: &[u8],
        on_record: &mut dyn FnMut(DataRecord<'_>),
    ) -> Result<MessageSummary, DecodeError> {
        let mut plan = mem::take(&mut self.plan);
        plan.clear();
        let summary = self.receive_with(&mut plan, now_ms, message, on_record);
        self.plan = plan;
        summary
    }

    /// How many templates are known, all domains together.
    pub fn template_count(&self) -> usize {
        self.domains.values().map(|domain| domain.templates.len()).sum()
    }

    /// The observation domains seen, with whether their sequence numbers are worth anything.
    pub fn domains(&self) -> impl Iterator<Item = (u32, bool)> {
        self.domains.iter().map(|((_, id), domain)| (*id, !domain.sequence.is_unreliable()))
    }

    /// Data sets that wait for their template.
    pub fn held_sets(&self) -> usize {
        self.held.len()
    }

    /// Whether it has templates of a domain.
    pub(super) fn has_templates(&self, domain: DomainKey) -> bool {
        self.domains.get(&domain).is_some_and(|domain| !domain.templates.is_empty())
    }

    /// Begins with what another session knows of a domain: the same exporter under a new port.
    pub(super) fn take_over(&mut self, known: &Self, domain: DomainKey) -> bool {
        let Some(state) = known.domains.get(&domain) else { return false };
        self.registry = Arc::clone(&known.registry);
        self.domains.insert(domain, state.clone());
        true
    }

    fn receive_with(
        &mut self,
        plan: &mut Plan,
        now_ms: u64,
        message: &[u8],
        on_record: &mut dyn FnMut(DataRecord<'_>),
    ) -> Result<MessageSummary, DecodeError> {
        let (header, body) = MessageHeader::read(message)?;
        let limit = self.limits.domains_per_session;
        if !self.domains.contains_key(&header.key()) && self.domains.len() >= limit {
            return Err(DecodeError::Domains { domain: header.domain, limit });
        }
        let mut summary = MessageSummary { header: Some(header), ..MessageSummary::default() };
        self.expire(now_ms, &mut summary);
        if header.version == Version::NetFlow5 {
            self.give_out_v5(plan, &header, message, on_record, &mut summary);
            return Ok(summary);
        }
        let nothing = Templates::new();
        let templates = self.domains.get(&header.key()).map_or(&nothing, |domain| &domain.templates);
        plan.read_sets(body, &self.check_context(header.version, templates))?;

        let claimed = self.change_templates(plan, &header, now_ms, &mut summary);
        self.count_sequence(plan, &header, &mut summary);
        summary.sets_reserved = plan.reserved_sets;
        self.give_out(plan, &header, message, on_record, &mut summary);
        self.hold(plan, &header, message, now_ms, &mut summary);
        for set in claimed {
            self.give_out_held(plan, &set, on_record, &mut summary);
        }
        Ok(summary)
    }

    fn check_context<'a>(&'a self, version: Version, templates: &'a Templates) -> CheckContext<'a> {
        CheckContext {
            version,
            registry: &self.registry,
            limits: &self.limits,
            templates,
            withdrawals: self.transport != Transport::Udp,
        }
    }

    /// Forgets what is too old, once a second at most.
    fn expire(&mut self, now_ms: u64, summary: &mut MessageSummary) {
        if now_ms < self.next_expiry_ms {
            return;
        }
        self.next_expiry_ms = now_ms.saturating_add(EXPIRY_INTERVAL_MS);
        summary.sets_lost += self.held.expire(now_ms, self.limits.held_age_ms);
        if self.transport == Transport::Udp {
            let lifetime = self.limits.template_lifetime_ms;
            let expired: usize =
                self.domains.values_mut().map(|domain| domain.expire(now_ms, lifetime)).sum();
            summary.templates_expired = count(expired);
        }
    }

    /// Lets the message's definitions and withdrawals take effect; answers the held sets that can be read now.
    fn change_templates(
        &mut self,
        plan: &mut Plan,
        header: &MessageHeader,
        now_ms: u64,
        summary: &mut MessageSummary,
    ) -> Vec<HeldSet> {
        let mut claimed = Vec::new();
        let mut room = self.limits.templates_per_session.saturating_sub(self.template_count());
        let withdrawals = self.transport != Transport::Udp;
        let domain = self.domains.entry(header.key()).or_default();
        for change in plan.changes.drain(..) {
            match change {
                Change::Define(template) => {
                    let id = template.id().number();
                    if room == 0 && !domain.templates.contains_key(&id) {
                        summary.templates_refused += 1;
                        continue;
                    }
                    summary.templates += 1;
                    match domain.learn(template, now_ms) {
                        Learned::New => {
                            room -= 1;
                            claimed.extend(self.held.claim(header.key(), id));
                        }
                        Learned::Redefined => summary.templates_redefined += 1,
                        Learned::Refreshed => {}
                    }
                }
                Change::Withdraw(_) | Change::WithdrawAll { .. } if !withdrawals => {
                    summary.withdrawals_ignored += 1
                }
                Change::Withdraw(id) if domain.withdraw(id) => {
                    summary.templates_withdrawn += 1;
                    room += 1;
                }
                Change::Withdraw(_) => summary.withdrawals_ignored += 1,
                Change::WithdrawAll { options } => {
                    let of_kind = |template: &&Arc<CompiledTemplate>| template.is_options() == options;
                    let ids: Vec<u16> = domain
                        .templates
                        .values()
                        .filter(of_kind)
                        .map(|template| template.id().number())
                        .collect();
                    for id in ids {
                        summary.templates_withdrawn += u32::from(domain.withdraw(id));
                        room += 1;
                    }
                }
            }
        }
        claimed
    }

    fn count_sequence(&mut self, plan: &Plan, header: &MessageHeader, summary: &mut MessageSummary) {
        let domain = self.domains.entry(header.key()).or_default();
        let all_known = plan.sets.iter().all(|set| set.template.is_some());
        let units = match header.version {
            Version::NetFlow9 => Some(1),
            Version::Ipfix | Version::NetFlow5 => all_known.then(|| count(plan.records.len())),
        };
        summary.sequence = domain.sequence.take(header.sequence, header.export_time, units);
    }

    fn give_out(
        &self,
        plan: &Plan,
        header: &MessageHeader,
        message: &[u8],
        on_record: &mut dyn FnMut(DataRecord<'_>),
        summary: &mut MessageSummary,
    ) {
        let Some(domain) = self.domains.get(&header.key()) else { return };
        let allowance = Cell::new(usize::MAX);
        let context = list_context(&self.registry, &self.limits, domain, &allowance);
        let mut records = plan.records.iter();
        for set in &plan.sets {
            let Some(template) = &set.template else { continue };
            for (offset, length) in records.by_ref().take(set.records) {
                let octets = message.get(*offset..*offset + *length).unwrap_or_default();
                let place = count(*offset);
                on_record(DataRecord { header: *header, place, template, octets, context });
            }
            count_records(template, set.records, summary);
        }
    }

    /// The records of a NetFlow v5 message.
    fn give_out_v5(
        &mut self,
        plan: &mut Plan,
        header: &MessageHeader,
        message: &[u8],
        on_record: &mut dyn FnMut(DataRecord<'_>),
        summary: &mut MessageSummary,
    ) {
        let mut room = mem::take(&mut self.rebuilt);
        let domain = self.domains.entry(header.key()).or_default();
        let allowance = Cell::new(usize::MAX);
        let context = list_context(&self.registry, &self.limits, domain, &allowance);
        let template = v5_template();
        let mut records = 0;
        for (offset, octets) in rebuilt_records(message, &mut room) {
            on_record(DataRecord { header: *header, place: count(offset), template, octets, context });
            records += 1;
        }
        count_records(template, records, summary);
        plan.count_only(records);
        self.rebuilt = room;
        self.count_sequence(plan, header, summary);
    }

    /// Keeps the data sets whose template is not known.
    fn hold(
        &mut self,
        plan: &Plan,
        header: &MessageHeader,
        message: &[u8],
        now_ms: u64,
        summary: &mut MessageSummary,
    ) {
        for set in plan.sets.iter().filter(|set| set.template.is_none()) {
            let octets = message.get(set.offset..set.offset + set.length).unwrap_or_default().to_vec();
            let held = HeldSet {
                header: *header,
                template: set.id,
                offset: set.offset,
                received_ms: now_ms,
                octets,
            };
            summary.sets_held += 1;
            summary.sets_lost += self.held.keep(held, self.limits.held_octets);
            summary.unknown_template.get_or_insert(set.id);
        }
    }

    /// Reads a held set with the template that came.
    fn give_out_held(
        &self,
        plan: &mut Plan,
        set: &HeldSet,
        on_record: &mut dyn FnMut(DataRecord<'_>),
        summary: &mut MessageSummary,
    ) {
        let Some(domain) = self.domains.get(&set.header.key()) else { return };
        let Some(template) = domain.templates.get(&set.template) else { return };
        plan.clear();
        let reader = Reader::at(&set.octets, set.offset);
        let Ok(records) =
            plan.measure(template, reader, &self.check_context(set.header.version, &domain.templates))
        else {
            summary.sets_lost += 1;
            return;
        };
        let allowance = Cell::new(usize::MAX);
        let context = list_context(&self.registry, &self.limits, domain, &allowance);
        for (offset, length) in &plan.records {
            let start = *offset - set.offset;
            let octets = set.octets.get(start..start + *length).unwrap_or_default();
            on_record(DataRecord { header: set.header, place: count(*offset), template, octets, context });
        }
        summary.sets_claimed += 1;
        count_records(template, records, summary);
    }
}

fn list_context<'a>(
    registry: &'a Registry,
    limits: &'a Limits,
    domain: &'a Domain,
    allowance: &'a Cell<usize>,
) -> ListContext<'a> {
    let templates = TemplateView { staged: None, known: &domain.templates };
    ListContext { registry, templates, depth: limits.list_depth, values: allowance, limits }
}

fn count_records(template: &CompiledTemplate, records: usize, summary: &mut MessageSummary) {
    let counter = if template.is_options() { &mut summary.options_records } else { &mut summary.records };
    *counter += count(records);
}

/// A count of things in a message; never near the end of 32 bits.
fn count(things: usize) -> u32 {
    u32::try_from(things).unwrap_or(u32::MAX)
}

/// How often lifetimes are looked at.
const EXPIRY_INTERVAL_MS: u64 = 1_000;
