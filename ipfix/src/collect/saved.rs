//! Learned UDP templates and descriptions of elements as octets and back, so that a collector that starts again is not
//! blind until the next refresh.
//!
//! ```text
//! "podflow templates 1\n" | when saved, milliseconds since 1970: 8
//! then for each template:
//! family 4|6: 1 | address: 4|16 | port: 2 | version 9|10: 1 | domain: 4 | age, milliseconds: 8
//! | id: 2 | scope fields: 2 | fields: 2 | ( enterprise: 4 | element: 2 | length: 2 ) …
//! and behind its session's templates, for each element that the exporter described (RFC 5610):
//! family 4|6 + 128: 1 | address: 4|16 | port: 2 | enterprise: 4 | element: 2 | type: 2 | semantics: 2 | units: 2
//! | octets of its name: 1 | name
//! ```
//! What cannot be read ends the reading; what was read before it counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use thiserror::Error;

use super::options::LONGEST_NAME;
use super::udp::UdpSessions;
use crate::data_type::{DataType, Semantics, Units};
use crate::element::ElementKey;
use crate::error::DecodeError;
use crate::message::Version;
use crate::reader::Reader;
use crate::registry::Element;
use crate::template::{CompiledTemplate, FieldSpecifier, Template, TemplateId};

/// Why saved templates cannot be read (on).
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum SavedError {
    /// The octets are of something else, or of another version of the format.
    #[error("these are no saved templates of this version")]
    Format,
    /// They end or contradict themselves.
    #[error("saved templates are damaged at octet {offset}")]
    Damaged {
        /// Where.
        offset: usize,
    },
}

/// What restoring brought.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Restored {
    /// Templates that are known again.
    pub templates: usize,
    /// Templates whose lifetime has ended since.
    pub expired: usize,
    /// Elements whose names and types are known again; they live as long as a template of their session.
    pub elements: usize,
    /// Why not all could be read; those before are known all the same.
    pub damage: Option<SavedError>,
}

/// One entry.
enum Entry {
    Template(Saved),
    Element(SocketAddr, Element),
}

/// One saved template.
struct Saved {
    from: SocketAddr,
    version: Version,
    domain: u32,
    age_ms: u64,
    template: Template,
}

impl UdpSessions {
    /// All templates and described elements as octets. `now_ms` is the clock of [`UdpSessions::receive`], `wall_ms` milliseconds since 1970.
    pub fn save(&self, now_ms: u64, wall_ms: u64) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(wall_ms.to_be_bytes());
        for (from, session, _) in self.sessions() {
            for (&(version, domain), state) in &session.domains {
                for (id, template) in &state.templates {
                    let age_ms = now_ms.saturating_sub(state.refreshed.get(id).copied().unwrap_or(now_ms));
                    let template = template.wire().clone();
                    write_saved(&mut out, &Saved { from, version, domain, age_ms, template });
                }
            }
            let described = session.registry.added();
            for element in described.filter(|element| self.registry.lookup(element.key).is_none()) {
                write_element(&mut out, from, element);
            }
        }
        out
    }

    /// Learns saved templates, of exporters that `wanted` says are ours, as if they had been received when they were.
    pub fn restore(
        &mut self,
        now_ms: u64,
        wall_ms: u64,
        saved: &[u8],
        wanted: impl Fn(SocketAddr) -> bool,
    ) -> Restored {
        let mut restored = Restored::default();
        let Some(octets) = saved.strip_prefix(MAGIC) else {
            return Restored { damage: Some(SavedError::Format), ..restored };
        };
        let mut reader = Reader::at(octets, MAGIC.len());
        let Ok(saved_ms) = reader.u64("time") else {
            return Restored { damage: Some(SavedError::Damaged { offset: reader.offset() }), ..restored };
        };
        let elapsed_ms = wall_ms.saturating_sub(saved_ms);
        while !reader.is_empty() {
            let offset = reader.offset();
            let template = match read(&mut reader).ok().flatten() {
                Some(Entry::Template(template)) => template,
                Some(Entry::Element(from, element)) => {
                    restored.elements += usize::from(wanted(from) && self.describe(from, element));
                    continue;
                }
                None => {
                    restored.damage = Some(SavedError::Damaged { offset });
                    break;
                }
            };
            if !wanted(template.from) {
                continue;
            }
            let age_ms = template.age_ms.saturating_add(elapsed_ms);
            if age_ms > self.limits.template_lifetime_ms {
                restored.expired += 1;
                continue;
            }
            restored.templates += usize::from(self.relearn(now_ms, age_ms, template));
        }
        restored
    }

    fn relearn(&mut self, now_ms: u64, age_ms: u64, saved: Saved) -> bool {
        // Where the clock of this process is younger than the template, the template is taken to be as old as it.
        let learned_ms = now_ms.saturating_sub(age_ms);
        let limit = self.limits.templates_per_session;
        let Some(session) = self.session_of(saved.from, learned_ms) else { return false };
        if session.template_count() >= limit {
            return false;
        }
        let compiled = CompiledTemplate::new(saved.template, saved.version, &session.registry);
        let domain = session.domains.entry((saved.version, saved.domain)).or_default();
        domain.learn(Arc::new(compiled), learned_ms);
        true
    }

    /// Gives an exporter's templates the name and type of an element; false where it has none that live.
    fn describe(&mut self, from: SocketAddr, element: Element) -> bool {
        self.known_session(from).is_some_and(|session| session.describe([element]) == [1, 0])
    }
}

fn write_saved(out: &mut Vec<u8>, saved: &Saved) {
    write_exporter(out, saved.from, 0);
    out.push(if saved.version == Version::NetFlow9 { 9 } else { 10 });
    out.extend(saved.domain.to_be_bytes());
    out.extend(saved.age_ms.to_be_bytes());
    out.extend(saved.template.id().number().to_be_bytes());
    out.extend(saved.template.scope_fields().to_be_bytes());
    let fields = saved.template.fields();
    out.extend(u16::try_from(fields.len()).unwrap_or(u16::MAX).to_be_bytes());
    for field in fields {
        out.extend(field.element.enterprise.to_be_bytes());
        out.extend(field.element.id.to_be_bytes());
        out.extend(field.length.to_be_bytes());
    }
}

fn write_element(out: &mut Vec<u8>, from: SocketAddr, element: &Element) {
    // What came from the wire was not longer than this; a definition file's names are not saved.
    let Ok(name_length) = u8::try_from(element.name.len()) else { return };
    write_exporter(out, from, OF_AN_ELEMENT);
    out.extend(element.key.enterprise.to_be_bytes());
    let numbers =
        [element.key.id, element.data_type.number(), element.semantics.number(), element.units.number()];
    out.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    out.push(name_length);
    out.extend(element.name.as_bytes());
}

fn write_exporter(out: &mut Vec<u8>, from: SocketAddr, kind: u8) {
    match from.ip() {
        IpAddr::V4(address) => {
            out.push(4 | kind);
            out.extend(address.octets());
        }
        IpAddr::V6(address) => {
            out.push(6 | kind);
            out.extend(address.octets());
        }
    }
    out.extend(from.port().to_be_bytes());
}

/// One entry; none where it contradicts itself.
fn read(reader: &mut Reader<'_>) -> Result<Option<Entry>, DecodeError> {
    let family = reader.u8("family")?;
    let address: IpAddr = match family & !OF_AN_ELEMENT {
        4 => Ipv4Addr::from(reader.u32("address")?).into(),
        6 => {
            let (high, low) = (reader.u64("address")?, reader.u64("address")?);
            Ipv6Addr::from((u128::from(high) << 64) | u128::from(low)).into()
        }
        _ => return Ok(None),
    };
    let from = SocketAddr::new(address, reader.u16("port")?);
    if family & OF_AN_ELEMENT != 0 {
        return Ok(read_element(reader)?.map(|element| Entry::Element(from, element)));
    }
    let version = match reader.u8("version")? {
        9 => Version::NetFlow9,
        10 => Version::Ipfix,
        _ => return Ok(None),
    };
    let domain = reader.u32("domain")?;
    let age_ms = reader.u64("age")?;
    let id = reader.u16("template id")?;
    let scope_fields = reader.u16("scope fields")?;
    let count = usize::from(reader.u16("fields")?);
    let mut fields = Vec::with_capacity(count.min(reader.len() / 8));
    for _ in 0..count {
        let (enterprise, element) = (reader.u32("enterprise")?, reader.u16("element")?);
        fields.push(FieldSpecifier::new(ElementKey::new(enterprise, element), reader.u16("length")?));
    }
    let template = TemplateId::try_from(id).and_then(|id| Template::checked(id, scope_fields, fields));
    let saved = template.ok().map(|template| Saved { from, version, domain, age_ms, template });
    Ok(saved.map(Entry::Template))
}

fn read_element(reader: &mut Reader<'_>) -> Result<Option<Element>, DecodeError> {
    let key = ElementKey::new(reader.u32("enterprise")?, reader.u16("element")?);
    let data_type = DataType::from_number(reader.u16("type")?.into());
    let semantics = Semantics::from_number(reader.u16("semantics")?.into());
    let units = Units::from_number(reader.u16("units")?.into());
    let name_length = usize::from(reader.u8("octets of a name")?);
    let name = std::str::from_utf8(reader.take(name_length, "name")?).ok();
    let (Some(data_type), Some(semantics), Some(units), Some(name)) = (data_type, semantics, units, name)
    else {
        return Ok(None);
    };
    Ok(Some(Element { key, name: name.to_owned().into(), data_type, semantics, units }))
}

/// Tells these octets from others, and this version of them.
const MAGIC: &[u8] = b"podflow templates 1\n";
/// In the family's octet: not a template but the description of an element.
const OF_AN_ELEMENT: u8 = 0x80;
const _: () = assert!(LONGEST_NAME <= 255, "the length of a name is saved in one octet");
