//! The second reading of a message: its records are given out.
//!
//! Everything was measured by `check.rs`; here nothing can fail but a held set under the template that came.

use std::cell::Cell;
use std::mem;

use super::check::Plan;
use super::domain::Domain;
use super::held::HeldSet;
use super::options::Heard;
use super::record::DataRecord;
use super::session::CollectingSession;
use super::summary::{MessageSummary, count};
use crate::limits::Limits;
use crate::message::MessageHeader;
use crate::netflow::{rebuilt_records, v5_template};
use crate::reader::Reader;
use crate::registry::Registry;
use crate::template::{CompiledTemplate, TemplateView};
use crate::value::ListContext;

impl CollectingSession {
    pub(super) fn give_out(
        &self,
        plan: &Plan,
        header: &MessageHeader,
        message: &[u8],
        on_record: &mut dyn FnMut(DataRecord<'_>),
        summary: &mut MessageSummary,
    ) {
        self.read_records(plan, header, message, |_| true, on_record);
        for set in &plan.sets {
            if let Some(template) = &set.template {
                summary.count_records(template, set.records.len());
            }
        }
    }

    /// Listens to the options records of a message.
    pub(super) fn hear(&self, plan: &Plan, header: &MessageHeader, message: &[u8]) -> Heard {
        let mut heard = Heard::default();
        self.read_records(plan, header, message, CompiledTemplate::is_options, &mut |record| {
            heard.note(&record)
        });
        heard
    }

    fn read_records(
        &self,
        plan: &Plan,
        header: &MessageHeader,
        message: &[u8],
        wanted: impl Fn(&CompiledTemplate) -> bool,
        on_record: &mut dyn FnMut(DataRecord<'_>),
    ) {
        let Some(domain) = self.domains.get(&header.key()) else { return };
        let allowance = Cell::new(usize::MAX);
        let context = list_context(&self.registry, &self.limits, domain, &allowance);
        let sets = plan.sets.iter().filter_map(|set| Some((set, set.template.as_ref()?)));
        for (set, template) in sets.filter(|(_, template)| wanted(template)) {
            for (offset, length) in plan.records.get(set.records.clone()).unwrap_or_default() {
                let octets = message.get(*offset..*offset + *length).unwrap_or_default();
                on_record(DataRecord {
                    header: *header,
                    place: count(*offset),
                    template,
                    octets,
                    context,
                    options: &domain.options,
                });
            }
        }
    }

    /// The records of a NetFlow v5 message.
    pub(super) fn give_out_v5(
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
            on_record(DataRecord {
                header: *header,
                place: count(offset),
                template,
                octets,
                context,
                options: &domain.options,
            });
            records += 1;
        }
        summary.count_records(template, records);
        plan.count_only(records);
        self.rebuilt = room;
        self.count_sequence(plan, header, summary);
    }

    /// Keeps the data sets whose template is not known.
    pub(super) fn hold(
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
    pub(super) fn give_out_held(
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
        let context = self.check_context(set.header.version, &[], &domain.templates);
        let Ok(records) = plan.measure(template, reader, &context) else {
            summary.sets_lost += 1;
            return;
        };
        let allowance = Cell::new(usize::MAX);
        let context = list_context(&self.registry, &self.limits, domain, &allowance);
        for (offset, length) in &plan.records {
            let start = *offset - set.offset;
            let octets = set.octets.get(start..start + *length).unwrap_or_default();
            on_record(DataRecord {
                header: set.header,
                place: count(*offset),
                template,
                octets,
                context,
                options: &domain.options,
            });
        }
        summary.sets_claimed += 1;
        summary.count_records(template, records.len());
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
