//! An exporting session of a profile: its templates, and where it sends options, what its elements are called.
//!
//! The agent adds records and the numbers of what it could not send; tests send the same octets as the agent does.

use podflow_ipfix::element::{ElementKey, IANA, REVERSE};
use podflow_ipfix::error::{EncodeError, TemplateFault};
use podflow_ipfix::export::{
    ExportSettings, ExportingSession, reliability_template, type_information, type_information_template,
};
use podflow_ipfix::registry::{Element, Registry};
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use thiserror::Error;

use crate::profile::{Profile, TEMPLATE_STATISTICS, TEMPLATE_TYPES};

/// Why a session could not be made; never with the profiles as they are, unless messages are to be very short.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum SessionError {
    /// A template that cannot be.
    #[error("making a template: {0}")]
    Template(#[from] TemplateFault),
    /// A template or description that does not fit a message.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The reliability statistics' template (RFC 7011 section 4.3), in profiles that send options.
pub const STATISTICS: TemplateId = TemplateId::constant(TEMPLATE_STATISTICS);
/// The type information's template (RFC 5610), in profiles that send options.
const TYPES: TemplateId = TemplateId::constant(TEMPLATE_TYPES);

/// A session that begins with the profile's templates. A dateTimeSeconds (flowStartSeconds 150, flowEndSeconds 151) has
/// so many octets, 4 or 8: collectors with Antrea's old definitions take them for numbers of eight.
///
/// # Errors
/// When the messages of `settings` are too short for it.
pub fn session(
    profile: Profile,
    seconds_octets: u16,
    settings: ExportSettings,
) -> Result<ExportingSession, SessionError> {
    let registry = Registry::standard();
    let mut templates = Vec::with_capacity(4);
    for ipv4 in [true, false] {
        templates.push(with_seconds(&profile.template(ipv4)?, seconds_octets)?);
    }
    if profile.sends_options() {
        templates.extend([type_information_template(TYPES)?, reliability_template(STATISTICS)?]);
    }
    let mut session = ExportingSession::new(settings, templates, &registry)?;
    if profile.sends_options() {
        session.set_standing(TYPES, enterprise_elements(profile, &registry).map(type_information))?;
    }
    Ok(session)
}

fn with_seconds(template: &Template, octets: u16) -> Result<Template, TemplateFault> {
    let fields = template.fields().iter().map(|field| {
        let is_seconds = field.element.enterprise == IANA && matches!(field.element.id, 150 | 151);
        if is_seconds { FieldSpecifier::new(field.element, octets) } else { *field }
    });
    Template::new(template.id(), fields.collect())
}

/// The elements of a profile that a collector may never have heard of. Reverse elements are told by their rule
/// (RFC 5103), not one by one.
fn enterprise_elements(profile: Profile, registry: &Registry) -> impl Iterator<Item = &Element> {
    let mut elements: Vec<ElementKey> = [true, false]
        .into_iter()
        .flat_map(|ipv4| profile.fields(ipv4).map(|(_, element)| element))
        .filter(|element| element.enterprise != IANA && element.enterprise != REVERSE)
        .collect();
    elements.sort_by_key(|element| (element.enterprise, element.id));
    elements.dedup();
    elements.into_iter().filter_map(|key| registry.lookup(key))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use podflow_ipfix::collect::{CollectingSession, Transport};
    use podflow_ipfix::limits::Limits;
    use serde_json::{Map, Value as Json};

    use super::*;
    use crate::{Counters, FlowEndReason, FlowRecord, FlowType};

    /// The message of a profile as it was written by hand, and its records' values.
    fn golden(profile: &str) -> (Vec<u8>, Vec<Map<String, Json>>) {
        let read = |ending: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
            std::fs::read_to_string(format!("{folder}/profile-{profile}.{ending}")).unwrap()
        };
        let digits: Vec<u32> = read("txt")
            .lines()
            .filter_map(|line| line.split('#').next())
            .flat_map(|line| line.chars().filter_map(|digit| digit.to_digit(16)).collect::<Vec<_>>())
            .collect();
        let octets = digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect();
        (octets, serde_json::from_str(&read("json")).unwrap())
    }

    /// A TCP connection through a Service, and a ping to the outside.
    fn records() -> [FlowRecord<'static>; 2] {
        let tcp = FlowRecord {
            source: [10, 10, 0, 5].into(),
            destination: [10, 10, 1, 9].into(),
            source_port: 40_000,
            destination_port: 5_432,
            protocol: 6,
            icmp_type_code: 0,
            start_ms: 1_790_000_000_123,
            end_ms: 1_790_000_003_456,
            end_reason: FlowEndReason::EndOfFlow,
            flow_id: (1 << 53) - 1,
            forward: Counters {
                packets_total: 29,
                octets_total: 2_948,
                packets_delta: 3,
                octets_delta: 1_200,
            },
            reverse: Counters { packets_total: 20, octets_total: 2_000, packets_delta: 2, octets_delta: 80 },
            source_pod_namespace: "shop",
            source_pod_name: "cart-ü",
            source_node_name: "node-a",
            destination_pod_namespace: "",
            destination_pod_name: "",
            destination_node_name: "",
            cluster_ip: Some([10, 96, 0, 20].into()),
            service_port: 5_432,
            service_port_name: "shop/db:sql",
            tcp_state: "TIME_WAIT",
            flow_type: FlowType::InterNode,
            throughput: 9_600,
            reverse_throughput: 640,
            post_nat_source: Some([172, 18, 0, 2].into()),
            post_nat_source_port: 50_123,
            dialled: Some([10, 96, 0, 20].into()),
        };
        let ping = FlowRecord {
            source: "fd01::5".parse().unwrap(),
            destination: "2001:db8::1".parse().unwrap(),
            source_port: 0,
            destination_port: 0,
            protocol: 58,
            icmp_type_code: 0x8000,
            start_ms: 1_790_000_001_500,
            end_ms: 1_790_000_001_500,
            end_reason: FlowEndReason::IdleTimeout,
            flow_id: 7,
            forward: Counters { packets_total: 1, octets_total: 104, packets_delta: 1, octets_delta: 104 },
            reverse: Counters::default(),
            source_pod_namespace: "jobs",
            source_pod_name: "ping",
            source_node_name: "node-b",
            cluster_ip: None,
            service_port: 0,
            service_port_name: "",
            tcp_state: "",
            flow_type: FlowType::ToExternal,
            throughput: 0,
            reverse_throughput: 0,
            post_nat_source: None,
            post_nat_source_port: 0,
            dialled: None,
            ..tcp
        };
        [tcp, ping]
    }

    #[test]
    fn the_first_message_of_a_profile_is_as_written_by_hand() {
        for name in ["full", "v0.9"] {
            let (octets, values) = golden(name);
            let profile = Profile::parse(name).unwrap();
            let mut exporter = session(profile, 4, ExportSettings::stream(42)).unwrap();
            let now_ms = 1_790_000_004_000;
            for (id, record) in [256, 257].map(TemplateId::constant).into_iter().zip(&records()) {
                exporter.add(now_ms, id, profile.values(record)).unwrap();
            }
            exporter.flush(now_ms);
            let message = exporter.next_message().unwrap().octets;
            let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
            assert_eq!(hex(&message), hex(&octets), "{name}");

            let mut collector =
                CollectingSession::new(Transport::Stream, Arc::new(Limits::default()), Arc::default());
            let mut seen: Vec<Map<String, Json>> = Vec::new();
            let on_record = &mut |record: podflow_ipfix::collect::DataRecord<'_>| {
                if !record.is_options() {
                    let fields = record.fields();
                    seen.push(
                        fields
                            .map(|(field, value)| (field.name.to_string(), value.to_string().into()))
                            .collect(),
                    );
                }
            };
            collector.receive(0, &octets, on_record).unwrap();
            assert_eq!(seen, values, "{name}");
        }
    }

    #[test]
    fn seconds_have_four_octets_or_eight() {
        for octets in [4, 8] {
            let mut session = session(Profile::V09, octets, ExportSettings::stream(1)).unwrap();
            session.send_templates(1_000);
            session.flush(1_000);
            // Message header 16, set header 4, template header 4; then element 150 and its length.
            let message = session.next_message().unwrap();
            assert_eq!(message.octets[24..28], [0, 150, 0, octets.to_be_bytes()[1]]);
        }
    }
}
