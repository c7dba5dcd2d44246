//! An agent on a Node of the testbed, and a collector that keeps the records it is sent.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use podflow_agent::config::Config;
use podflow_agent::{RunOptions, run};
use podflow_ipfix::collect::{CollectingSession, Transport};
use podflow_ipfix::framing::Framer;
use podflow_ipfix::registry::Registry;
use podflow_ipfix::value::Value;
use podflow_testbed::{Namespace, Node, Testbed, plan};
use tokio_util::sync::CancellationToken;

/// One record: its elements by name, as text.
pub type Record = HashMap<String, String>;

/// Keeps what agents send until it is dropped.
pub struct Collector {
    records: Arc<Mutex<Vec<Record>>>,
    pub address: SocketAddr,
    pub protocol: &'static str,
}

impl Collector {
    /// Listens in the testbed's collector namespace, over "tcp" or "udp".
    pub fn start(bed: &Testbed, protocol: &'static str) -> Self {
        Self::crashing(bed, protocol, 0)
    }

    /// As [`Collector::start`]; the first `crashes` connections end after a message with records was read, and what
    /// came over them is lost, as with a collector that is killed before it stored anything.
    pub fn crashing(bed: &Testbed, protocol: &'static str, crashes: usize) -> Self {
        let address = SocketAddr::new(IpAddr::V4(plan::collector().v4), 0);
        Self::listen(bed.collector_namespace(), address, protocol, crashes)
    }

    /// As [`Collector::crashing`], anywhere.
    pub fn listen(space: &Namespace, address: SocketAddr, protocol: &'static str, crashes: usize) -> Self {
        let records = Arc::new(Mutex::new(Vec::new()));
        let address = if protocol == "tcp" {
            let listener = space.enter(|| TcpListener::bind(address)).unwrap().unwrap();
            let address = listener.local_addr().unwrap();
            let records = Arc::clone(&records);
            let accept = move || {
                for (number, stream) in listener.incoming().enumerate() {
                    let records = Arc::clone(&records);
                    let crashes = number < crashes;
                    std::thread::spawn(move || read_stream(stream.unwrap(), &records, crashes));
                }
            };
            drop(space.spawn("collector", accept).unwrap());
            address
        } else {
            let socket = space.enter(|| UdpSocket::bind(address)).unwrap().unwrap();
            let address = socket.local_addr().unwrap();
            let records = Arc::clone(&records);
            drop(space.spawn("collector", move || read_datagrams(&socket, &records)).unwrap());
            address
        };
        Self { records, address, protocol }
    }

    /// One that others fill, such as a server with TLS.
    #[allow(dead_code, reason = "not every test has such a server")]
    pub fn filled_by_others(address: SocketAddr, protocol: &'static str) -> (Self, Arc<Mutex<Vec<Record>>>) {
        let records: Arc<Mutex<Vec<Record>>> = Arc::default();
        (Self { records: Arc::clone(&records), address, protocol }, records)
    }

    /// Every record received so far, those that came twice once, as our collector stores them.
    pub fn records(&self) -> Vec<Record> {
        let mut seen = HashSet::new();
        let identity = |record: &Record| {
            ["flowId", "flowEndMilliseconds", "flowEndReason", "packetTotalCount", "reversePacketTotalCount"]
                .map(|name| record.get(name).cloned())
        };
        let records = self.records.lock().unwrap();
        records.iter().filter(|record| seen.insert(identity(record))).cloned().collect()
    }
}

pub fn read_stream(mut stream: impl Read, records: &Mutex<Vec<Record>>, crashes: bool) {
    let lost = Mutex::default();
    let records = if crashes { &lost } else { records };
    let mut session = session(Transport::Stream);
    let mut framer = Framer::new();
    let mut buffer = [0; 65_536];
    while let Ok(length) = stream.read(&mut buffer) {
        if length == 0 {
            return;
        }
        framer.push(&buffer[..length]);
        while let Some(message) = framer.next_message().unwrap() {
            receive(&mut session, message, records);
        }
        if crashes && !records.lock().unwrap().is_empty() {
            return;
        }
    }
}

fn read_datagrams(socket: &UdpSocket, records: &Mutex<Vec<Record>>) {
    let mut sessions: HashMap<SocketAddr, CollectingSession> = HashMap::new();
    let mut buffer = [0; 65_536];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let session = sessions.entry(from).or_insert_with(|| session(Transport::Udp));
        receive(session, &buffer[..length], records);
    }
}

fn session(transport: Transport) -> CollectingSession {
    CollectingSession::new(transport, Arc::default(), Arc::new(Registry::standard()))
}

fn receive(session: &mut CollectingSession, message: &[u8], records: &Mutex<Vec<Record>>) {
    // RFC 7011 section 3.1: the header's last four octets.
    let domain = u32::from_be_bytes(message[12..16].try_into().unwrap()).to_string();
    let mut on_record = |record: podflow_ipfix::collect::DataRecord<'_>| {
        let fields = record.fields().map(|(field, value)| (field.name.to_string(), shown(&value)));
        let domain = ("observationDomain".to_owned(), domain.clone());
        records.lock().unwrap().push(fields.chain([domain]).collect());
    };
    session.receive(0, message, &mut on_record).unwrap();
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Unsigned(number) | Value::Seconds(number) | Value::Milliseconds(number) => number.to_string(),
        Value::String(text) => text.to_string(),
        Value::Ipv4(address) => address.to_string(),
        Value::Ipv6(address) => address.to_string(),
        other => format!("{other:?}"),
    }
}

/// Polls each second, exports every four; `more` are lines under `podflow:`.
pub fn configuration(collector: &Collector, more: &str) -> String {
    format!(
        "flowCollectorAddr: \"{}:{}\"\nflowPollInterval: 1s\nflowExportFrequency: 4\npodflow:\n{more}",
        collector.address, collector.protocol
    )
}

/// An agent that runs on a thread inside its Node.
pub struct Agent {
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

impl Agent {
    /// Starts one; `more` are lines under `podflow:`.
    pub fn start(bed: &Testbed, node: &Node, collector: &Collector, more: &str) -> Self {
        let agent =
            Self::start_in(&node.space, &configuration(collector, more), bed.inventory_path(), &node.name);
        wait_for_counters(&node.space);
        agent
    }

    /// Starts one anywhere.
    pub fn start_in(space: &Namespace, configuration: &str, inventory: PathBuf, node_name: &str) -> Self {
        let config = Config::parse(configuration).unwrap();
        let options = RunOptions { inventory: Some(inventory), node_name: node_name.to_owned() };
        let stop = CancellationToken::new();
        let shutdown = stop.clone();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run(config, options, shutdown)).unwrap();
        };
        let thread = space.spawn("agent", work).unwrap();
        Self { stop, thread }
    }

    /// Stops it as SIGTERM would, and waits until it has exported what was left.
    pub fn stop(self) {
        self.stop.cancel();
        self.thread.join().unwrap();
    }
}

/// Waits until the kernel of a Node counts: an agent has opened its sockets by then.
pub fn wait_for_counters(space: &Namespace) {
    wait_for("the kernel's counters", || {
        space
            .enter(|| std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_acct"))
            .unwrap()
            .is_ok_and(|text| text.trim() == "1")
    });
}

/// Lines under `podflow:` for an agent that forgets.
pub const NO_STATE: &str = "  stateFile: \"\"\n";

/// Waits until something holds; fails after three minutes.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(180), "waited three minutes for {what}");
        #[allow(clippy::disallowed_methods, reason = "a test that waits for another program")]
        std::thread::sleep(Duration::from_millis(50));
    }
}
