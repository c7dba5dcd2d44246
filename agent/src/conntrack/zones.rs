//! Which conntrack zones are read, and with how many dumps.
//!
//! `auto` finds out from the table: where Antrea's zones are in use, those and the Node's own are read, and what else
//! there is (Antrea's zones for its own address translation) would tell of the same connections again. Under any other
//! CNI every zone is read, and the store makes one flow of a connection that is in several.

use tracing::info;

use crate::conntrack::entry::Zones;

/// Antrea's zones for its Pods' IPv4 and IPv6 connections, then the one that everything else uses: the CNI's first.
pub(crate) const ANTREA: [u16; 3] = [65_520, 65_510, 0];

/// The zones that are wanted, and what is known of the table and the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ZonePlan {
    wanted: Wanted,
    /// The kernel leaves out what was not asked for (Linux 6.8); older ones ignore the wish without an error.
    filters: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Wanted {
    /// These, the CNI's first.
    These(Vec<u16>),
    /// All of them; so many others than the Node's own were seen.
    All(Vec<u16>),
}

impl ZonePlan {
    /// Those of the configuration; none: found out from the table.
    pub(crate) fn new(configured: Option<Vec<u16>>) -> Self {
        let wanted = configured.map_or(Wanted::All(Vec::new()), Wanted::These);
        Self { wanted, filters: true }
    }

    /// It is to be found out from the table.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.wanted, Wanted::All(_))
    }

    /// An entry of these zones is in the table.
    pub(crate) fn found(&mut self, zones: Zones) {
        let Wanted::All(seen) = &mut self.wanted else { return };
        for zone in [zones.original, zones.reply] {
            if zone == 0 || seen.contains(&zone) {
                continue;
            }
            info!(zone, "a conntrack zone is in use");
            if ANTREA.contains(&zone) {
                info!(zones = ?ANTREA, "Antrea's conntrack zones and the Node's own are read");
                self.wanted = Wanted::These(ANTREA.to_vec());
                return;
            }
            // Beyond these they are not remembered one by one.
            if seen.len() < MOST_NAMED {
                seen.push(zone);
            }
        }
    }

    /// The dumps of one poll: each of one zone, or one of everything.
    pub(crate) fn dumps(&self) -> Vec<Option<u16>> {
        match &self.wanted {
            Wanted::These(zones) if self.filters && zones.len() <= MOST_DUMPS => {
                zones.iter().copied().map(Some).collect()
            }
            Wanted::These(_) | Wanted::All(_) => vec![None],
        }
    }

    /// A dump that asked for one zone held so many entries of others.
    pub(crate) fn not_asked_for(&mut self, entries: u64) {
        if entries > 0 && self.filters {
            self.filters = false;
            info!(
                "this kernel does not filter zones in a dump (6.8 does): the whole table is read once a poll"
            );
        }
    }

    /// An entry of these zones is to be taken in.
    pub(crate) fn wants(&self, zones: Zones) -> bool {
        match &self.wanted {
            Wanted::All(_) => true,
            Wanted::These(wanted) => wanted.contains(&zones.original) || wanted.contains(&zones.reply),
        }
    }
}

/// Each dump walks the whole table in the kernel, so that beyond a few it is cheaper to read everything once.
const MOST_DUMPS: usize = 3;

/// Open Virtual Network gives each port of a switch its own zone.
const MOST_NAMED: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn both(zone: u16) -> Zones {
        Zones { original: zone, reply: zone }
    }

    #[test]
    fn antreas_zones_are_found_in_the_table() {
        let mut plan = ZonePlan::new(None);
        assert!(plan.is_open());
        plan.found(both(0));
        assert_eq!((plan.dumps(), plan.wants(both(0)), plan.wants(both(7))), (vec![None], true, true));
        plan.found(Zones { original: 0, reply: 65_510 });
        assert_eq!(plan.dumps(), [Some(65_520), Some(65_510), Some(0)]);
        assert!(plan.wants(both(65_520)) && plan.wants(both(0)) && !plan.wants(both(65_521)));
        assert!(plan.wants(Zones { original: 7, reply: 0 }), "zones can be per direction");
        assert!(!plan.is_open());
    }

    #[test]
    fn all_zones_of_other_networks_are_read_at_once() {
        let mut plan = ZonePlan::new(None);
        for zone in 1..100 {
            plan.found(both(zone));
            assert!(plan.wants(both(zone)));
        }
        assert_eq!(plan.dumps(), [None]);
    }

    #[test]
    fn a_kernel_that_does_not_filter_is_asked_once() {
        let mut plan = ZonePlan::new(Some(vec![5, 6]));
        plan.not_asked_for(0);
        assert_eq!(plan.dumps(), [Some(5), Some(6)]);
        plan.not_asked_for(1);
        assert_eq!(plan.dumps(), [None]);
        assert!(plan.wants(both(5)) && !plan.wants(both(0)));
        plan.found(both(65_520));
        assert_eq!(plan.dumps(), [None], "a list is a list");
    }

    #[test]
    fn many_zones_are_one_dump() {
        assert_eq!(ZonePlan::new(Some(vec![1, 2, 3, 4])).dumps(), [None]);
    }
}
