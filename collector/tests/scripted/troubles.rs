//! Storms of 429, answers cut in half, stalls, refusals of single documents, outages.

use podflow_collector::config::Config;
use podflow_collector::redeliver;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::server::{Act, Script, config, send};
use crate::support::{Exporter, Running, difference};

#[tokio::test(flavor = "multi_thread")]
async fn every_trouble_ends_with_every_record_stored_once() {
    use Act::{Busy, CutAnswer, HalfBusy, Stall, TooLarge, Unavailable};
    let acts = [Busy, Busy, Unavailable, CutAnswer, HalfBusy, TooLarge(10), Stall, Busy, HalfBusy, CutAnswer];
    let (script, server) = Script::start(&acts).await;
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("spool: {{path: '{}'}}", folder.path().display());
    let collector = Running::start(&config(server, &spool));
    let mut exporter = Exporter::stream(7);
    send(&collector, &mut exporter, 500).await;
    let status = collector.until("every record", |status| status["stored"] == 500).await;
    assert_eq!(difference(&status), 0);
    assert_eq!((&status["duplicates"], &status["rejected"]), (&0.into(), &0.into()));
    assert_eq!(script.documents(), 500);
    assert!(script.has_played_all(), "not every act was played");
    assert!(script.put("/_index_template/podflow").is_some());
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_becomes_a_dead_letter() {
    let (script, server) = Script::start(&[Act::RefuseSevens, Act::RefuseSevens]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let extra = format!("spool: {{path: '{path}'}}\ndeadLetters: {{path: '{path}'}}");
    let collector = Running::start(&config(server, &extra));
    let mut exporter = Exporter::stream(7);
    send(&collector, &mut exporter, 100).await;
    let status =
        collector.until("both outcomes", |status| status["stored"] == 90 && status["rejected"] == 10).await;
    assert_eq!(difference(&status), 0);
    let letters = std::fs::read_to_string(folder.path().join("dead-letters.ndjson")).unwrap();
    // Two batches may be in flight, so their letters come in any order.
    let letters: Vec<Value> = letters.lines().map(|letter| serde_json::from_str(letter).unwrap()).collect();
    let reason = "mapper_parsing_exception: seven";
    assert!(letters.iter().all(|letter| letter["reason"] == reason), "{letters:?}");
    let mut octets: Vec<_> =
        letters.iter().filter_map(|letter| letter["document"]["ipfix"]["octetDeltaCount"].as_u64()).collect();
    octets.sort_unstable();
    assert_eq!(octets, [7, 17, 27, 37, 47, 57, 67, 77, 87, 97]);
    assert_eq!(script.documents(), 90);
    collector.stop().await;

    // The reason is gone by now.
    let config = Config::parse(&config(server, &extra)).unwrap();
    let outcome = redeliver::run(&config, &CancellationToken::new()).await.unwrap();
    assert_eq!((outcome.stored, outcome.refused, outcome.left, outcome.unreadable), (10, 0, 0, 0));
    assert_eq!(script.documents(), 100);
    let again = redeliver::run(&config, &CancellationToken::new()).await.unwrap();
    assert_eq!(again.stored, 0, "no letter is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_goes_to_the_spool_and_outlives_the_collector() {
    let (script, server) = Script::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("spool: {{path: '{}', after: 1s}}\ndrainDeadline: 2s", folder.path().display());
    let collector = Running::start(&config(server, &spool));
    let mut exporter = Exporter::stream(7);
    send(&collector, &mut exporter, 60).await;
    collector.until("the first records", |status| status["stored"] == 60).await;

    script.be_down(true);
    send(&collector, &mut exporter, 200).await;
    let status = collector.until("the spool", |status| status["spool"]["documents"] == 200).await;
    assert_eq!(status["in_flight"], 200, "what is in the spool is still on its way");
    assert_eq!(difference(&status), 0);
    send(&collector, &mut exporter, 30).await;
    let folder_of_collector = collector.stop().await;

    let collector = Running::start_in(folder_of_collector, &config(server, &spool));
    let status = collector.until("the spool of the first run", |status| status["in_flight"] == 230).await;
    assert_eq!(difference(&status), 0);
    script.be_down(false);
    send(&collector, &mut exporter, 10).await;
    let status = collector.until("everything", |status| status["stored"] == 240).await;
    assert_eq!(difference(&status), 0);
    assert_eq!(status["spool"]["documents"], 0);
    assert_eq!(script.documents(), 300);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spool_is_sent_in_order_and_new_records_do_not_wait_for_its_end() {
    const OLD: u64 = 1000;
    let (script, server) = Script::start(&[]).await;
    script.be_down(true);
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("spool: {{path: '{}', after: 1s}}", folder.path().display());
    let collector = Running::start(&config(server, &spool).replace("timeout: 1s", "timeout: 300s"));
    let mut exporter = Exporter::stream(7);
    send(&collector, &mut exporter, 1000).await;
    collector.until("the spool", |status| status["spool"]["documents"] == OLD).await;

    // In the middle of the spool the server waits for a new record.
    script.hold(OLD, 500);
    script.be_down(false);
    collector.until("half of the spool", |status| status["stored"] == 500).await;
    send(&collector, &mut exporter, 50).await;
    collector.until("everything", |status| status["stored"] == OLD + 50).await;
    let order = script.order();
    let old: Vec<u64> = order.iter().copied().filter(|octets| *octets <= OLD).collect();
    assert_eq!(old, (1..=OLD).collect::<Vec<_>>());
    assert!(order[500..].iter().any(|octets| *octets > OLD) && order.last() == Some(&OLD), "{order:?}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_drops_the_oldest_or_the_newest_and_counts_them() {
    const SENT: u64 = 5000;
    for full in ["dropOldest", "dropNewest"] {
        let (script, server) = Script::start(&[]).await;
        script.be_down(true);
        let folder = tempfile::tempdir().unwrap();
        let spool =
            format!("spool: {{path: '{}', after: 1s, maxSize: 1MB, full: {full}}}", folder.path().display());
        let collector = Running::start(&config(server, &spool));
        send(&collector, &mut Exporter::stream(7), 5000).await;
        let settled = |status: &Value| {
            let (waiting, dropped) = (&status["spool"]["documents"], &status["dropped"]["spool_full"]);
            waiting.as_u64().unwrap() + dropped.as_u64().unwrap() == SENT
        };
        let status = collector.until("all in the spool or dropped", settled).await;
        let left = status["in_flight"].as_u64().unwrap();
        assert!((1..SENT).contains(&left), "{status}");
        script.be_down(false);
        collector.until("what was kept", |status| status["stored"] == left).await;
        let order = script.order();
        let oldest = if full == "dropNewest" { 1 } else { SENT + 1 - left };
        assert_eq!(order, (oldest..oldest + left).collect::<Vec<_>>(), "{full}");
        collector.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_said_and_nothing_is_lost() {
    let (script, server) = Script::start(&[Act::WhoAreYou, Act::WhoAreYou]).await;
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("spool: {{path: '{}', after: 1s}}", folder.path().display());
    let collector = Running::start(&config(server, &spool));
    send(&collector, &mut Exporter::stream(7), 10).await;
    collector
        .until("it in the status", |status| {
            status["store"]["state"].as_str().unwrap().starts_with("forbidden")
        })
        .await;
    // A refused login is not tried again for fifteen seconds.
    let status = collector.until("the records", |status| status["stored"] == 10).await;
    assert_eq!(difference(&status), 0);
    assert_eq!(script.documents(), 10);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_server_does_not_keep_the_collector_from_starting_and_stopping() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("spool: {{path: '{}', after: 1s}}\ndrainDeadline: 1s", folder.path().display());
    let collector = Running::start(&config(unused, &spool));
    assert_eq!(collector.text("readyz").await, "ready\n");
    send(&collector, &mut Exporter::stream(7), 10).await;
    collector.until("receipt", |status| status["received"]["records"] == 10).await;
    collector.stop().await;
}
