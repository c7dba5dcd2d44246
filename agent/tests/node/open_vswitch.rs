//! Connections that only Open vSwitch's userspace datapath tracks, in its own table: a real Open vSwitch, started and
//! ended here, with two Pods on its bridge.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use podflow_testbed::tools::{IP, Tool, run};
use podflow_testbed::{Folder, Namespace};

use crate::support::{self, Agent, Collector, Record};

const PACKAGE: &str = "openvswitch-switch";
const SERVER: Tool = Tool { program: "ovsdb-server", package: PACKAGE };
const SWITCH: Tool = Tool { program: "ovs-vswitchd", package: PACKAGE };
const DATABASE: Tool = Tool { program: "ovsdb-tool", package: PACKAGE };
const CONTROL: Tool = Tool { program: "ovs-vsctl", package: PACKAGE };
const FLOWS: Tool = Tool { program: "ovs-ofctl", package: PACKAGE };
const APPLICATION: Tool = Tool { program: "ovs-appctl", package: PACKAGE };

/// Tracks everything in Antrea's zone, and translates a Service to its endpoint.
const RULES: &str = "table=0,priority=10,arp actions=normal
table=0,priority=5,ip actions=ct(table=1,zone=65520,nat)
table=1,priority=9,ct_state=+new+trk,tcp,nw_dst=10.96.0.20,tp_dst=80 actions=ct(commit,zone=65520,nat(dst=10.10.0.12:8080)),normal
table=1,priority=5,ct_state=+new+trk,ip actions=ct(commit,zone=65520),normal
table=1,priority=4,ct_state=+trk,ip actions=normal
";

const INVENTORY: &str = "
nodes: [{name: node-a, addresses: [172.18.0.2], podCIDRs: [10.10.0.0/24]}]
pods:
  - {namespace: shop, name: client, node: node-a, ips: [10.10.0.11]}
  - {namespace: shop, name: server, node: node-a, ips: [10.10.0.12]}
services: [{namespace: shop, name: cart, clusterIPs: [10.96.0.20], ports: [{name: http, port: 80}]}]
";

/// A switch with its own run folder and database.
struct Switch {
    space: Namespace,
    folder: Folder,
    daemons: Vec<(Pid, JoinHandle<()>)>,
}

impl Switch {
    fn start() -> Self {
        let (space, folder) = (Namespace::new("switch").unwrap(), Folder::new().unwrap());
        run(&space, IP, &["link", "set", "lo", "up"], "").unwrap();
        let mut switch = Self { space, folder, daemons: Vec::new() };
        let at = |name: &str| switch.folder.path().join(name).display().to_string();
        let (database, socket) = (at("conf.db"), at("db.sock"));
        run(&switch.space, DATABASE, &["create", &database, "/usr/share/openvswitch/vswitch.ovsschema"], "")
            .unwrap();
        let server = [
            database,
            format!("--remote=punix:{socket}"),
            format!("--unixctl={}", at("db.ctl")),
            format!("--pidfile={}", at("db.pid")),
        ];
        let daemon = [format!("unix:{socket}"), format!("--pidfile={}", at("ovs-vswitchd.pid"))];
        switch.daemon(SERVER, &server);
        support::wait_for("the switch's database", || Path::new(&socket).exists());
        switch.control(&["--no-wait", "init"]);
        switch.daemon(SWITCH, &daemon);
        support::wait_for("the switch", || switch.folder.path().join("ovs-vswitchd.pid").exists());
        switch.control(&["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev"]);
        let management = format!("unix:{}", switch.folder.path().join("br0.mgmt").display());
        run(&switch.space, FLOWS, &["add-flows", &management, "-"], RULES).unwrap();
        switch
    }

    /// Starts a daemon that ends with this thread's process, however that ends.
    fn daemon(&mut self, tool: Tool, arguments: &[String]) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", &format!("/usr/sbin/{}", tool.program)]);
        command.args(arguments).env("OVS_RUNDIR", self.folder.path()).env("OVS_LOGDIR", self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (tell, told) = std::sync::mpsc::channel();
        // The thread that starts it waits for it: the kernel takes that thread's end for the parent's.
        let work = move || {
            let mut child = command.spawn().unwrap();
            tell.send(child.id()).unwrap();
            child.wait().unwrap();
        };
        let thread = self.space.spawn(tool.program, work).unwrap();
        let id = told.recv().unwrap_or_else(|_| panic!("{} of {PACKAGE} does not start", tool.program));
        self.daemons.push((Pid::from_raw(i32::try_from(id).unwrap()), thread));
    }

    fn control(&self, arguments: &[&str]) {
        let database = format!("--db=unix:{}", self.folder.path().join("db.sock").display());
        let arguments = [&["--timeout=60", &database], arguments].concat();
        run(&self.space, CONTROL, &arguments, "").unwrap();
    }

    fn run_folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// A Pod on the bridge. Its link is the switch's own kind of device: the kernel finishes checksums before it.
    fn pod(&self, name: &str, address: Ipv4Addr, hardware: &str) -> Namespace {
        let pod = Namespace::new(name).unwrap();
        self.control(&["add-port", "br0", name, "--", "set", "interface", name, "type=internal"]);
        let target = pod.path().display().to_string();
        run(&self.space, IP, &["link", "set", name, "netns", &target], "").unwrap();
        let commands = format!(
            "link set lo up\nlink set {name} address {hardware}\naddress add {address}/24 dev {name}\n\
             link set {name} up\n"
        );
        run(&pod, IP, &["-batch", "-"], &commands).unwrap();
        pod
    }

    fn ask(&self, command: &str) -> String {
        let number = std::fs::read_to_string(self.run_folder().join("ovs-vswitchd.pid")).unwrap();
        let target = self.run_folder().join(format!("ovs-vswitchd.{}.ctl", number.trim()));
        let words: Vec<&str> =
            ["-t", target.to_str().unwrap()].into_iter().chain(command.split(' ')).collect();
        run(&self.space, APPLICATION, &words, "").unwrap()
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        for (id, thread) in self.daemons.drain(..).rev() {
            kill(id, Signal::SIGKILL).unwrap();
            thread.join().unwrap();
        }
    }
}

fn ended(record: &Record) -> bool {
    record["flowEndReason"] != "2"
}

#[test]
fn its_connections_are_reported_from_first_to_last_sight() {
    let switch = Switch::start();
    let (client_address, server_address) = (Ipv4Addr::new(10, 10, 0, 11), Ipv4Addr::new(10, 10, 0, 12));
    let client = switch.pod("client", client_address, "02:00:00:00:00:11");
    let server = switch.pod("server", server_address, "02:00:00:00:00:12");
    let to_service =
        "route add 10.96.0.20/32 dev client\nneighbour add 10.96.0.20 lladdr 02:00:00:00:00:12 dev client\n";
    run(&client, IP, &["-batch", "-"], to_service).unwrap();
    let inventory = switch.run_folder().join("inventory.yml");
    std::fs::write(&inventory, INVENTORY).unwrap();
    let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let collector = Collector::listen(&switch.space, loopback, "tcp", 0);
    let configuration = format!(
        "ovsDatapathType: netdev\novsRunDir: {}\n{}",
        switch.run_folder().display(),
        support::configuration(&collector, "  stateFile: \"\"\n")
    );
    let agent = Agent::start_in(&switch.space, &configuration, inventory, "node-a");

    let listener = server.enter(|| TcpListener::bind((server_address, 8080))).unwrap().unwrap();
    let echo = server.enter(|| UdpSocket::bind((server_address, 53))).unwrap().unwrap();
    let mut through_service = client.enter(|| TcpStream::connect(("10.96.0.20", 80))).unwrap().unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    through_service.write_all(b"question").unwrap();
    let mut question = [0; 8];
    accepted.read_exact(&mut question).unwrap();
    let asking = client.enter(|| UdpSocket::bind((client_address, 0))).unwrap().unwrap();
    asking.send_to(b"name?", (server_address, 53)).unwrap();
    assert_eq!(echo.recv(&mut question).unwrap(), 5);

    let port = through_service.local_addr().unwrap().port().to_string();
    let of = |protocol: &str| -> Vec<Record> {
        let records = collector.records().into_iter();
        records
            .filter(|record| record.get("protocolIdentifier").is_some_and(|number| number == protocol))
            .collect()
    };
    support::wait_for("the record of a live connection", || of("6").iter().any(|record| !ended(record)));
    support::wait_for("the record of a datagram", || !of("17").is_empty());
    let live = &of("6")[0];
    assert_eq!(
        (live["sourceIPv4Address"].as_str(), live["sourceTransportPort"].as_str()),
        ("10.10.0.11", port.as_str())
    );
    assert_eq!(
        (live["destinationIPv4Address"].as_str(), live["destinationTransportPort"].as_str()),
        ("10.10.0.12", "8080")
    );
    assert_eq!((live["sourcePodName"].as_str(), live["destinationPodName"].as_str()), ("client", "server"));
    assert_eq!(live["destinationServicePortName"], "shop/cart:http");
    assert_eq!(live["destinationClusterIP"], "10.96.0.20");
    assert_eq!((live["tcpState"].as_str(), live["flowType"].as_str()), ("ESTABLISHED", "1"));
    // This datapath counts nothing, and the record says nothing else.
    assert_eq!((live["octetTotalCount"].as_str(), live["packetDeltaCount"].as_str()), ("0", "0"));
    assert!(!switch.ask("dpctl/dump-conntrack -m -s").contains("bytes="));

    // A connection that closes lingers in the table and is over; one that leaves the table is over, too.
    drop((through_service, accepted));
    support::wait_for("the end of the connection", || of("6").iter().any(ended));
    switch.ask("dpctl/flush-conntrack");
    support::wait_for("the end of the datagram's flow", || of("17").iter().any(ended));
    agent.stop();
    let (tcp, udp) = (of("6"), of("17"));
    let ends = |records: &[Record]| records.iter().filter(|record| ended(record)).count();
    assert_eq!((ends(&tcp), ends(&udp)), (1, 1), "{tcp:?} {udp:?}");
    assert_eq!(tcp.iter().find(|record| ended(record)).unwrap()["flowEndReason"], "3");
    assert_eq!(udp.iter().find(|record| ended(record)).unwrap()["flowEndReason"], "1");
    assert!(tcp.iter().all(|record| record["flowId"] == live["flowId"]), "one flow");
}
