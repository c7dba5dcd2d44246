//! The kernel's switches: counters, timestamps and events of connection tracking.
//!
//! Each new network namespace starts with counters off. The switches are written once, after the event socket is
//! open; where they cannot be (a read-only /proc/sys), the three commands are said.

use std::fs;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

/// What the switches were when the agent came, and what they are now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Switches {
    /// Entries carry packet and octet counters.
    pub(crate) counters: bool,
    /// Entries carry the time of their birth.
    pub(crate) timestamps: bool,
    /// Entries that are born now report their end.
    pub(crate) events: bool,
    /// Entries that were born before the agent came report their end, too.
    pub(crate) earlier_events: bool,
}

/// Switches on what is off, in the network namespace of this thread. Entries born before keep what they were born
/// with.
pub(crate) fn switch_on(directory: &Path) -> Switches {
    let earlier_events = read(directory, EVENTS).as_deref() == Some("1");
    let mut refused = Vec::new();
    for (name, purpose) in SWITCHES {
        if read(directory, name).as_deref() == Some("1") {
            continue;
        }
        match fs::write(directory.join(name), "1") {
            Ok(()) => info!(switch = name, purpose, "switched on"),
            Err(error) => {
                warn!(switch = name, purpose, %error, "cannot be switched on from here");
                refused.push(format!("sysctl -w net.netfilter.{name}=1"));
            }
        }
    }
    if !refused.is_empty() {
        warn!(
            commands = refused.join("; "),
            "run these on the Node, or mount its /proc/sys/net/netfilter writable into the agent"
        );
    }
    let is_on = |name| read(directory, name).as_deref() == Some("1");
    Switches {
        counters: is_on(COUNTERS),
        timestamps: is_on(TIMESTAMPS),
        // 2 means: for entries born while somebody listens, and the agent does.
        events: matches!(read(directory, EVENTS).as_deref(), Some("1" | "2")),
        earlier_events,
    }
}

/// Where the switches of this network namespace are. In an unprivileged Pod /proc/sys is read-only, and nothing can be
/// mounted over it: the shipped DaemonSet mounts the Node's folder elsewhere.
pub(crate) fn directory() -> PathBuf {
    [MOUNTED, OWN].map(PathBuf::from).into_iter().find(|path| path.is_dir()).unwrap_or_else(|| OWN.into())
}

/// How full the table may get in this network namespace (`nf_conntrack_max`), where it can be read.
pub(crate) fn maximum(directory: &Path) -> Option<u64> {
    read(directory, "nf_conntrack_max")?.parse().ok()
}

/// How many entries the table has, of all zones, where it can be read.
pub(crate) fn count(directory: &Path) -> Option<u64> {
    read(directory, "nf_conntrack_count")?.parse().ok()
}

fn read(directory: &Path, name: &str) -> Option<String> {
    fs::read_to_string(directory.join(name)).ok().map(|text| text.trim().to_owned())
}

const OWN: &str = "/proc/sys/net/netfilter";
const MOUNTED: &str = "/host/proc/sys/net/netfilter";

const COUNTERS: &str = "nf_conntrack_acct";
const TIMESTAMPS: &str = "nf_conntrack_timestamp";
const EVENTS: &str = "nf_conntrack_events";

const SWITCHES: [(&str, &str); 3] = [
    (COUNTERS, "packet and octet counters of connections"),
    (TIMESTAMPS, "start times of connections"),
    (EVENTS, "final counters of connections that end"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_is_switched_on_and_what_was_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        for (name, value) in [(COUNTERS, "0"), (TIMESTAMPS, "1"), (EVENTS, "2")] {
            fs::write(directory.path().join(name), format!("{value}\n")).unwrap();
        }
        let first = switch_on(directory.path());
        assert_eq!(first, Switches { counters: true, timestamps: true, events: true, earlier_events: false });
        assert!(switch_on(directory.path()).earlier_events);
    }

    #[test]
    fn without_the_files_everything_counts_as_off() {
        let nothing = switch_on(Path::new("/nonexistent"));
        assert_eq!(nothing, Switches::default());
    }
}
