//! Open vSwitch's own connection tracking table, where its userspace datapath (`netdev`) keeps one beside the kernel's.
//!
//! What `ovs-appctl dpctl/dump-conntrack -m -s` prints is asked for over the same unix socket, without starting a
//! program each poll. There are no events here, and in the userspace datapath no counters, ids or times of birth:
//! a connection is known by its addresses and zone, from the first dump that has it to the first that lacks it.

mod line;

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::conntrack::Entry;
use crate::conntrack::socket::{ConntrackError, Dump};

/// Asks `ovs-vswitchd` for dumps.
#[derive(Clone, Debug)]
pub(crate) struct OvsSocket {
    folder: PathBuf,
    most_octets: u64,
}

impl OvsSocket {
    /// Open vSwitch's run folder, and how many connections an answer may hold.
    pub(crate) fn new(folder: PathBuf, connections: usize) -> Self {
        Self { folder, most_octets: (connections as u64).saturating_mul(LINE).saturating_add(LINE) }
    }

    /// Reads the whole table, or one zone of it, and gives every entry to `on_entry`.
    pub(crate) fn dump(
        &self,
        zone: Option<u16>,
        on_entry: &mut dyn FnMut(&Entry),
    ) -> Result<Dump, ConntrackError> {
        let text = self.ask(zone)?;
        // All lines were there when the dump was made: it is complete, whatever one line may be.
        let mut dump = Dump { complete: true, ..Dump::default() };
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match line::parse(line) {
                None => dump.unreadable += 1,
                Some(entry) if zone.is_none_or(|zone| entry.zones.original == zone) => {
                    dump.entries += 1;
                    on_entry(&entry);
                }
                Some(_) => dump.foreign += 1,
            }
        }
        Ok(dump)
    }

    fn ask(&self, zone: Option<u16>) -> Result<String, ConntrackError> {
        let socket = self.socket()?;
        let failed = |source| ConntrackError::Ovs { socket: socket.display().to_string(), source };
        let mut parameters = vec!["-m".to_owned(), "-s".to_owned()];
        parameters.extend(zone.map(|zone| format!("zone={zone}")));
        let request = json!({"id": 0, "method": "dpctl/dump-conntrack", "params": parameters}).to_string();
        let reply = exchange(&socket, &request, self.most_octets).map_err(failed)?;
        match (reply.result, reply.error) {
            (Some(text), None) => Ok(text),
            (_, Some(error)) => Err(failed(io::Error::other(error.trim().to_owned()))),
            (None, None) => Err(failed(io::Error::other("the answer holds neither a result nor an error"))),
        }
    }

    /// `ovs-vswitchd.PID.ctl`, with the number that the daemon wrote down: it changes whenever that is restarted.
    fn socket(&self) -> Result<PathBuf, ConntrackError> {
        let file = self.folder.join("ovs-vswitchd.pid");
        let number = fs::read_to_string(&file)
            .map_err(|source| ConntrackError::Ovs { socket: file.display().to_string(), source })?;
        Ok(self.folder.join(format!("ovs-vswitchd.{}.ctl", number.trim())))
    }
}

/// A JSON-RPC answer (ovs-appctl's protocol is JSON-RPC 1.0 over a stream).
#[derive(Debug, Deserialize)]
struct Reply {
    #[serde(default)]
    result: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

fn exchange(socket: &Path, request: &str, most_octets: u64) -> io::Result<Reply> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    // The daemon leaves the connection open after its answer, so the answer ends where its JSON does.
    let answer = BufReader::new(stream.take(most_octets));
    let mut answers = serde_json::Deserializer::from_reader(answer).into_iter::<Reply>();
    match answers.next() {
        Some(Ok(reply)) => Ok(reply),
        Some(Err(error)) if error.is_eof() => {
            Err(io::Error::other(format!("the answer is cut short, or has more than {most_octets} octets")))
        }
        Some(Err(error)) => Err(error.into()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A daemon that does not answer for this long is not there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Octets of a connection's line, at most: the longest seen is 400, with IPv6, a parent and labels.
const LINE: u64 = 1_024;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// A daemon that gives one answer.
    fn answering(answer: &'static str) -> (tempfile::TempDir, OvsSocket, thread::JoinHandle<String>) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ovs-vswitchd.pid"), "7\n").unwrap();
        let listener = UnixListener::bind(folder.path().join("ovs-vswitchd.7.ctl")).unwrap();
        let daemon = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4_096];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let socket = OvsSocket::new(folder.path().to_owned(), 3);
        (folder, socket, daemon)
    }

    const TWO: &str = r#"{"id":0,"result":"udp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1,dport=2),reply=(src=10.0.0.2,dst=10.0.0.1,sport=2,dport=1),id=0,zone=7\nnonsense\nudp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1,dport=3),reply=(src=10.0.0.2,dst=10.0.0.1,sport=3,dport=1),id=0\n","error":null}"#;

    #[test]
    fn what_is_good_beside_a_bad_line_is_taken() {
        let (_folder, socket, daemon) = answering(TWO);
        let mut ports = Vec::new();
        let dump = socket.dump(Some(7), &mut |entry| ports.push(entry.original.destination_port())).unwrap();
        assert_eq!(ports, [2]);
        assert_eq!(dump, Dump { entries: 1, foreign: 1, unreadable: 1, complete: true });
        assert_eq!(
            daemon.join().unwrap(),
            r#"{"id":0,"method":"dpctl/dump-conntrack","params":["-m","-s","zone=7"]}"#
        );
    }

    #[test]
    fn an_answer_that_is_none_is_an_error_with_the_socket_in_it() {
        for (answer, said) in [
            (
                r#"{"id":0,"error":"ovs-vswitchd: datapath not found (Invalid argument)\n"}"#,
                "datapath not found",
            ),
            (r#"{"id":0,"result":"udp,orig"#, "cut short"),
            ("", "unexpected end"),
            ("nonsense", "expected"),
            (r#"{"id":0}"#, "neither"),
        ] {
            let (_folder, socket, daemon) = answering(answer);
            let error = socket.dump(None, &mut |_| {}).unwrap_err();
            daemon.join().unwrap();
            let text = crate::tracker::display_chain(&error);
            assert!(text.contains(said) && text.contains("ovs-vswitchd.7.ctl"), "{answer}: {text}");
        }
    }

    #[test]
    fn more_than_the_bound_is_not_read() {
        let long = format!(r#"{{"id":0,"result":"{}","error":null}}"#, "x".repeat(5_000));
        let (_folder, socket, daemon) = answering(Box::leak(long.into_boxed_str()));
        let error = socket.dump(None, &mut |_| {}).unwrap_err();
        // The daemon may find its peer gone.
        drop(daemon.join());
        assert!(crate::tracker::display_chain(&error).contains("more than 4096 octets"));
    }

    #[test]
    fn without_a_daemon_the_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = OvsSocket::new(folder.path().to_owned(), 1).dump(None, &mut |_| {}).unwrap_err();
        assert!(crate::tracker::display_chain(&error).contains("ovs-vswitchd.pid"));
    }
}
