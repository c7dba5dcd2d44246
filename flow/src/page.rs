//! The page of all fields (docs/fields.md), made from the tables; a test fails when the page is stale.

use crate::derived::DERIVED;
use crate::field::{FIELDS, Family, V09_FIELDS, VARIABLE};
use crate::index::IndexType;

/// The whole page, as Markdown.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for (place, field) in FIELDS.iter().enumerate() {
        let octets = if field.length == VARIABLE { "variable".to_owned() } else { field.length.to_string() };
        let template = match field.family {
            Family::Any => "256, 257",
            Family::V4 => "256",
            Family::V6 => "257",
        };
        let profile = if place < V09_FIELDS { "v0.9, full, antrea" } else { "full, antrea" };
        let antrea = match field.antrea {
            Some((key, name)) if name != field.name => format!("{key} `{name}`"),
            Some((key, _)) => key.to_string(),
            None => field.element.to_string(),
        };
        line(
            &mut page,
            &[
                &format!("`ipfix.{}`", field.name),
                &field.element.to_string(),
                &antrea,
                &octets,
                template,
                profile,
                index(field.index),
            ],
        );
    }
    page.push_str(DERIVED_HEAD);
    for field in DERIVED {
        line(&mut page, &[&format!("`ipfix.{}`", field.name), index(field.index), field.doc]);
    }
    page.push_str(OTHERS);
    page
}

fn line(page: &mut String, cells: &[&str]) {
    page.push_str("| ");
    page.push_str(&cells.join(" | "));
    page.push_str(" |\n");
}

const fn index(index: IndexType) -> &'static str {
    index.name()
}

const HEAD: &str = "# Fields

*Made from the tables in `flow/`; `PODFLOW_WRITE=1 cargo test -p podflow-flow` writes it anew.*

Every document has `@timestamp`, `@version`, `type`, `host`, and under `ipfix.` the elements of the record and what the
collector derives from them. Fields of type `keyword` and `ip` are also searchable as `….keyword`.

## What our agent sends

An element is `enterprise/id`: 0 is IANA's registry, 29305 its reverse elements (RFC 5103), 55829 and 56506 are Antrea's.
Reverse counters are those of the direction from destination to source.

| document field | element | in profile `antrea` | octets | templates | profiles | index type |
|---|---|---|---|---|---|---|
";

const DERIVED_HEAD: &str = "
## What the collector derives

| document field | index type | says |
|---|---|---|
";

const OTHERS: &str = "
## What other exporters' records become

Any IPFIX record becomes such a document: its elements under IANA's names, those of other enterprises under the names of a
definition file, of the exporter's own description (RFC 5610), or as `e<enterprise>id<id>` in hex. `type` is `ipfix` for
every version of the protocol; `ipfix.version` says which it was.

NetFlow v9 and v5 become the same documents, so that one search and one dashboard find them all: each field stands under the
name of the IPFIX element that means the same (`octetDeltaCount` for IN_BYTES, `ingressInterface` for INPUT_SNMP).
Moments in milliseconds of the exporter's uptime (FIRST_SWITCHED, LAST_SWITCHED) are the dates `flowStartMilliseconds` and
`flowEndMilliseconds`. A document of NetFlow v5 has no `flowset_id`, for there are no templates; `engineType`, `engineId`,
`samplingAlgorithm` and `samplingInterval` come from the header of its message. Padding is left out.

Where packets were sampled, `samplingInterval` says that one of so many was seen: from the record itself, from the header
of NetFlow v5, or from what the exporter announced in its options (samplingInterval, or samplingPacketInterval and
samplingPacketSpace), for the record's selector or for all. Counters are never multiplied: `bytes` and `packets` are what
was exported, and an estimate of the whole is their product with `samplingInterval`. NetFlow v5 writes 0 where it says
nothing of sampling.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_not_stale() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fields.md");
        if std::env::var_os("PODFLOW_WRITE").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == markdown(), "docs/fields.md is stale: PODFLOW_WRITE=1 cargo test -p podflow-flow");
    }
}
