//! `podflow-agent connections`: one poll with names, as a table and as JSON.

#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used, reason = "a test")]

mod support;

use podflow_agent::config::Config;
use podflow_agent::{Filter, RunOptions, connections};
use podflow_testbed::traffic::requests;
use podflow_testbed::{Shape, Testbed};

#[test]
fn shows_who_talks_to_whom_on_this_node() {
    let bed = Testbed::start(Shape { nodes: 2, pods_per_node: 2, ..Shape::default() }).unwrap();
    let (client, service) = (bed.pod(0, 0), bed.service("cart"));
    let sent = requests(&client.space, service.address(), 3, 100).unwrap();
    requests(&client.space, bed.pod(1, 0).address(), 1, 100).unwrap();
    let show = |filter: Filter, json: bool| {
        let work = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let config = Config::parse("featureGates: {FlowExporter: false}").unwrap();
            let options =
                RunOptions { inventory: Some(bed.inventory_path()), node_name: bed.node(0).name.clone() };
            runtime.block_on(connections(&config, &options, &filter, json)).unwrap()
        };
        bed.node(0).space.enter(work).unwrap()
    };

    let to_service = Filter { port: Some(service.port), ..Filter::default() };
    let lines = show(to_service.clone(), true);
    let shown: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(shown.len(), 3, "{lines}");
    for one in &shown {
        assert_eq!(one["sourceName"], client.full_name());
        assert_eq!(one["service"], service.full_name());
        assert_eq!(one["dialled"], service.address().to_string());
        assert_eq!(one["exported"], "yes");
        assert!(sent.iter().any(|sent| one["source"] == sent.source.to_string()));
    }
    let table = show(to_service, false);
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.starts_with("PROTOCOL  SOURCE") && table.contains(&service.full_name()), "{table}");
    assert!(show(Filter::default(), true).lines().count() >= 4);
    assert_eq!(show(Filter { protocol: Some(132), ..Filter::default() }, true), "");
    let nobody = Filter { namespace: Some("nobody".to_owned()), ..Filter::default() };
    assert_eq!(show(nobody, false).lines().count(), 1, "the headings alone");
}
