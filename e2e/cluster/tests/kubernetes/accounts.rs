//! What the shipped ServiceAccounts may do: what a bare one may, and exactly the shipped rules.

use podflow_e2e_cluster::{Cluster, until};

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn accounts_may_do_what_is_shipped_and_no_more() {
    let cluster = Cluster::up(0, &[]);
    cluster.typed("create namespace bare");
    cluster.typed("create namespace elk-flow-collector");
    cluster.typed("apply -f build/yamls/flow-visibility.yml");
    cluster.typed("apply -f build/yamls/elk-flow-collector/elk-flow-collector.yml -n elk-flow-collector");

    let ours = ["nodes [] [] [list watch]", "pods [] [] [list watch]", "services [] [] [list watch]"];
    let bare = permissions(&cluster, "bare:default");
    for account in ["podflow:podflow-agent", "podflow:flow-collector", "elk-flow-collector:flow-collector"] {
        let shipped = until("the role's rules", || {
            // The authorizer learns of a new binding a moment after it is stored.
            Some(permissions(&cluster, account)).filter(|rules| rules.len() > bare.len())
        });
        let more: Vec<&String> = shipped.iter().filter(|rule| !bare.contains(rule)).collect();
        assert_eq!(more, ours, "{account}");
        assert!(bare.iter().all(|rule| shipped.contains(rule)), "{account} lacks what everybody may");
        // The namespace that the binding names is the one where it holds, too: every namespace can be read.
        for kind in ["pods", "services", "nodes"] {
            cluster.typed(&format!("get {kind} -A --as=system:serviceaccount:{account}"));
        }
        let secrets = format!("get secrets -A --as=system:serviceaccount:{account}");
        assert!(!cluster.try_kubectl(&secrets.split(' ').collect::<Vec<_>>()).success);
    }
}

/// `auth can-i --list` of a namespace's account, a rule a line, sorted.
fn permissions(cluster: &Cluster, account: &str) -> Vec<String> {
    let list = cluster.typed(&format!(
        "auth can-i --list --no-headers -n default --as=system:serviceaccount:{account} \
         --as-group=system:serviceaccounts --as-group=system:authenticated"
    ));
    let mut rules: Vec<String> =
        list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    rules.sort();
    rules
}
