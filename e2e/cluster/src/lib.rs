//! The cluster of the script `cluster`, as an object that ends it, and kubectl.
//!
//! Few dependencies: the programs under test are in images, not linked here.
#![expect(clippy::unwrap_used, reason = "tests")]

pub mod flows;

pub mod traffic;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A cluster that is up, and this test's alone.
pub struct Cluster {
    _turn: MutexGuard<'static, ()>,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// It ended with status 0.
    pub success: bool,
    /// On its standard output.
    pub out: String,
    /// On its standard error.
    pub err: String,
}

static TURN: Mutex<()> = Mutex::new(());

impl Cluster {
    /// Brings one up; with no Nodes, the API server and its controllers.
    ///
    /// # Panics
    /// With the logs' last lines, when it does not come up.
    #[must_use]
    pub fn up(nodes: u32, images: &[PathBuf]) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let (nodes, owner) = (nodes.to_string(), std::process::id().to_string());
        let mut arguments = vec!["up", "--nodes", &nodes, "--owner", &owner];
        for image in images {
            arguments.extend(["--image", image.to_str().unwrap()]);
        }
        // A test that was killed may have left one.
        assert!(script(&["down"]).success);
        let up = script(&arguments);
        assert!(up.success, "the cluster did not come up:\n{}", up.err);
        Self { _turn: turn }
    }

    /// Runs kubectl in the project's folder, as a user would; answers whatever it said.
    #[must_use]
    pub fn try_kubectl(&self, arguments: &[&str]) -> Said {
        script(&[&["kubectl"], arguments].concat())
    }

    /// As [`Self::try_kubectl`], where it must succeed; what it printed.
    ///
    /// # Panics
    /// With what kubectl said, when it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let said = self.try_kubectl(arguments);
        assert!(said.success, "kubectl {}:\n{}{}", arguments.join(" "), said.out, said.err);
        said.out
    }

    /// A command line of the documents: words between blanks, without quotes, after `kubectl`.
    ///
    /// # Panics
    /// As [`Self::kubectl`].
    pub fn typed(&self, line: &str) -> String {
        self.kubectl(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// An object as the API server has it.
    ///
    /// # Panics
    /// As [`Self::kubectl`].
    pub fn object(&self, arguments: &str) -> serde_json::Value {
        serde_json::from_str(&self.typed(&format!("get {arguments} -o json"))).unwrap()
    }
}

impl Cluster {
    /// Runs a command, words between blanks, in a Node's network or in that of `outside`; what it printed, or `None` when it failed.
    #[must_use]
    pub fn on(&self, place: &str, line: &str) -> Option<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let said = script(&[&["on", place], words.as_slice()].concat());
        said.success.then_some(said.out)
    }

    /// Applies objects.
    ///
    /// # Panics
    /// As [`Self::kubectl`].
    pub fn apply(&self, objects: &[serde_json::Value]) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
        std::fs::write(file.path(), list.to_string()).unwrap();
        self.typed(&format!("apply -f {}", file.path().display()));
    }

    /// Another command of the script, which must succeed.
    ///
    /// # Panics
    /// When it fails.
    pub fn command(&self, line: &str) {
        let said = script(&line.split_whitespace().collect::<Vec<_>>());
        assert!(said.success, "cluster {line}:\n{}{}", said.out, said.err);
    }

    /// Where a Node keeps what is its own: `data` there is its folder `/data`.
    #[must_use]
    pub fn node_folder(&self, node: &str) -> PathBuf {
        cache().join("kubernetes/state/nodes").join(node)
    }

    /// Applies the smallest way to see flows, and waits until collector and agents are rolled out and ready, as their probes say.
    ///
    /// # Panics
    /// When they do not come up.
    pub fn see_flows(&self) {
        self.typed("apply -f build/yamls/flow-visibility.yml");
        self.flows_are_seen();
    }

    /// Waits until collector and agents are ready and the page answers.
    ///
    /// # Panics
    /// When they do not come up.
    pub fn flows_are_seen(&self) {
        self.typed("rollout status statefulset/flow-collector -n podflow --timeout=180s");
        self.typed("rollout status daemonset/podflow-agent -n podflow --timeout=180s");
        // A listener that answers is not yet one that the Service's rules on this Node know.
        until("the page's NodePort", || flows::try_curl(&format!("{}/healthz", flows::PAGE)));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let down = script(&["down"]);
        if !down.success {
            eprintln!("the cluster did not go down: {}", down.err);
        }
    }
}

/// Kills the processes of a Pod's only container, as the kernel's out-of-memory killer would.
///
/// # Panics
/// When it has none.
pub fn kill_container(cluster: &Cluster, namespace: &str, pod: &str) {
    let pod = cluster.object(&format!("pod {pod} -n {namespace}"));
    let id = pod["status"]["containerStatuses"][0]["containerID"].as_str().unwrap();
    let id = id.strip_prefix("containerd://").unwrap();
    let mut killed = 0;
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let cgroups = std::fs::read_to_string(process.path().join("cgroup")).unwrap_or_default();
        if cgroups.contains(id) {
            let number = process.file_name();
            let kill = Command::new("kill").arg("-KILL").arg(number).status().unwrap();
            assert!(kill.success());
            killed += 1;
        }
    }
    assert!(killed > 0, "container {id} has no processes");
}

/// The archives of our images, which `make test-cluster` made.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn images() -> Vec<PathBuf> {
    ["agent", "collector"].map(image).into()
}

fn image(part: &str) -> PathBuf {
    try_image(part).unwrap_or_else(|| panic!("the image of the {part} is missing: make test-cluster"))
}

/// The archive of one image, if it was made.
#[must_use]
pub fn try_image(part: &str) -> Option<PathBuf> {
    Some(cache().join(format!("images/{part}.tar"))).filter(|archive| archive.exists())
}

fn cache() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    cache.join("podflow")
}

/// The project's folder.
///
/// # Panics
/// Never: this crate lies two folders below it.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// Asks until the answer is there; says what it was waiting for when it does not come within three minutes.
///
/// # Panics
/// When it does not come.
#[expect(clippy::disallowed_methods, reason = "a plain thread, and what it waits for is another machine's")]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(250));
    }
}

fn script(arguments: &[&str]) -> Said {
    let output = Command::new(root().join("e2e/cluster/cluster"))
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Said {
        success: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
