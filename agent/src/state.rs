//! The state file: what was reported of flows that may go on, for the next run of the agent.
//!
//! ```text
//!  8 octets  36 octets  8         1         n × 41                           8
//!  +--------+----------+---------+---------+--------------------------------+----------+
//!  | magic  | boot id  | since   | graceful| key hash, 4 totals (LE), ended | checksum |
//!  +--------+----------+---------+---------+--------------------------------+----------+
//! ```
//! It means something only until the machine boots again: conntrack does not outlive that either. A file that is cut
//! short, of another boot or of another version is as good as none.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use tracing::{info, warn};
use xxhash_rust::xxh3::xxh3_64;

use crate::conntrack::Counters;
use crate::store::{Memory, Reported};

/// What an earlier run left.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// What the store has to know.
    pub(crate) memory: Memory,
    /// The earlier run ended in order, after its last export, and knew so of the one before. Otherwise what it reported since it last wrote the file
    /// is reported again.
    pub(crate) graceful: bool,
}

/// Reads the file of this boot.
pub(crate) fn load(path: &Path, boot_id: &str) -> Option<State> {
    let octets = match fs::read(path) {
        Ok(octets) => octets,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            warn!(path = %path.display(), %error, "the state of an earlier run cannot be read; flows begin anew");
            return None;
        }
    };
    let state = decode(&octets, boot_id);
    if state.is_none() {
        info!(path = %path.display(), "the state there is of another boot or not whole; flows begin anew");
    }
    state
}

/// Writes the file beside itself and moves it into place, so that there is always a whole one.
///
/// # Errors
/// When the folder or the file cannot be written.
pub(crate) fn save(path: &Path, boot_id: &str, state: &State) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(&encode(boot_id, state))?;
    fs::rename(&new, path)
}

/// This boot's id, the same for all processes until the machine boots again.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn encode(boot_id: &str, state: &State) -> Vec<u8> {
    let mut octets = Vec::with_capacity(HEADER + state.memory.reported.len() * FLOW + CHECKSUM);
    octets.extend_from_slice(MAGIC);
    octets.extend(boot_id.bytes().chain(std::iter::repeat(b' ')).take(BOOT_ID));
    octets.extend(state.memory.since_ms.to_le_bytes());
    octets.push(u8::from(state.graceful));
    for (hash, reported) in &state.memory.reported {
        let total = reported.totals;
        let numbers = [*hash, total.packets, total.octets, total.reverse_packets, total.reverse_octets];
        octets.extend(numbers.into_iter().flat_map(u64::to_le_bytes));
        octets.push(u8::from(reported.ended));
    }
    octets.extend(xxh3_64(&octets).to_le_bytes());
    octets
}

fn decode(octets: &[u8], boot_id: &str) -> Option<State> {
    let (body, checksum) = octets.split_last_chunk::<CHECKSUM>()?;
    if xxh3_64(body) != u64::from_le_bytes(*checksum) {
        return None;
    }
    let (magic, rest) = body.split_first_chunk::<8>()?;
    let (boot, rest) = rest.split_first_chunk::<BOOT_ID>()?;
    let (since_ms, rest) = rest.split_first_chunk::<8>()?;
    let (graceful, flows) = rest.split_first()?;
    if magic != MAGIC || std::str::from_utf8(boot).ok()?.trim() != boot_id || flows.len() % FLOW != 0 {
        return None;
    }
    let reported = flows.chunks_exact(FLOW).filter_map(|flow| {
        let (ended, numbers) = flow.split_last()?;
        let mut numbers =
            numbers.chunks_exact(8).filter_map(|octets| Some(u64::from_le_bytes(octets.try_into().ok()?)));
        let mut next = || numbers.next();
        let hash = next()?;
        let totals =
            Counters { packets: next()?, octets: next()?, reverse_packets: next()?, reverse_octets: next()? };
        Some((hash, Reported { totals, ended: *ended == 1 }))
    });
    Some(State {
        memory: Memory {
            since_ms: u64::from_le_bytes(*since_ms),
            reported: reported.collect(),
            crashed_before_ms: 0,
        },
        graceful: *graceful == 1,
    })
}

const MAGIC: &[u8; 8] = b"podflow1";
const BOOT_ID: usize = 36;
const HEADER: usize = 8 + BOOT_ID + 8 + 1;
const FLOW: usize = 5 * 8 + 1;
const CHECKSUM: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> State {
        let totals = Counters { packets: 1, octets: 2, reverse_packets: 3, reverse_octets: u64::MAX };
        let ended = Reported { totals, ended: true };
        State {
            memory: Memory {
                since_ms: 77,
                reported: [(5, ended), (6, Reported::default())].into(),
                crashed_before_ms: 0,
            },
            graceful: true,
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper/agent.state");
        assert!(load(&path, "boot").is_none());
        save(&path, "boot", &sample()).unwrap();
        let state = load(&path, "boot").unwrap();
        assert_eq!((state.memory.since_ms, state.graceful), (77, true));
        assert_eq!(state.memory.reported, sample().memory.reported);
        assert!(load(&path, "another boot").is_none());
    }

    #[test]
    fn a_file_that_is_not_whole_is_as_good_as_none() {
        let octets = encode("boot", &sample());
        assert!(decode(&octets, "boot").is_some());
        for length in 0..octets.len() {
            assert!(decode(&octets[..length], "boot").is_none(), "{length}");
        }
        for place in 0..octets.len() {
            let mut broken = octets.clone();
            broken[place] ^= 0x10;
            assert!(decode(&broken, "boot").is_none(), "{place}");
        }
    }
}
