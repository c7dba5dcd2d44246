//! The first reading of a message: everything is measured, nothing takes effect.
//!
//! What comes out is a plan: which templates it defines and withdraws, in which order, and where each record
//! stands. Any fault ends the message as a whole.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::error::DecodeError;
use crate::limits::Limits;
use crate::message::{FIRST_DATA_SET, OPTIONS_TEMPLATE_SET, Set, TEMPLATE_SET, Version};
use crate::netflow::{OPTIONS_TEMPLATE_FLOWSET, TEMPLATE_FLOWSET, read_v9_template};
use crate::reader::Reader;
use crate::registry::Registry;
use crate::template::{
    CompiledTemplate, StagedTemplates, TemplateRecord, TemplateView, Templates, read_template_record,
};
use crate::value::{ListContext, check_list};

/// What a message does, found out before it is done. Kept by the session and used again for the next message.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What it defines and withdraws, in order.
    pub(super) changes: Vec<Change>,
    /// The same by template id, as it stands at the place that is being read.
    staged: StagedTemplates,
    /// Its data sets in order.
    pub(super) sets: Vec<PlannedSet>,
    /// Places of those whose template is not known, by its id.
    waiting: HashMap<u16, Vec<usize>>,
    /// Where each record of the sets stands in the message: offset and length.
    pub(super) records: Vec<(usize, usize)>,
    /// Sets with reserved ids, skipped by their length.
    pub(super) reserved_sets: u32,
    /// Values of all records, against the limit.
    values: usize,
}

/// A change of the templates.
#[derive(Debug)]
pub(super) enum Change {
    Define(Arc<CompiledTemplate>),
    Withdraw(u16),
    WithdrawAll { options: bool },
}

/// A data set.
#[derive(Debug)]
pub(super) struct PlannedSet {
    /// Its template's id.
    pub(super) id: u16,
    /// Its template; none where it is not known.
    pub(super) template: Option<Arc<CompiledTemplate>>,
    /// Where its octets stand in the message, without the set's header.
    pub(super) offset: usize,
    pub(super) length: usize,
    /// Which of the plan's records are its own.
    pub(super) records: Range<usize>,
}

/// What checking needs to know.
pub(super) struct CheckContext<'a> {
    pub(super) version: Version,
    /// The message's octets, for sets whose template stands behind them.
    pub(super) message: &'a [u8],
    pub(super) registry: &'a Registry,
    pub(super) limits: &'a Limits,
    pub(super) templates: &'a Templates,
    /// Whether withdrawals take effect (not over UDP).
    pub(super) withdrawals: bool,
}

impl Plan {
    /// Forgets the message before, and keeps the room.
    pub(super) fn clear(&mut self) {
        self.changes.clear();
        self.staged.clear();
        self.sets.clear();
        self.waiting.clear();
        self.records.clear();
        self.reserved_sets = 0;
        self.values = 0;
    }

    /// Reads all sets behind a message header.
    pub(super) fn read_sets(
        &mut self,
        mut reader: Reader<'_>,
        context: &CheckContext<'_>,
    ) -> Result<(), DecodeError> {
        let netflow = context.version == Version::NetFlow9;
        // Exporters of NetFlow fill their last flowset up without counting that in its length.
        let is_filler = |rest: &[u8]| netflow && rest.len() < 4 && rest.iter().all(|octet| *octet == 0);
        while !is_filler(reader.rest()) {
            let Some(set) = Set::read(&mut reader)? else { break };
            match set.id {
                TEMPLATE_FLOWSET if netflow => self.read_templates(set.body, false, context)?,
                OPTIONS_TEMPLATE_FLOWSET if netflow => self.read_templates(set.body, true, context)?,
                TEMPLATE_SET if !netflow => self.read_templates(set.body, false, context)?,
                OPTIONS_TEMPLATE_SET if !netflow => self.read_templates(set.body, true, context)?,
                FIRST_DATA_SET.. => self.read_data(&set, context)?,
                _ => self.reserved_sets += 1,
            }
        }
        Ok(())
    }

    /// Plans the records of a NetFlow v5 message, of which there are so many.
    pub(super) fn count_only(&mut self, records: usize) {
        self.records.resize(records, (0, 0));
    }

    fn read_templates(
        &mut self,
        mut reader: Reader<'_>,
        options: bool,
        context: &CheckContext<'_>,
    ) -> Result<(), DecodeError> {
        let read = if context.version == Version::NetFlow9 { read_v9_template } else { read_template_record };
        while let Some(record) = read(&mut reader, options, context.limits.fields_per_template)? {
            self.stage(record, context)?;
        }
        Ok(())
    }

    fn stage(&mut self, record: TemplateRecord, context: &CheckContext<'_>) -> Result<(), DecodeError> {
        match record {
            TemplateRecord::Defined(template) => {
                let id = template.id().number();
                // The same template again needs no new compilation.
                let known = context.templates.get(&id).filter(|known| *known.wire() == template);
                let compiled = known.map_or_else(
                    || Arc::new(CompiledTemplate::new(template, context.version, context.registry)),
                    Arc::clone,
                );
                self.staged.insert(id, Some(Arc::clone(&compiled)));
                self.changes.push(Change::Define(Arc::clone(&compiled)));
                self.measure_waiting(&compiled, context)?;
            }
            TemplateRecord::Withdrawn(id) => {
                if context.withdrawals {
                    self.staged.insert(id.number(), None);
                }
                self.changes.push(Change::Withdraw(id.number()));
            }
            TemplateRecord::AllWithdrawn => self.stage_all_withdrawn(false, context),
            TemplateRecord::AllOptionsWithdrawn => self.stage_all_withdrawn(true, context),
        }
        Ok(())
    }

    /// Sets of this message whose template stands behind them.
    fn measure_waiting(
        &mut self,
        template: &Arc<CompiledTemplate>,
        context: &CheckContext<'_>,
    ) -> Result<(), DecodeError> {
        for place in self.waiting.remove(&template.id().number()).unwrap_or_default() {
            let Some((offset, length)) = self.sets.get(place).map(|set| (set.offset, set.length)) else {
                continue;
            };
            let octets = context.message.get(offset..offset + length).unwrap_or_default();
            let records = self.measure(template, Reader::at(octets, offset), context)?;
            if let Some(set) = self.sets.get_mut(place) {
                set.template = Some(Arc::clone(template));
                set.records = records;
            }
        }
        Ok(())
    }

    fn stage_all_withdrawn(&mut self, options: bool, context: &CheckContext<'_>) {
        if context.withdrawals {
            let of_kind = |template: &&Arc<CompiledTemplate>| template.is_options() == options;
            let staged: Vec<u16> = self
                .staged
                .values()
                .flatten()
                .filter(of_kind)
                .map(|template| template.id().number())
                .collect();
            let known = context.templates.values().filter(of_kind).map(|template| template.id().number());
            for id in known.chain(staged) {
                self.staged.insert(id, None);
            }
        }
        self.changes.push(Change::WithdrawAll { options });
    }

    fn read_data(&mut self, set: &Set<'_>, context: &CheckContext<'_>) -> Result<(), DecodeError> {
        let view = TemplateView { staged: Some(&self.staged), known: context.templates };
        let template = view.lookup(set.id).cloned();
        let records = match &template {
            Some(template) => self.measure(template, set.body, context)?,
            None => {
                self.waiting.entry(set.id).or_default().push(self.sets.len());
                0..0
            }
        };
        let (offset, length) = (set.body.offset(), set.body.len());
        self.sets.push(PlannedSet { id: set.id, template, offset, length, records });
        Ok(())
    }

    /// Finds every record of a data set; answers which of the plan's they are.
    pub(super) fn measure(
        &mut self,
        template: &CompiledTemplate,
        mut reader: Reader<'_>,
        context: &CheckContext<'_>,
    ) -> Result<Range<usize>, DecodeError> {
        let before = self.records.len();
        let aligned = reader.len().is_multiple_of(4);
        while !is_padding(&reader, template.shortest_record(), aligned && self.records.len() > before) {
            let offset = reader.offset();
            self.values += template.fields().len();
            if self.values > context.limits.values_per_message {
                return Err(DecodeError::Values { offset, limit: context.limits.values_per_message });
            }
            let octets = template.take_record(&mut reader)?;
            if template.is_structured() {
                self.check_lists(template, Reader::at(octets, offset), context)?;
            }
            self.records.push((offset, octets.len()));
        }
        Ok(before..self.records.len())
    }

    fn check_lists(
        &mut self,
        template: &CompiledTemplate,
        mut reader: Reader<'_>,
        context: &CheckContext<'_>,
    ) -> Result<(), DecodeError> {
        let left = Cell::new(context.limits.values_per_message - self.values);
        let lists = ListContext {
            registry: context.registry,
            templates: TemplateView { staged: Some(&self.staged), known: context.templates },
            depth: context.limits.list_depth,
            values: &left,
            limits: context.limits,
        };
        for field in template.fields() {
            let octets = reader.field(field.length)?;
            if field.data_type.is_structured() {
                check_list(field.data_type, octets, reader.offset() - octets.len(), &lists)?;
            }
        }
        self.values = context.limits.values_per_message - left.get();
        Ok(())
    }
}

/// What is left of a data set is padding when it is shorter than the shortest record (RFC 7011 section 3.3.1).
/// Records of fewer than four octets leave that open: there, up to three octets of zero that bring a set to a
/// boundary of four are padding.
fn is_padding(reader: &Reader<'_>, shortest: usize, may_be_aligned: bool) -> bool {
    let left = reader.len();
    let aligning =
        may_be_aligned && left < 4 && shortest < 4 && reader.rest().iter().all(|octet| *octet == 0);
    left < shortest || aligning
}
