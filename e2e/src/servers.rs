//! Real Elasticsearch and OpenSearch servers, started once per test program and shared by its tests.
//!
//! Each test keeps to index names of its own. A server lives as long as the pipe to its script (`servers/run.sh`)
//! is open, which is as long as this process, however it ends.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::http;

/// One server, ready to be asked.
#[derive(Debug)]
pub struct Server {
    /// The name that the scripts know, `opensearch-2.19.1`.
    pub name: &'static str,
    /// Where it listens, `http://127.0.0.1:39201`.
    pub url: String,
    // Holds the pipe whose closing ends the server.
    _script: Child,
}

/// OpenSearch 2.19.1, the server that every test of a store runs against.
///
/// # Panics
///
/// When it cannot be started: the message has the server's last lines.
pub async fn opensearch() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    started(&SERVER, OPENSEARCH).await
}

/// Elasticsearch OSS 7.10.2, the oldest server that we support.
///
/// # Panics
///
/// When it cannot be started: the message has the server's last lines.
pub async fn elasticsearch_7() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    started(&SERVER, ELASTICSEARCH_7).await
}

/// Elasticsearch 9.4.3, the newest. Its download is close to 1 GB, so outside CI it is only used once `make real-servers`
/// has fetched it; without it this says so and gives `None`.
///
/// # Panics
///
/// When it cannot be started: the message has the server's last lines.
pub async fn elasticsearch_9() -> Option<&'static Server> {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    if can_be_had(ELASTICSEARCH_9) { Some(started(&SERVER, ELASTICSEARCH_9).await) } else { None }
}

/// Elasticsearch 8.19, as it is built for its own tests: without most of its parts, not even an answer on `/`. Where it
/// is not fetched and this is not CI, this says so and gives `None`.
///
/// # Panics
///
/// When it cannot be started: the message has the server's last lines.
pub async fn elasticsearch_8() -> Option<&'static Server> {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    if can_be_had(ELASTICSEARCH_8) { Some(started(&SERVER, ELASTICSEARCH_8).await) } else { None }
}

/// OpenSearch 3.6, the newest. Where it is not fetched and this is not CI, this says so and gives `None`.
///
/// # Panics
///
/// When it cannot be started: the message has the server's last lines.
pub async fn opensearch_3() -> Option<&'static Server> {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    if can_be_had(OPENSEARCH_3) { Some(started(&SERVER, OPENSEARCH_3).await) } else { None }
}

/// Whether a server is fetched or, in CI, will be; says so where it is not.
pub fn can_be_had(name: &str) -> bool {
    let can = crate::in_ci() || is_fetched(name);
    if !can {
        crate::unavailable(name, "not in the cache; `make real-servers` fetches it");
    }
    can
}

/// The newest Elasticsearch.
pub const ELASTICSEARCH_9: &str = "elasticsearch-9.4.3";

/// The one in between.
pub const ELASTICSEARCH_8: &str = "elasticsearch-8.19.21";

/// The oldest server.
pub const ELASTICSEARCH_7: &str = "elasticsearch-7.10.2";

/// The server of every test run.
pub const OPENSEARCH: &str = "opensearch-2.19.1";

/// The newest OpenSearch.
pub const OPENSEARCH_3: &str = "opensearch-3.6.0";

/// A server of a test's own, which can be killed and goes on with its data afterwards.
#[derive(Debug)]
pub struct OwnServer {
    /// The name that the scripts know.
    pub name: &'static str,
    /// Where it listens, also after it was killed.
    pub url: String,
    port: u16,
    // Holds the pipe whose closing kills the server.
    script: Option<Child>,
    data: TempDir,
}

impl OwnServer {
    /// Starts one.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(name: &'static str) -> anyhow::Result<Self> {
        let port = free_port()?;
        let url = format!("http://127.0.0.1:{port}");
        let mut server = Self { name, url, port, script: None, data: tempfile::tempdir()? };
        server.start_again().await?;
        Ok(server)
    }

    /// Kills it where it stands.
    ///
    /// # Errors
    /// When its script does not end.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut script) = self.script.take() {
            drop(script.stdin.take());
            script.wait()?;
        }
        Ok(())
    }

    /// Starts it again, on the data that it had.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let mut script = run(self.name, self.port, Some(self.data.path()))?;
        wait_until_it_answers(&mut script, self.name, &self.url, self.port).await?;
        self.script = Some(script);
        Ok(())
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // Its data can be removed once it has ended.
        let _ended = self.kill();
    }
}

async fn started(cell: &'static OnceCell<Server>, name: &'static str) -> &'static Server {
    let server = cell.get_or_try_init(|| start(name)).await;
    server.unwrap_or_else(|error| panic!("starting {name}: {error:#}"))
}

async fn start(name: &'static str) -> anyhow::Result<Server> {
    let port = free_port()?;
    let mut script = run(name, port, None)?;
    let url = format!("http://127.0.0.1:{port}");
    wait_until_it_answers(&mut script, name, &url, port).await?;
    Ok(Server { name, url, _script: script })
}

fn run(name: &str, port: u16, data: Option<&Path>) -> anyhow::Result<Child> {
    let mut script = Command::new(scripts().join("run.sh"));
    script.args([name, &port.to_string()]).args(data).stdin(Stdio::piped()).stdout(Stdio::null());
    script.spawn().context("running e2e/servers/run.sh")
}

/// Asks until the server of the wanted version answers, and not some other program on that port. The script ends when
/// its server does, and the download before it takes as long as it takes; so there is no time limit of ours.
async fn wait_until_it_answers(script: &mut Child, name: &str, url: &str, port: u16) -> anyhow::Result<()> {
    loop {
        if let Some(status) = script.try_wait()? {
            bail!("it ended before it answered on {url}: {status}, its last lines are above");
        }
        if let Ok(about) = http::get(&format!("{url}/_nodes?filter_path=cluster_name,nodes.*.version")).await
        {
            let node = about["nodes"].as_object().and_then(|nodes| nodes.values().next());
            let version = node.and_then(|node| node["version"].as_str()).unwrap_or_default();
            let cluster = about["cluster_name"].as_str().unwrap_or_default();
            if !name.ends_with(version) || version.is_empty() || cluster != format!("podflow-test-{port}") {
                bail!("{url} answers, but as {cluster:?} {version:?}");
            }
            return Ok(());
        }
        tokio::time::sleep(BETWEEN_QUESTIONS).await;
    }
}

fn is_fetched(name: &str) -> bool {
    let status = Command::new(scripts().join("fetch.sh")).args(["--cached", name]).status();
    status.as_ref().is_ok_and(ExitStatus::success)
}

fn scripts() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/servers"))
}

/// A port that is free now. Another program may take it before the server does; the server then ends and says so.
///
/// # Errors
///
/// When the loopback interface has none left.
pub fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("binding a free port of 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// Often enough to not prolong a start of ten seconds by much.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(200);
