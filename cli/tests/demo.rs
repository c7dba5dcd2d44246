//! `podflow demo` as a user starts and ends it: it shows flows, and however it ends, nothing is left.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// A demo that says where its page is.
struct Demo {
    process: Child,
    page: String,
    said: Option<JoinHandle<String>>,
}

impl Demo {
    /// Starts it with its temporary files in `files`, and waits for its greeting.
    fn start(files: &Path) -> Self {
        Self::begin(command(files).args(["demo", "--port", "0", "--nodes", "2", "--pods", "3"]))
    }

    fn begin(command: &mut Command) -> Self {
        let mut process = command.spawn().unwrap();
        let said = listen(process.stderr.take().unwrap());
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let page = lines.find_map(|line| line.unwrap().trim().strip_prefix("http://").map(str::to_owned));
        let page = page.unwrap_or_else(|| panic!("no greeting: {:?}", process.wait()));
        // The rest is read, or the demo would have nobody to speak to.
        std::thread::spawn(move || lines.count());
        Self { process, page, said: Some(said) }
    }

    fn status(&self) -> Value {
        let mut stream = TcpStream::connect(&self.page).unwrap();
        write!(stream, "GET /status HTTP/1.0\r\nHost: {}\r\n\r\n", self.page).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        // Every record that came in is somewhere.
        let number = |value: &Value| value.as_u64().unwrap();
        let dropped: u64 = status["dropped"].as_object().unwrap().values().map(number).sum();
        let parts = ["stored", "duplicates", "rejected", "in_flight"].map(|part| number(&status[part]));
        assert_eq!(number(&status["received"]["records"]), parts.iter().sum::<u64>() + dropped, "{status}");
        status
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    /// Ctrl-C as a terminal sends it: to every process of the group, as under `make run`.
    fn ctrl_c(&self) {
        killpg(Pid::from_raw(self.process.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    }

    fn wait(mut self) -> (ExitStatus, String) {
        let status = until("the demo has ended", || self.process.try_wait().unwrap());
        (status, self.said.take().unwrap().join().unwrap())
    }
}

/// A test that fails leaves no demo behind.
impl Drop for Demo {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _gone = self.process.kill();
            let _status = self.process.wait();
        }
    }
}

fn command(files: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podflow"));
    quiet(&mut command, files);
    command
}

fn quiet<'a>(command: &'a mut Command, files: &Path) -> &'a mut Command {
    command.process_group(0).env("TMPDIR", files).env_remove("SSH_CONNECTION").env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

fn listen(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut said = String::new();
        from.read_to_string(&mut said).unwrap();
        said
    })
}

/// Tries until `done` gives something; what takes far longer than it ever should is a failure, not a slow test.
fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        #[expect(clippy::disallowed_methods, reason = "a test's own thread")]
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn left_in(files: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(files.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The machine's own links and namespaces with a name; the demo makes neither.
fn of_the_machine() -> (String, usize) {
    let links =
        fs::read_dir("/sys/class/net").unwrap().map(|link| link.unwrap().file_name().into_string().unwrap());
    let mut links: Vec<_> = links.collect();
    links.sort();
    (links.join(" "), fs::read_dir("/run/netns").map_or(0, Iterator::count))
}

#[test]
fn it_shows_flows_and_ctrl_c_leaves_nothing() {
    let (files, before) = (TempDir::new().unwrap(), of_the_machine());
    let demo = Demo::start(files.path());
    assert_eq!(of_the_machine(), before);
    let status = until("flows are stored", || {
        let status = demo.status();
        (status["stored"].as_u64().unwrap() > 20).then_some(status)
    });
    assert_eq!(status["exporters"].as_array().unwrap().len(), 2, "{status}");
    assert_eq!(status["export_interval_seconds"], 5, "{status}");
    demo.ctrl_c();
    let (ended, said) = demo.wait();
    assert!(ended.success(), "{ended}: {said}");
    assert!(said.contains("stopping; once more to stop at once"), "{said}");
    assert_eq!(left_in(&files), Vec::<String>::new());
    assert_eq!(of_the_machine(), before);
}

#[test]
fn flows_and_top_show_what_it_stored() {
    let files = TempDir::new().unwrap();
    let demo = Demo::start(files.path());
    let ask = |arguments: &[&str]| {
        let url = format!("http://{}", demo.page);
        let output = command(files.path()).args(arguments).args(["--url", &url]).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let to_cart =
        ["flows", "--service", "shop/cart", "--kind", "pod-to-service", "-o", "json", "--limit", "3"];
    let found = until("a frontend has asked a cart", || Some(ask(&to_cart)).filter(|text| !text.is_empty()));
    for line in found.lines() {
        let document: Value = serde_json::from_str(line).unwrap();
        assert_eq!(document["ipfix"]["destinationServicePortName"], "shop/cart:http", "{document}");
        assert_eq!(document["ipfix"]["flowKind"], "Pod-to-Service", "{document}");
    }
    let table = ask(&[
        "flows",
        "--namespace",
        "shop",
        "--protocol",
        "tcp",
        "--address",
        "10.10.0.0/16",
        "--port",
        "8080",
    ]);
    assert!(table.starts_with("TIME ") && table.contains("shop/cart-"), "{table}");
    assert!(!table.contains("UDP"), "{table}");
    let ranked = [
        ("pods", "shop/frontend-0 "),
        ("pairs", "shop/frontend-1 → "),
        ("services", "kube-system/coredns:dns "),
        ("nodes", "node-b "),
    ];
    for (subject, line) in ranked {
        until(line, || ask(&["top", subject]).lines().any(|shown| shown.starts_with(line)).then_some(()));
    }
    let one = ask(&["top", "services", "--limit", "1"]);
    assert!(one.lines().count() == 3 && one.contains("SERVICE "), "{one}");

    let output = command(files.path()).args(["flows", "--url", "http://127.0.0.1:9"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        said.contains("no collector and no Elasticsearch answers at http://127.0.0.1:9/; say where"),
        "{said}"
    );
    demo.signal(Signal::SIGINT);
    assert!(demo.wait().0.success());
}

#[test]
fn a_second_ctrl_c_leaves_nothing_either() {
    let files = TempDir::new().unwrap();
    let demo = Demo::start(files.path());
    demo.signal(Signal::SIGINT);
    // Somebody impatient: whether the second one comes while it drains or after is up to the machine.
    until("it has ended", || {
        demo.signal(Signal::SIGINT);
        demo.said.as_ref().is_none_or(JoinHandle::is_finished).then_some(())
    });
    let (ended, said) = demo.wait();
    assert!([Some(0), Some(130)].contains(&ended.code()), "{ended}: {said}");
    assert_eq!(left_in(&files), Vec::<String>::new());
}

#[test]
fn what_a_kill_left_goes_with_the_next_start() {
    let files = TempDir::new().unwrap();
    let killed = Demo::start(files.path());
    let left = left_in(&files);
    killed.signal(Signal::SIGKILL);
    killed.wait();
    assert_eq!((left.len(), left_in(&files)), (1, left.clone()), "nobody could clean up");

    let demo = Demo::start(files.path());
    assert!(!left_in(&files).contains(&left[0]), "{left:?} was swept");
    demo.signal(Signal::SIGTERM);
    assert!(demo.wait().0.success());
    assert_eq!(left_in(&files), Vec::<String>::new());
}

#[test]
fn an_occupied_port_is_named_before_anything_is_built() {
    let (files, taken) = (TempDir::new().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = taken.local_addr().unwrap();
    let output =
        command(files.path()).args(["demo", "--port", &address.port().to_string()]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("cannot listen on {address}: another program listens there")), "{said}");
    assert_eq!(left_in(&files), Vec::<String>::new());
}

/// As a plain user it runs in a user namespace, where the machine gives one; elsewhere it says what to do.
#[test]
fn a_plain_user_needs_no_root() {
    let files = TempDir::new().unwrap();
    let everyone = |mode| fs::Permissions::from_mode(mode);
    fs::set_permissions(files.path(), everyone(0o777)).unwrap();
    // Where the programs were built, a plain user may not be able to look.
    let program = files.path().join("podflow");
    fs::copy(env!("CARGO_BIN_EXE_podflow"), &program).unwrap();
    fs::set_permissions(&program, everyone(0o755)).unwrap();
    let as_plain_user = |program: &Path| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command
    };
    let given =
        as_plain_user(Path::new("unshare")).args(["-r", "-n", "true"]).output().unwrap().status.success();

    let mut command = as_plain_user(&program);
    quiet(&mut command, files.path()).args(["demo", "--port", "0", "--nodes", "2", "--pods", "2"]);
    if given {
        let demo = Demo::begin(&mut command);
        until("flows are stored", || (demo.status()["stored"].as_u64().unwrap() > 0).then_some(()));
        demo.ctrl_c();
        assert!(demo.wait().0.success());
    } else {
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("run it as root, for example with sudo, or allow them with"), "{said}");
    }
    assert_eq!(left_in(&files), ["podflow"]);
}
