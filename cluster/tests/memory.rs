//! What a large cluster costs in memory, as the kernel counts it for this process.

#![allow(clippy::unwrap_used, reason = "a test may fail here")]

use podflow_cluster::{Directory, Node, Pod};

/// Resident octets of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn a_hundred_thousand_pods_take_sixty_megabytes_at_most() {
    let directory = Directory::default();
    for node in 0..5000_u32 {
        let [_, _, high, low] = node.to_be_bytes();
        directory.apply_node(Node {
            name: format!("ip-10-128-{high}-{low}.eu-central-1.compute.internal").into(),
            addresses: vec![[10, 128, high, low].into()],
            pod_cidrs: vec![format!("10.{}.{low}.0/24", high).parse().unwrap()],
        });
    }
    let before = resident();
    for number in 0..100_000_u32 {
        let [_, first, second, third] = number.to_be_bytes();
        let [_, _, high, low] = (number % 5000).to_be_bytes();
        let v6 = std::net::Ipv6Addr::from(0xfd00_0000_0000_0000_0000_0000_0000_0000 + u128::from(number));
        directory.apply_pod(
            Pod {
                namespace: format!("team-{}-production", number % 300).into(),
                name: format!("checkout-service-7d9f8b6c5-{number:05}").into(),
                node: format!("ip-10-128-{high}-{low}.eu-central-1.compute.internal").into(),
                ips: vec![[10, first, second, third].into(), v6.into()],
                started_ms: 1_795_377_600_000,
                ended_ms: None,
                probes: vec![8080],
            },
            1_795_377_600_000,
        );
    }
    let taken = resident() - before;
    assert_eq!(directory.pods().len(), 100_000);
    assert!(taken <= 60_000_000, "{taken} octets");
    // A test that measures nothing would pass too.
    assert!(taken >= 10_000_000, "{taken} octets");
    println!("{taken} octets");
}
