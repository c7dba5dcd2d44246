//! Sequence numbers of one observation domain: what was lost, repeated, reordered (RFC 7011 section 3.1).
//!
//! IPFIX counts data records, modulo 2^32, for each (transport session, observation domain). A number ahead of the
//! expected one is a gap; one that fills a known gap came late; one seen before is a duplicate; any other is an
//! exporter that started over.

use std::collections::VecDeque;

/// What a message's sequence number says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sequence {
    /// Nothing can be said: the first message, or one after records that could not be counted.
    #[default]
    First,
    /// The expected number.
    InOrder,
    /// So many units (records; NetFlow v9: messages) are missing before it.
    Gap(u32),
    /// It came late: so many units counted as missing are there now.
    Late(u32),
    /// It came before.
    Duplicate,
    /// The exporter began anew.
    Restart,
    /// This exporter's numbers have been found not to count; gaps are no longer told.
    Unreliable,
}

/// The sequence numbers of one domain so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Sequencer {
    expected: Option<u32>,
    missing: VecDeque<(u32, u32)>,
    recent: VecDeque<(u32, u32)>,
    odd: u32,
    seen: u32,
    unreliable: bool,
}

impl Sequencer {
    /// Takes a message's number and how many units it holds; none where that is not known.
    pub(super) fn take(&mut self, number: u32, export_time: u32, units: Option<u32>) -> Sequence {
        let verdict = self.verdict(number, export_time, units);
        if units != Some(0) {
            remember(&mut self.recent, (number, export_time));
        }
        if !matches!(verdict, Sequence::Late(_) | Sequence::Duplicate) {
            self.expected = units.map(|units| number.wrapping_add(units));
        }
        self.judge(verdict)
    }

    /// Whether this exporter's numbers have been found not to count.
    pub(super) const fn is_unreliable(&self) -> bool {
        self.unreliable
    }

    fn verdict(&mut self, number: u32, export_time: u32, units: Option<u32>) -> Sequence {
        let Some(expected) = self.expected else { return Sequence::First };
        match number.wrapping_sub(expected) {
            0 => Sequence::InOrder,
            ahead @ 1..=LARGEST_GAP => {
                remember(&mut self.missing, (expected, ahead));
                Sequence::Gap(ahead)
            }
            _ if self.recent.contains(&(number, export_time)) => Sequence::Duplicate,
            _ => match self.fill(number, units.unwrap_or(0)) {
                0 => {
                    self.missing.clear();
                    Sequence::Restart
                }
                filled => Sequence::Late(filled),
            },
        }
    }

    /// Takes `units` from `number` on out of the gaps; answers how many were missing.
    fn fill(&mut self, number: u32, units: u32) -> u32 {
        let inside = |&&(start, length): &&(u32, u32)| number.wrapping_sub(start) < length;
        let Some(&(start, length)) = self.missing.iter().find(inside) else { return 0 };
        self.missing.retain(|gap| *gap != (start, length));
        let before = number.wrapping_sub(start);
        let filled = units.min(length - before);
        let after = length - before - filled;
        if before > 0 {
            remember(&mut self.missing, (start, before));
        }
        if after > 0 {
            remember(&mut self.missing, (number.wrapping_add(filled), after));
        }
        filled
    }

    /// Half of the last 32 messages out of step is no loss but an exporter that counts something else.
    fn judge(&mut self, verdict: Sequence) -> Sequence {
        let odd = matches!(verdict, Sequence::Gap(_) | Sequence::Restart);
        self.odd = (self.odd << 1) | u32::from(odd);
        self.seen = self.seen.saturating_add(1);
        let recent_odd = self.odd.count_ones();
        if self.seen >= JUDGED_AFTER && recent_odd >= TOO_ODD {
            self.unreliable = true;
        } else if self.seen >= JUDGED_AFTER && recent_odd == 0 {
            self.unreliable = false;
        }
        if self.unreliable && odd { Sequence::Unreliable } else { verdict }
    }
}

fn remember(ring: &mut VecDeque<(u32, u32)>, entry: (u32, u32)) {
    if ring.len() >= REMEMBERED {
        ring.pop_front();
    }
    ring.push_back(entry);
}

/// Gaps, and messages, that are remembered: reordering on real paths spans a few messages.
const REMEMBERED: usize = 64;
/// A leap beyond this is a restart, not a loss: at 100,000 records a second it would be nearly three minutes.
const LARGEST_GAP: u32 = 1 << 24;
/// Messages before an exporter is judged.
const JUDGED_AFTER: u32 = 16;
/// Odd numbers among the last 32 messages that make an exporter's numbers worthless.
const TOO_ODD: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(messages: &[(u32, u32)]) -> Vec<Sequence> {
        let mut sequencer = Sequencer::default();
        let time = |number: u32| if number < 5 { 2 } else { 1 };
        messages.iter().map(|(number, units)| sequencer.take(*number, time(*number), Some(*units))).collect()
    }

    #[test]
    fn gap_late_duplicate_and_restart() {
        use Sequence::{Duplicate, First, Gap, InOrder, Late, Restart};
        assert_eq!(
            verdicts(&[(5, 5), (10, 5), (25, 5), (15, 10), (30, 1), (30, 1), (0, 3), (3, 1)]),
            [First, InOrder, Gap(10), Late(10), InOrder, Duplicate, Restart, InOrder]
        );
    }

    #[test]
    fn it_wraps_at_two_to_the_32() {
        use Sequence::{First, Gap, InOrder};
        assert_eq!(verdicts(&[(u32::MAX - 4, 10), (5, 1), (8, 1)]), [First, InOrder, Gap(2)]);
    }

    #[test]
    fn a_gap_is_filled_piece_by_piece() {
        use Sequence::{First, Gap, Late};
        assert_eq!(
            verdicts(&[(0, 1), (11, 1), (4, 2), (1, 3), (6, 5)]),
            [First, Gap(10), Late(2), Late(3), Late(5)]
        );
    }

    #[test]
    fn after_uncounted_records_nothing_is_said() {
        let mut sequencer = Sequencer::default();
        assert_eq!(sequencer.take(0, 0, None), Sequence::First);
        assert_eq!(sequencer.take(9, 0, Some(1)), Sequence::First);
        assert_eq!(sequencer.take(10, 0, Some(1)), Sequence::InOrder);
    }

    #[test]
    fn an_exporter_that_counts_messages_is_found_out_once() {
        let mut sequencer = Sequencer::default();
        let verdicts: Vec<Sequence> = (0..40).map(|number| sequencer.take(number, number, Some(5))).collect();
        assert!(sequencer.is_unreliable());
        assert!(verdicts.ends_with(&[Sequence::Unreliable; 8]));
    }
}
