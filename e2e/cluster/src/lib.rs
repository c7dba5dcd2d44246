//! The cluster of the script `cluster`, as an object that ends it, and kubectl.
//!
//! Few dependencies: the programs under test are in images, not linked here.
#![expect(clippy::unwrap_used, reason = "tests")]

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

impl Drop for Cluster {
    fn drop(&mut self) {
        let down = script(&["down"]);
        if !down.success {
            eprintln!("the cluster did not go down: {}", down.err);
        }
    }
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
