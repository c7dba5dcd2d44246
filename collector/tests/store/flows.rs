//! Flow documents as the testbed's cluster gives them, from a number: 40 Pods on 5 Nodes, 8 Services, a thousand
//! addresses outside, some 4,000 flows a minute; every document carries all fields of the `full` template.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use podflow_collector::document::model::{Document, DocumentId, Value};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

/// `@timestamp` of the first document: 2026-11-22T00:00:00Z.
pub(crate) const FIRST: i64 = 1_795_305_600_000;

/// Documents spread evenly over a span of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flows {
    /// How many there are.
    pub(crate) count: u64,
    /// Over how many milliseconds.
    pub(crate) span: u64,
    /// Whether fields are missing and of odd values here and there, as a test wants and a cluster seldom gives.
    pub(crate) holes: bool,
}

/// Flows alive at a time: each is exported once a minute.
const ALIVE: u64 = 4000;
/// Exports of one flow before another takes its place.
const LIFE: u64 = 20;

impl Flows {
    /// The document of this number.
    pub(crate) fn document(&self, number: u64) -> Document<'static> {
        let time = number * self.span / self.count;
        let timestamp = FIRST + i64::try_from(time).unwrap();
        let (slot, round) = (number % ALIVE, number / ALIVE);
        let flow = slot + (round + slot) / LIFE * ALIVE;
        let age = (round + slot) % LIFE;
        let start = timestamp - i64::try_from(age * 60_000 + 30_000).unwrap();
        let dice = |what: u64, sides: u64| xxh3_64_with_seed(&flow.to_le_bytes(), what) % sides;

        let source = Pod(dice(1, 40));
        let outside = dice(2, 10) == 0;
        let target = Pod((source.0 + 1 + dice(3, 12) * dice(4, 4)) % 40);
        let service = (!outside && dice(5, 3) > 0).then(|| dice(6, 8));
        let udp = dice(7, 5) == 0;
        let far = IpAddr::from(Ipv4Addr::from_bits(0xC633_0000 + u32::try_from(dice(8, 1000) * 61).unwrap()));
        let source_port = 32_768 + dice(9, 28_000);
        let port = [80, 443, 8080, 53, 5432, 6379, 9090, 3306][usize::try_from(dice(10, 8)).unwrap()];
        let rate = 1 + dice(11, 50) * dice(12, 50) * dice(13, 40);
        let noise = xxh3_64_with_seed(&number.to_le_bytes(), 14) % (rate * 4 + 1);
        let delta = rate * 30 + noise;
        let (packets, reverse) = (delta / 600 + 1, delta / 7 + dice(15, 3000));
        let total = (rate * 32) * age + delta;
        let ended = age == LIFE - 1;

        let text = |text: String| Value::String(Cow::Owned(text));
        let fixed = |text: &'static str| Value::String(Cow::Borrowed(text));
        let destination_address = if outside { far } else { target.address() };
        let destination_name = if outside { far.to_string() } else { target.full_name() };
        let protocol = if udp { "UDP" } else { "TCP" };
        let service_name = service.map_or_else(String::new, |n| format!("shop/service-{n}:http"));
        let cluster_ip = service
            .map_or(Ipv4Addr::UNSPECIFIED, |n| Ipv4Addr::new(10, 96, 0, u8::try_from(20 + n).unwrap()));
        let flow_id = xxh3_64_with_seed(&flow.to_le_bytes(), 16) >> 1;
        let (source_end, target_end) =
            (format!("{}:{source_port}", source.full_name()), format!("{destination_name}:{port}"));
        let throughput = delta * 8 / 60;

        let mut fields: Vec<(&'static str, Value<'static>)> = vec![
            ("version", Value::Unsigned(10)),
            ("flowset_id", Value::Unsigned(256)),
            ("flowStartSeconds", Value::Time(start / 1000 * 1000)),
            ("flowEndSeconds", Value::Time(timestamp / 1000 * 1000)),
            ("sourceIPv4Address", Value::Address(source.address())),
            ("destinationIPv4Address", Value::Address(destination_address)),
            ("sourceTransportPort", Value::Unsigned(source_port)),
            ("destinationTransportPort", Value::Unsigned(port)),
            ("protocolIdentifier", Value::Unsigned(if udp { 17 } else { 6 })),
            ("packetTotalCount", Value::Unsigned(total / 600 + age + 1)),
            ("octetTotalCount", Value::Unsigned(total)),
            ("packetDeltaCount", Value::Unsigned(packets)),
            ("octetDeltaCount", Value::Unsigned(delta)),
            ("reversePacketTotalCount", Value::Unsigned(total / 4200 + age + 1)),
            ("reverseOctetTotalCount", Value::Unsigned(total / 7 + dice(15, 3000) * (age + 1))),
            ("reversePacketDeltaCount", Value::Unsigned(reverse / 600 + 1)),
            ("reverseOctetDeltaCount", Value::Unsigned(reverse)),
            ("sourcePodName", text(source.name())),
            ("sourcePodNamespace", fixed(source.namespace())),
            ("sourceNodeName", text(source.node())),
        ];
        if !outside {
            fields.extend([
                ("destinationPodName", text(target.name())),
                ("destinationPodNamespace", fixed(target.namespace())),
                ("destinationNodeName", text(target.node())),
            ]);
        }
        if let Some(number) = service {
            fields.extend([
                ("destinationClusterIP", Value::Address(cluster_ip.into())),
                ("destinationServicePortName", text(service_name.clone())),
                ("destinationServicePort", Value::Unsigned(80 + number)),
                ("servicePair", text(format!("{} → {service_name}", source.full_name()))),
            ]);
        }
        fields.extend([
            ("flowEndReason", Value::Unsigned(if ended { 3 } else { 2 })),
            ("flowStartMilliseconds", Value::Time(start)),
            ("flowEndMilliseconds", Value::Time(timestamp - i64::try_from(noise % 5000).unwrap())),
            ("flowId", Value::Unsigned(flow_id)),
            (
                "tcpState",
                fixed(if udp {
                    ""
                } else if ended {
                    "TIME_WAIT"
                } else {
                    "ESTABLISHED"
                }),
            ),
            (
                "flowType",
                Value::Unsigned(if outside { 3 } else { 1 + u64::from(source.0 % 5 != target.0 % 5) }),
            ),
            ("throughput", Value::Unsigned(throughput)),
            ("reverseThroughput", Value::Unsigned(reverse * 8 / 60)),
            ("bytes", Value::Unsigned(delta + reverse)),
            ("packets", Value::Unsigned(packets + reverse / 600 + 1)),
            ("sourceIP", Value::Address(source.address())),
            ("destinationIP", Value::Address(destination_address)),
            ("protocol", fixed(protocol)),
            (
                "flowKind",
                fixed(if outside {
                    "Pod-to-External"
                } else if service.is_some() {
                    "Pod-to-Service"
                } else {
                    "Pod-to-Pod"
                }),
            ),
            (
                "flowTypeStr",
                fixed(if outside {
                    "to external"
                } else if source.0 % 5 == target.0 % 5 {
                    "intra-Node"
                } else {
                    "inter-Node"
                }),
            ),
            ("flowKey", text(format!("{source_end}→{target_end} {protocol}"))),
            ("sourceName", text(source.full_name())),
            ("destinationName", text(destination_name.clone())),
            ("podPair", text(format!("{} → {destination_name}", source.full_name()))),
        ]);
        if !outside {
            fields.push(("nodePair", text(format!("{} → {}", source.node(), target.node()))));
        }
        fields.push(("exporterNode", text(source.node())));
        if self.holes {
            make_holes(number, &mut fields);
        }
        let mut id = [0; 15];
        let second = u32::try_from(timestamp / 1000).unwrap().to_be_bytes();
        let hash = xxh3_128(&number.to_le_bytes()).to_be_bytes();
        id.iter_mut().zip(second.iter().chain(&hash)).for_each(|(place, octet)| *place = *octet);
        Document {
            id: DocumentId(id),
            timestamp,
            host: IpAddr::from([172, 18, 0, u8::try_from(source.0 % 5 + 2).unwrap()]),
            fields: fields.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect(),
        }
    }
}

/// Doubles, truth values, lists, addresses of both families, large numbers and long texts, each now and then.
fn make_holes(number: u64, fields: &mut Vec<(&'static str, Value<'static>)>) {
    let dice = |what: u64, sides: u64| xxh3_64_with_seed(&number.to_le_bytes(), what) % sides;
    if dice(20, 4) > 0 {
        #[expect(clippy::cast_precision_loss, reason = "any double will do")]
        fields.push(("jitter", Value::Float(dice(21, 10_000) as f64 / 64.0 - 20.0)));
    }
    if dice(22, 3) > 0 {
        fields.push(("sampled", Value::Boolean(dice(23, 2) == 0)));
    }
    if dice(24, 10) == 0 {
        let labels = (0..dice(25, 4)).map(|n| Value::Unsigned(dice(26 + n, 20))).collect();
        fields.push(("mplsLabels", Value::List(labels)));
    }
    if dice(30, 5) == 0 {
        let v6 = std::net::Ipv6Addr::new(
            0x2001,
            0xdb8,
            0,
            u16::try_from(dice(31, 4)).unwrap(),
            0,
            0,
            0,
            u16::try_from(dice(32, 300)).unwrap(),
        );
        fields.push(("gatewayIP", Value::Address(v6.into())));
    } else if dice(30, 5) == 1 {
        fields.push((
            "gatewayIP",
            Value::Address(IpAddr::from([10, 0, 0, u8::try_from(dice(32, 200)).unwrap()])),
        ));
    }
    if dice(33, 1000) == 0 {
        fields.push(("comment", Value::String(Cow::Owned("x".repeat(9000)))));
    } else if dice(33, 1000) < 30 {
        fields.push(("comment", Value::String(Cow::Borrowed("a note: with \"quotes\" \\ and/or *stars*"))));
    }
    if dice(34, 7) == 0 {
        fields.retain(|(name, _)| *name != "throughput");
    }
}

#[derive(Clone, Copy)]
struct Pod(u64);

impl Pod {
    fn name(self) -> String {
        format!(
            "{}-{:x}",
            ["cart", "web", "api", "db", "cache"][usize::try_from(self.0 % 5).unwrap()],
            self.0 * 7919 + 4096
        )
    }

    fn namespace(self) -> &'static str {
        ["shop", "bank", "kube-system"][usize::try_from(self.0 % 3).unwrap()]
    }

    fn full_name(self) -> String {
        format!("{}/{}", self.namespace(), self.name())
    }

    fn node(self) -> String {
        format!("node-{}", self.0 % 5)
    }

    fn address(self) -> IpAddr {
        IpAddr::from([10, 10, u8::try_from(self.0 % 5).unwrap(), u8::try_from(self.0 + 2).unwrap()])
    }
}
