//! What the collector of `flow-visibility.yml` stored and says, asked through its NodePort as a user would.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

/// Where page, query API and status are, on the first Node.
pub const PAGE: &str = "http://10.199.0.1:30008";

/// Records whose fields have these values, oldest first: what stands under `ipfix`. None while the collector does not answer.
#[must_use]
pub fn records(fields: &[(&str, Value)]) -> Vec<Value> {
    let terms: Vec<Value> =
        fields.iter().map(|(field, value)| json!({"term": {format!("ipfix.{field}"): value}})).collect();
    let query =
        json!({"size": 10_000, "sort": [{"@timestamp": "asc"}], "query": {"bool": {"filter": terms}}});
    let url = format!("{PAGE}/es/flow-*/_search");
    let answer = ask(&["-H", "content-type: application/json", "-d", &query.to_string(), &url]);
    let answer: Value = answer.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let hits = answer["hits"]["hits"].as_array().cloned().unwrap_or_default();
    hits.into_iter().map(|hit| hit["_source"]["ipfix"].clone()).collect()
}

/// The records of each flow.
///
/// # Panics
/// When a record has no `flowId`.
#[must_use]
pub fn by_flow(records: &[Value]) -> BTreeMap<u64, Vec<&Value>> {
    let mut flows: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for record in records {
        flows.entry(record["flowId"].as_u64().unwrap()).or_default().push(record);
    }
    flows
}

/// Whether the last record of every flow is there: flowEndReason 2 is that of an active flow's.
#[must_use]
pub fn all_ended(records: &[Value]) -> bool {
    by_flow(records).values().all(|records| records.iter().any(|record| record["flowEndReason"] != 2))
}

/// Checks that in each direction the deltas of each flow add up to its last totals.
///
/// # Panics
/// With the flow's records, when they do not.
pub fn deltas_are_totals(records: &[Value]) {
    for (flow, records) in by_flow(records) {
        for (delta, total) in [
            ("octetDeltaCount", "octetTotalCount"),
            ("packetDeltaCount", "packetTotalCount"),
            ("reverseOctetDeltaCount", "reverseOctetTotalCount"),
        ] {
            let sum: u64 = records.iter().filter_map(|record| record[delta].as_u64()).sum();
            let last = records.iter().filter_map(|record| record[total].as_u64()).max();
            assert_eq!(Some(sum), last, "{delta} of flow {flow}: {records:#?}");
        }
    }
}

/// The collector's `/status`.
///
/// # Panics
/// When it does not answer.
#[must_use]
pub fn status() -> Value {
    serde_json::from_str(&curl(&format!("{PAGE}/status"))).unwrap()
}

/// Checks that every record that came in is somewhere, and that none was refused or dropped, but for the other side's copies of
/// flows, which come where Nodes have no ranges.
///
/// # Panics
/// With the account, when it does not add up.
pub fn account_is_right() {
    let status = status();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let dropped: u64 = status["dropped"].as_object().unwrap().values().map(number).sum();
    let parts = ["stored", "duplicates", "rejected", "in_flight"].map(|part| number(&status[part]));
    assert_eq!(number(&status["received"]["records"]), parts.iter().sum::<u64>() + dropped, "{status:#}");
    assert_eq!((parts[2], dropped - number(&status["dropped"]["other_side"])), (0, 0), "{status:#}");
}

/// A page.
///
/// # Panics
/// When it does not come.
#[must_use]
pub fn curl(url: &str) -> String {
    try_curl(url).unwrap_or_else(|| panic!("{url} does not answer"))
}

/// A page, if it comes.
#[must_use]
pub fn try_curl(url: &str) -> Option<String> {
    ask(&[url])
}

fn ask(arguments: &[&str]) -> Option<String> {
    let mut curl = Command::new("curl");
    let output = curl.args(["-sSf", "--globoff", "--max-time", "10"]).args(arguments).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
