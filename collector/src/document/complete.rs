//! The derived fields, into a document in the making.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::derive::{End, Exporter, Output, Part, derive};
use super::keys::Key;
use super::model::{Document, Value};
use super::role::Role;
use super::shape::Draft;

/// Adds the derived fields; the document is complete then.
pub(crate) fn complete<'a>(mut draft: Draft<'a>) -> Document<'a> {
    draft.set_destination_copy_aside();
    let mut fields = Fields { fields: Vec::with_capacity(DERIVED), names: [String::new(), String::new()] };
    let exporter = Exporter { of_cluster: draft.of_cluster, node: draft.exporter_node.as_deref() };
    derive(&draft, exporter, &mut fields);
    let mut document = draft.document;
    document.fields.append(&mut fields.fields);
    document
}

/// Derived fields, gathered.
struct Fields<'a> {
    fields: Vec<(Cow<'a, str>, Value<'a>)>,
    names: [String; 2],
}

impl Fields<'_> {
    fn joined(&self, parts: &[Part<'_>]) -> String {
        let mut text = String::with_capacity(64);
        for part in parts {
            // Writing to a String cannot fail.
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Plain(part) => text.push_str(part),
                Part::Number(number) => write!(text, "{number}").unwrap_or_default(),
                Part::Address(address) => write!(text, "{address}").unwrap_or_default(),
                Part::Name(end) => text.push_str(&self.names[*end as usize]),
            }
        }
        text
    }
}

impl Output for Fields<'_> {
    fn name(&mut self, end: End, parts: &[Part<'_>]) {
        self.names[end as usize] = self.joined(parts);
    }

    fn unsigned(&mut self, key: &'static Key, number: u64) {
        self.fields.push((Cow::Borrowed(key.name), Value::Unsigned(number)));
    }

    fn address(&mut self, key: &'static Key, address: IpAddr) {
        self.fields.push((Cow::Borrowed(key.name), Value::Address(address)));
    }

    fn text(&mut self, key: &'static Key, parts: &[Part<'_>]) {
        let text = match parts {
            [Part::Plain(word)] => Cow::Borrowed(*word),
            parts => Cow::Owned(self.joined(parts)),
        };
        self.fields.push((Cow::Borrowed(key.name), Value::String(text)));
    }
}

impl Draft<'_> {
    /// The copy that the destination's agent made of a flow between two Nodes (Antrea since v0.12): its counters
    /// go under their `…FromDestinationNode` names, so that no sum counts the flow twice.
    fn set_destination_copy_aside(&mut self) {
        if !self.destination_copy {
            return;
        }
        for (role, name) in [
            (Role::PacketsTotal, "packetTotalCountFromDestinationNode"),
            (Role::OctetsTotal, "octetTotalCountFromDestinationNode"),
            (Role::Packets, "packetDeltaCountFromDestinationNode"),
            (Role::Octets, "octetDeltaCountFromDestinationNode"),
            (Role::ReversePacketsTotal, "reversePacketTotalCountFromDestinationNode"),
            (Role::ReverseOctetsTotal, "reverseOctetTotalCountFromDestinationNode"),
            (Role::ReversePackets, "reversePacketDeltaCountFromDestinationNode"),
            (Role::ReverseOctets, "reverseOctetDeltaCountFromDestinationNode"),
            (Role::Throughput, "throughputFromDestinationNode"),
            (Role::ReverseThroughput, "reverseThroughputFromDestinationNode"),
        ] {
            if let Some((old, _)) =
                self.places.place(role).and_then(|place| self.document.fields.get_mut(place))
            {
                *old = Cow::Borrowed(name);
            }
            self.places.clear(role);
        }
    }
}

/// How many derived fields a document has at most.
const DERIVED: usize = 20;
