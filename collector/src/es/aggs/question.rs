//! What aggregations ask of one segment, as a key to what it answered: without what only the showing depends on, and with
//! filters as far as they say anything within the segment. A dashboard that moves on with the clock asks most segments the
//! same as a minute before.

use std::fmt::Write as _;

use super::{Agg, Kind, Level};
use crate::es::error::Result;
use crate::es::filter::Planner;
use crate::es::query::Query;
use crate::store::Segment;

/// The question; `None` where the answer depends on the clock or holds its segment open, and is not to be kept.
///
/// # Errors
/// When a filter cannot be planned.
pub(crate) fn question(level: &Level, planner: &Planner<'_>, segment: &Segment) -> Result<Option<String>> {
    let mut writer = Writer { planner, segment, written: String::new(), lasting: true };
    writer.level(level)?;
    Ok(writer.lasting.then_some(writer.written))
}

struct Writer<'a> {
    planner: &'a Planner<'a>,
    segment: &'a Segment,
    written: String,
    lasting: bool,
}

impl Writer<'_> {
    fn level(&mut self, level: &Level) -> Result<()> {
        for Agg { kind, subs, .. } in &level.aggs {
            match kind {
                Kind::Filter(query) => {
                    self.written.push_str("filter ");
                    self.filter(query)?;
                }
                Kind::Filters { filters, other, .. } => {
                    self.plain(&("filters", other.is_some()));
                    for (_, query) in filters {
                        self.filter(query)?;
                    }
                }
                // Bounds, order and the least count of a bucket are applied when all segments have answered.
                Kind::DateHistogram { source, rounding, .. } => self.plain(&(source, rounding)),
                Kind::Histogram { source, interval, offset, .. } => self.plain(&(source, interval, offset)),
                Kind::TopHits(_) => self.lasting = false,
                other => {
                    let begun = self.written.len();
                    self.plain(other);
                    // Date math.
                    self.lasting &= !self.written.get(begun..).is_some_and(|added| added.contains("now"));
                }
            }
            self.written.push('(');
            self.level(subs)?;
            self.written.push(')');
        }
        Ok(())
    }

    fn filter(&mut self, query: &Query) -> Result<()> {
        let filter = self.planner.plan(query)?.within(self.segment);
        self.plain(&filter);
        Ok(())
    }

    fn plain(&mut self, value: &dyn std::fmt::Debug) {
        // Into a string, which takes everything.
        let _written = write!(self.written, "{value:?};");
    }
}
