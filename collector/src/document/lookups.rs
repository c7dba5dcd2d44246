//! The directory's last answers, kept by each decoder for itself: a record asks four questions, and the answers to
//! most were given a moment ago.
//!
//! An answer counts as long as the directory's generation stays and the flow began within the answer's span. Each
//! table has a fixed number of slots; what falls into a slot that is taken takes its place.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use podflow_cluster::{Directory, Owner, ServicePortName};

use super::json;

/// What is known of an address at a time.
#[derive(Clone, Debug)]
pub(crate) enum Whose {
    /// Somebody's.
    Owned {
        owner: Owner,
        /// Whether no name of it needs an escape in JSON.
        plain: bool,
    },
    /// Of the cluster, and nobody knows whose.
    Unnamed,
    /// Not of the cluster.
    Outside,
}

/// Questions to a directory, the last answers at hand.
#[derive(Debug)]
pub(crate) struct Lookups {
    directory: Arc<Directory>,
    sources: Slots<IpAddr, Answer>,
    destinations: Slots<IpAddr, Answer>,
    services: Slots<(IpAddr, u16, u8), Dialled>,
}

/// One of the tables of owners: that of a flow's other end cannot push out what was just found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Source,
    Destination,
}

/// The slot of an answer, good until the next question of the same side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot(usize);

#[derive(Debug)]
struct Answer {
    whose: Whose,
    /// The starts of flows that it is for.
    span: Option<RangeInclusive<i64>>,
}

#[derive(Debug)]
struct Dialled {
    service: Option<ServicePortName>,
    /// The starts of flows that it is for.
    span: RangeInclusive<i64>,
}

impl Lookups {
    pub(crate) fn new(directory: Arc<Directory>) -> Self {
        let generation = directory.generation();
        Self {
            directory,
            sources: Slots::new(OWNERS, generation),
            destinations: Slots::new(OWNERS, generation),
            services: Slots::new(SERVICES, generation),
        }
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// From here on only answers of the directory's present generation count; it is given back.
    pub(crate) fn refresh(&mut self) -> u64 {
        let generation = self.directory.generation();
        self.sources.generation = generation;
        self.destinations.generation = generation;
        self.services.generation = generation;
        generation
    }

    /// Finds whose an address is for a flow of that time.
    pub(crate) fn find(&mut self, side: Side, address: IpAddr, start_ms: i64, end_ms: i64) -> Slot {
        let directory = &self.directory;
        let table = match side {
            Side::Source => &mut self.sources,
            Side::Destination => &mut self.destinations,
        };
        let slot = table.place(spread(address));
        table.fill(
            slot,
            address,
            |answer| answer.span.as_ref().is_some_and(|span| span.contains(&start_ms)),
            || {
                let (owner, span) = directory.owner_in_span(address, start_ms, end_ms);
                let whose = match owner {
                    Some(owner) => Whose::Owned { plain: is_plain(&owner), owner },
                    None if directory.is_in_cluster(address) => Whose::Unnamed,
                    None => Whose::Outside,
                };
                Answer { whose, span }
            },
        );
        Slot(slot)
    }

    /// What was found.
    pub(crate) fn whose(&self, side: Side, slot: Slot) -> &Whose {
        let table = match side {
            Side::Source => &self.sources,
            Side::Destination => &self.destinations,
        };
        table.get(slot.0).map_or(&Whose::Outside, |answer| &answer.whose)
    }

    /// Finds the Service port that a flow of that time dialled so; `None` where there is none.
    pub(crate) fn find_service(
        &mut self,
        address: IpAddr,
        port: u16,
        protocol: u8,
        start_ms: i64,
    ) -> Option<Slot> {
        let directory = &self.directory;
        let wanted = (address, port, protocol);
        let hash = spread(address) ^ (u64::from(port) << 8 | u64::from(protocol)).wrapping_mul(ODD);
        let slot = self.services.place(hash);
        self.services.fill(
            slot,
            wanted,
            |answer| answer.span.contains(&start_ms),
            || {
                let (service, span) = directory.service_in_span(address, port, protocol, start_ms);
                Dialled { service, span }
            },
        );
        self.services.get(slot)?.service.is_some().then_some(Slot(slot))
    }

    /// The Service port that was found.
    pub(crate) fn service(&self, slot: Slot) -> Option<&ServicePortName> {
        self.services.get(slot.0)?.service.as_ref()
    }
}

/// A table of so many slots, a power of two.
#[derive(Debug)]
struct Slots<K, A> {
    slots: Vec<Option<Kept<K, A>>>,
    generation: u64,
}

#[derive(Debug)]
struct Kept<K, A> {
    generation: u64,
    key: K,
    answer: A,
}

impl<K: PartialEq, A> Slots<K, A> {
    fn new(slots: usize, generation: u64) -> Self {
        Self { slots: std::iter::repeat_with(|| None).take(slots).collect(), generation }
    }

    /// The slot of a hash whose upper bits are well mixed.
    fn place(&self, hash: u64) -> usize {
        usize::try_from(hash >> 32).unwrap_or_default() & (self.slots.len() - 1)
    }

    /// Keeps what stands in the slot if it is the answer, and asks otherwise.
    fn fill(&mut self, slot: usize, key: K, counts: impl Fn(&A) -> bool, ask: impl FnOnce() -> A) {
        let generation = self.generation;
        if let Some(slot) = self.slots.get_mut(slot)
            && !slot
                .as_ref()
                .is_some_and(|kept| kept.key == key && kept.generation == generation && counts(&kept.answer))
        {
            *slot = Some(Kept { generation, key, answer: ask() });
        }
    }

    fn get(&self, slot: usize) -> Option<&A> {
        self.slots.get(slot)?.as_ref().map(|kept| &kept.answer)
    }
}

fn is_plain(owner: &Owner) -> bool {
    let plain = |name: &str| json::all_plain(name.as_bytes());
    match owner {
        Owner::Pod(pod) => plain(&pod.name) && plain(&pod.namespace) && plain(&pod.node),
        Owner::Node(node) => plain(&node.name),
    }
}

/// Mixes an address upwards.
fn spread(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(ip) => u64::from(ip.to_bits()).wrapping_mul(ODD),
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, h] = ip.segments().map(u64::from);
            let (high, low) = (a << 48 | b << 32 | c << 16 | d, e << 48 | f << 32 | g << 16 | h);
            (high.rotate_left(32) ^ low).wrapping_mul(ODD)
        }
    }
}

/// 2^64 over the golden ratio: neighbouring addresses fall far apart.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Addresses of each side: twice what a Node's decoder meets in a moment in a cluster of 50 Nodes.
const OWNERS: usize = 8192;

/// Service ports.
const SERVICES: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;
    use podflow_cluster::Inventory;

    fn named(lookups: &mut Lookups, address: &str, start: i64) -> String {
        lookups.refresh();
        let slot = lookups.find(Side::Source, address.parse().unwrap(), start, start);
        match lookups.whose(Side::Source, slot) {
            Whose::Owned { owner: Owner::Pod(pod), .. } => pod.name.to_string(),
            Whose::Owned { owner: Owner::Node(node), .. } => node.name.to_string(),
            Whose::Unnamed => "unnamed".to_owned(),
            Whose::Outside => "outside".to_owned(),
        }
    }

    fn inventory(pod: &str, started: i64) -> Inventory {
        Inventory::parse(&format!(
            "nodes: [{{name: node-a, addresses: [172.18.0.2], podCIDRs: [10.10.0.0/24]}}]\n\
             pods: [{{namespace: shop, name: {pod}, node: node-a, ips: [10.10.0.5], startedMs: {started}}}]\n\
             services: [{{namespace: shop, name: cart, clusterIPs: [10.96.0.20], ports: [{{port: 80}}]}}]"
        ))
        .unwrap()
    }

    #[test]
    fn kept_answers_are_those_of_the_directory() {
        let directory = Arc::new(Directory::default());
        directory.replace(inventory("first", 1_000_000), 1_000_000);
        let mut lookups = Lookups::new(Arc::clone(&directory));
        for _ in 0..2 {
            assert_eq!(named(&mut lookups, "10.10.0.5", 1_500_000), "first");
            assert_eq!(named(&mut lookups, "10.10.0.5", 500_000), "unnamed", "before its time");
            assert_eq!(named(&mut lookups, "172.18.0.2", 5), "node-a");
            assert_eq!(named(&mut lookups, "192.0.2.1", 5), "outside");
        }
        directory.replace(inventory("second", 2_000_000), 2_000_000);
        assert_eq!(named(&mut lookups, "10.10.0.5", 2_500_000), "second");
        assert_eq!(named(&mut lookups, "10.10.0.5", 1_500_000), "first");
    }

    #[test]
    fn services_are_found_and_forgotten() {
        let directory = Arc::new(Directory::default());
        let mut lookups = Lookups::new(Arc::clone(&directory));
        let ask = |lookups: &mut Lookups, start| {
            lookups.refresh();
            let slot = lookups.find_service("10.96.0.20".parse().unwrap(), 80, 6, start)?;
            lookups.service(slot).map(|service| service.name.to_string())
        };
        assert_eq!(ask(&mut lookups, 500), None);
        directory.replace(inventory("first", 0), 0);
        for _ in 0..2 {
            assert_eq!(ask(&mut lookups, 500).as_deref(), Some("shop/cart"));
        }
        directory.delete_service("shop", "cart", 1_000);
        for _ in 0..2 {
            assert_eq!(ask(&mut lookups, 1_000), None);
            assert_eq!(ask(&mut lookups, 500).as_deref(), Some("shop/cart"), "of that time it still answers");
        }
    }
}
