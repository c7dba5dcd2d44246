//! A process whose log nobody reads any more goes on, and stops when it is told to.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Set in the process that this test starts: itself.
const CHILD: &str = "PODFLOW_UNREAD_LOG_CHILD";

#[test]
fn it_stops_on_a_signal() {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "it_stops_on_a_signal", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(process.stderr.take());
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("ready")));
    let kill = Command::new("kill").arg(process.id().to_string()).status().unwrap();
    assert!(kill.success());
    assert_eq!(process.wait().unwrap().code(), Some(7));
}

fn child() {
    podflow_daemon::logging::init("info");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let token = podflow_daemon::shutdown::token().unwrap();
        tracing::info!("nobody reads this");
        println!("ready");
        token.cancelled().await;
    });
    std::process::exit(7);
}
