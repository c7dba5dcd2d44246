//! Index templates, policies, and indices that are there already. The shapes of lifecycle requests can be tested here
//! alone: none of the real servers that can be had has that part.

use std::time::Duration;

use podflow_collector::document::time::{DAY_MILLIS, civil};
use serde_json::{Value, json};

use crate::server::{Script, config, send};
use crate::support::{Exporter, Running, difference, now_ms};

/// The daily index of a day from now.
fn index(days_from_now: i64) -> String {
    let (year, month, day) = civil(now_ms() as i64 / DAY_MILLIS + days_from_now);
    format!("flow-{year:04}.{month:02}.{day:02}")
}

fn spooled(folder: &tempfile::TempDir) -> String {
    format!("spool: {{path: '{}'}}", folder.path().display())
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1200 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain for {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_old_indices_of_ours_are_deleted() {
    let (script, server) = Script::start(&[]).await;
    for (name, ours) in [
        ("flow-2020.01.01", true),
        ("flow-2020.01.01-podflow", true),
        ("flow-2020.01.02", false),
        ("flow-2020.01.01-kept", true),
        ("flow-9999.01.01", true),
    ] {
        script.has_index(name, if ours { json!({"_meta": {"podflow": "0.1.0"}}) } else { json!({}) });
    }
    let folder = tempfile::tempdir().unwrap();
    let collector = Running::start(&config(server, &spooled(&folder)));
    let left = ["flow-2020.01.01-kept", "flow-2020.01.02", "flow-9999.01.01"];
    until("the deletions", || script.indices().len() == left.len()).await;
    let status = collector.status().await;
    assert_eq!(status["store"]["retention"], "by this collector, which deletes its own indices");
    collector.stop().await;
    assert_eq!(script.indices(), left);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_server_has_lifecycles_it_deletes_and_ages_count_from_the_day() {
    let (script, server) = Script::start(&[]).await;
    script.answer("GET /_ilm/status", 200, json!({"operation_mode": "RUNNING"}));
    script.has_index("flow-2020.01.01", json!({"_meta": {"podflow": "0.1.0"}}));
    script.has_index("flow-2020.01.02", json!({"_meta": {"podflow": "0.1.0"}}));
    script.has_index("flow-2020.01.03", json!({}));
    let of_policy = |lifecycle: Value| json!({"settings": {"index": {"lifecycle": lifecycle}}});
    script.answer(
        "GET /flow-*/_settings/index.lifecycle.*",
        200,
        json!({
            "flow-2020.01.01": of_policy(json!({"name": "podflow"})),
            "flow-2020.01.02": of_policy(json!({"name": "podflow", "origination_date": "1577923200000"})),
        }),
    );
    let folder = tempfile::tempdir().unwrap();
    let extra = spooled(&folder);
    let text = config(server, &extra).replace("timeout: 1s", "timeout: 1s, retention: 3days");
    let collector = Running::start(&text);
    until("the date", || script.put("/flow-2020.01.01/_settings").is_some()).await;
    let status = collector.status().await;
    assert_eq!(status["store"]["retention"], "by the server's lifecycle policy podflow");
    collector.stop().await;

    let policy = &script.put("/_ilm/policy/podflow").unwrap()["policy"];
    assert_eq!(policy["phases"]["delete"], json!({"min_age": "96h", "actions": {"delete": {}}}));
    assert!(policy["_meta"]["podflow"].is_string());
    let template = script.put("/_index_template/podflow").unwrap();
    assert_eq!(template["template"]["settings"]["index"]["lifecycle.name"], "podflow");
    let dated = script.put("/flow-2020.01.01/_settings").unwrap();
    assert_eq!(dated, json!({"index.lifecycle.origination_date": 1_577_836_800_000_i64}));
    for untouched in ["flow-2020.01.02", "flow-2020.01.03"] {
        assert!(script.put(&format!("/{untouched}/_settings")).is_none(), "{untouched}");
    }
    assert_eq!(script.indices().len(), 3, "the server deletes, not we");
}

#[tokio::test(flavor = "multi_thread")]
async fn logsdb_where_the_server_has_it() {
    let (script, server) = Script::start(&[]).await;
    script.answer("GET /", 200, json!({"version": {"number": "8.17.0"}}));
    let folder = tempfile::tempdir().unwrap();
    let collector = Running::start(&config(server, &spooled(&folder)));
    until("the template", || script.put("/_index_template/podflow").is_some()).await;
    collector.stop().await;
    let template = script.put("/_index_template/podflow").unwrap();
    let settings = &template["template"]["settings"]["index"];
    assert_eq!(settings["mode"], "logsdb");
    assert_eq!(settings["sort.field"], json!(["ipfix.sourceNodeName", "@timestamp"]));
    assert_eq!(settings["sort.order"], json!(["asc", "desc"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_today_that_lacks_fields_gets_them() {
    let (script, server) = Script::start(&[]).await;
    let (today, text) = (index(0), json!({"type": "text", "fields": {"keyword": {"type": "keyword"}}}));
    let there = json!({"octetDeltaCount": {"type": "long"}, "sourcePodName": text, "protocol": text});
    script.has_index(&today, json!({"properties": {"ipfix": {"properties": there}}}));
    let folder = tempfile::tempdir().unwrap();
    let collector = Running::start(&config(server, &spooled(&folder)));
    send(&collector, &mut Exporter::stream(7), 10).await;
    collector.until("the records", |status| status["stored"] == 10).await;
    collector.stop().await;
    let put = script.put(&format!("/{today}/_mapping")).unwrap();
    let fields = &put["properties"]["ipfix"]["properties"];
    assert_eq!(fields["podPair"]["type"], "keyword");
    assert!(fields.get("sourcePodName").is_none() && put.get("_meta").is_none(), "it stays another's: {put}");
    assert_eq!(script.used(), [today].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_today_that_does_not_take_our_values_is_left_alone() {
    let (script, server) = Script::start(&[]).await;
    let today = index(0);
    script.has_index(
        &today,
        json!({"properties": {"ipfix": {"properties": {"octetDeltaCount": {"type": "text"}}}}}),
    );
    let folder = tempfile::tempdir().unwrap();
    let collector = Running::start(&config(server, &spooled(&folder)));
    send(&collector, &mut Exporter::stream(7), 10).await;
    let status = collector.until("the records", |status| status["stored"] == 10).await;
    assert_eq!(difference(&status), 0);
    collector.stop().await;
    assert_eq!(script.used(), [format!("{today}-podflow")].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clash_of_templates_is_told_with_the_others_name_and_nothing_is_lost() {
    let (script, server) = Script::start(&[]).await;
    let reason = "index template [podflow] has index patterns [flow-*] matching patterns from existing templates \
                  [elastiflow] with patterns (elastiflow => [flow-*]) that have the same priority [200]";
    script.answer("PUT /_index_template/podflow", 400, json!({"error": {"reason": reason}, "status": 400}));
    let folder = tempfile::tempdir().unwrap();
    let collector = Running::start(&config(server, &spooled(&folder)));
    send(&collector, &mut Exporter::stream(7), 10).await;
    let status = collector
        .until("the clash", |status| status["store"]["state"].as_str().unwrap().contains("[elastiflow]"))
        .await;
    let state = status["store"]["state"].as_str().unwrap();
    assert!(state.contains("delete that template, or set store.elasticsearch.templatePriority"), "{state}");
    assert_eq!((&status["stored"], difference(&status)), (&json!(0), 0));
    script.answer("PUT /_index_template/podflow", 200, json!({"acknowledged": true}));
    collector.until("the records", |status| status["stored"] == 10).await;
    collector.stop().await;
}
