//! One transport session of a collector: messages in, records out.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use super::check::{Change, CheckContext, Plan};
use super::domain::{Domain, Learned};
use super::held::{Held, HeldSet};
use super::options::{ExporterOptions, Heard, is_acceptable};
use super::record::DataRecord;
use super::summary::{MessageSummary, count};
use crate::error::DecodeError;
use crate::limits::Limits;
use crate::message::{MessageHeader, Version};
use crate::registry::{Element, Registry};
use crate::template::{CompiledTemplate, Templates};

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
    pub(super) transport: Transport,
    pub(super) limits: Arc<Limits>,
    pub(super) registry: Arc<Registry>,
    pub(super) domains: HashMap<DomainKey, Domain>,
    pub(super) rebuilt: Vec<u8>,
    pub(super) held: Held,
    pub(super) announced: usize,
    pub(super) plan: Box<Plan>,
    pub(super) next_expiry_ms: u64,
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
            announced: 0,
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

    /// What a domain's options records have said about the exporter; none where the domain is not known.
    pub fn options(&self, version: Version, domain: u32) -> Option<&ExporterOptions> {
        self.domains.get(&(version, domain)).map(|domain| &domain.options)
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
        self.announced = known.announced;
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
        plan.read_sets(body, &self.check_context(header.version, message, templates))?;

        let claimed = self.change_templates(plan, &header, now_ms, &mut summary);
        self.count_sequence(plan, &header, &mut summary);
        summary.sets_reserved = plan.reserved_sets;
        // What the message says about elements holds for its own records too.
        let heard = self.hear(plan, &header, message);
        if self.learn(&heard, &header, &mut summary) {
            self.compile_again(plan, &header);
        }
        self.give_out(plan, &header, message, on_record, &mut summary);
        self.hold(plan, &header, message, now_ms, &mut summary);
        let mut heard = Heard::default();
        for set in claimed {
            let mut listen = |record: DataRecord<'_>| {
                heard.note(&record);
                on_record(record);
            };
            self.give_out_held(plan, &set, &mut listen, &mut summary);
        }
        self.learn(&heard, &header, &mut summary);
        Ok(summary)
    }

    pub(super) fn check_context<'a>(
        &'a self,
        version: Version,
        message: &'a [u8],
        templates: &'a Templates,
    ) -> CheckContext<'a> {
        CheckContext {
            version,
            message,
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
                        Learned::Replaced => {
                            room -= 1;
                            let of_the_dead = self.held.claim(header.key(), id);
                            summary.sets_lost += count(of_the_dead.len());
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

    pub(super) fn count_sequence(
        &mut self,
        plan: &Plan,
        header: &MessageHeader,
        summary: &mut MessageSummary,
    ) {
        let domain = self.domains.entry(header.key()).or_default();
        let all_known = plan.sets.iter().all(|set| set.template.is_some());
        let units = match header.version {
            Version::NetFlow9 => Some(1),
            Version::Ipfix | Version::NetFlow5 => all_known.then(|| count(plan.records.len())),
        };
        summary.sequence = domain.sequence.take(header.sequence, header.export_time, units);
    }

    /// Takes in what options records said about the exporter; answers whether an element became known.
    fn learn(&mut self, heard: &Heard, header: &MessageHeader, summary: &mut MessageSummary) -> bool {
        if heard.is_empty() {
            return false;
        }
        summary.not_sent = heard.not_sent.or(summary.not_sent);
        heard.tell(&mut self.domains.entry(header.key()).or_default().options);
        let [learned, refused] = self.describe(heard.elements.iter().cloned());
        summary.elements_learned += learned;
        summary.elements_refused += refused;
        learned > 0
    }

    /// Takes descriptions of elements in, for all templates; answers how many were new and how many were refused.
    pub(super) fn describe(&mut self, elements: impl IntoIterator<Item = Element>) -> [u32; 2] {
        let [mut learned, mut refused] = [0; 2];
        for element in elements {
            // What is known stays as it is; our own exporters describe elements that we know.
            if self.registry.lookup(element.key).is_some() {
                continue;
            }
            if self.announced >= self.limits.announced_elements || !is_acceptable(&element, &self.registry) {
                refused += 1;
                continue;
            }
            self.announced += 1;
            learned += 1;
            Arc::make_mut(&mut self.registry).add(element);
        }
        if learned > 0 {
            for ((version, _), domain) in &mut self.domains {
                domain.compile_again(*version, &self.registry);
            }
        }
        [learned, refused]
    }

    /// Takes the templates of a message that is being read as they are compiled now.
    fn compile_again(&self, plan: &mut Plan, header: &MessageHeader) {
        let Some(domain) = self.domains.get(&header.key()) else { return };
        for set in &mut plan.sets {
            let now = domain.templates.get(&set.id);
            if let (Some(before), Some(now)) = (&mut set.template, now)
                && before.wire() == now.wire()
            {
                *before = Arc::clone(now);
            }
        }
    }
}

/// How often lifetimes are looked at.
const EXPIRY_INTERVAL_MS: u64 = 1_000;
