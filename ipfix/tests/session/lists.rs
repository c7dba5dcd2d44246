//! Structured data (RFC 6313), read and written.

use super::support::{NOW, limited, message, receive, records, session, set, template, variable};
use podflow_ipfix::Limits;
use podflow_ipfix::collect::Transport;
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::{List, ListContent, ListSemantic, Value};
use podflow_ipfix::{DecodeError, ElementKey};

const VARIABLE: u16 = 65_535;
/// basicList, subTemplateList, subTemplateMultiList.
const LISTS: [(u32, u16, u16); 3] = [(0, 291, VARIABLE), (0, 292, VARIABLE), (0, 293, VARIABLE)];

/// Semantic all-of, interfaceName (82) of variable length: "a", "".
fn basic_list() -> Vec<u8> {
    [&[3, 0, 82, 255, 255][..], &variable("a"), &variable("")].concat()
}

/// Semantic ordered, two records of template 400: octetDeltaCount.
const SUB_TEMPLATE_LIST: [u8; 7] = [4, 1, 144, 0, 5, 0, 6];

/// Semantic undefined; one record of 400, then two of 401: protocolIdentifier and a basicList of its own.
fn multi_list() -> Vec<u8> {
    let nested = [&[6][..], &variable(basic_list()), &[17], &variable(basic_list())].concat();
    let length = u16::try_from(4 + nested.len()).expect("a short list").to_be_bytes();
    [&[255, 1, 144, 0, 6, 0, 7, 1, 145][..], &length, &nested].concat()
}

fn inner_templates() -> Vec<u8> {
    [template(400, &[(0, 1, 2)]), template(401, &[(0, 4, 1), (0, 291, VARIABLE)])].concat()
}

fn record() -> Vec<u8> {
    [variable(basic_list()), variable(SUB_TEMPLATE_LIST), variable(multi_list())].concat()
}

#[test]
fn all_three_kinds_and_lists_in_lists() {
    let mut collector = session(Transport::Stream);
    let sets = [inner_templates(), template(256, &LISTS), set(256, record())];
    assert_eq!(
        records(&mut collector, &message(1, 0, &sets)),
        ["basicList=[a, ] subTemplateList=[[5], [6]] subTemplateMultiList=[[7], [6, [a, ]], [17, [a, ]]]"]
    );
}

#[test]
fn semantics_names_and_types_are_kept() {
    let mut collector = session(Transport::Stream);
    let sets = [inner_templates(), template(256, &LISTS), set(256, record())];
    let mut seen = 0;
    collector
        .receive(NOW, &message(1, 0, &sets), &mut |record| {
            let lists: Vec<List<'_>> = record
                .fields()
                .map(|(_, value)| if let Value::List(list) = value { *list } else { panic!("a list wanted") })
                .collect();
            assert_eq!(
                lists.iter().map(|list| list.semantic).collect::<Vec<_>>(),
                [ListSemantic::AllOf, ListSemantic::Ordered, ListSemantic::Undefined]
            );
            let ListContent::Basic { field, values } = &lists[0].content else {
                panic!("a basicList wanted")
            };
            assert_eq!((&*field.name, values.len()), ("interfaceName", 2));
            let ListContent::SubTemplate { template, records } = &lists[1].content else { panic!() };
            assert_eq!((template.number(), &*records[0].template.fields()[0].name), (400, "octetDeltaCount"));
            seen += 1;
        })
        .unwrap();
    assert_eq!(seen, 1);
}

#[test]
fn what_was_read_is_written_the_same() {
    let registry = Registry::standard();
    let specifiers = LISTS.iter().map(|(_, id, _)| FieldSpecifier::variable(ElementKey::iana(*id))).collect();
    let wire = Template::new(TemplateId::constant(256), specifiers).unwrap();
    let mut exporter = ExportingSession::new(ExportSettings::stream(1), vec![wire], &registry).unwrap();
    let mut collector = session(Transport::Stream);
    let sets = [inner_templates(), template(256, &LISTS), set(256, record())];
    collector
        .receive(NOW, &message(1, 0, &sets), &mut |record| {
            exporter.add(NOW, TemplateId::constant(256), record.fields().map(|(_, value)| value)).unwrap();
        })
        .unwrap();
    exporter.flush(NOW);
    let written = exporter.next_message().unwrap().octets;
    assert!(written.ends_with(&record()), "the octets of the record are the same");
}

#[test]
fn a_list_of_an_unknown_template_is_kept_as_octets() {
    let mut collector = session(Transport::Stream);
    let sets = [template(256, &LISTS[1..2]), set(256, variable(SUB_TEMPLATE_LIST))];
    assert_eq!(records(&mut collector, &message(1, 0, &sets)), ["subTemplateList=04019000050006"]);
}

#[test]
fn malformed_lists_end_the_message() {
    for (field, list, reason) in [
        // The last value of a basicList claims more than there is; an element without octets; a length below 4.
        (0, vec![3, 0, 82, 255, 255, 9, b'a'], "truncated"),
        (0, vec![3, 0, 82, 0, 0, 1], "list"),
        (1, vec![4, 1, 144, 0, 5, 0], "truncated"),
        (2, vec![4, 1, 144, 0, 3, 0], "list"),
    ] {
        let mut collector = session(Transport::Stream);
        records(&mut collector, &message(1, 0, &[inner_templates()]));
        let sets = [template(256, &LISTS[field..=field]), set(256, variable(&list))];
        let error = receive(&mut collector, NOW, &message(1, 0, &sets)).unwrap_err();
        assert_eq!(error.reason(), reason, "{list:?}: {error}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| {
        (1..depth).fold(basic_list(), |inner, _| [&[3, 1, 35, 255, 255][..], &variable(inner)].concat())
    };
    let limits = Limits { list_depth: 4, ..Limits::default() };
    for (depth, fits) in [(4, true), (5, false)] {
        let mut collector = limited(Transport::Stream, limits.clone());
        let sets = [template(256, &LISTS[..1]), set(256, variable(nested(depth)))];
        match receive(&mut collector, NOW, &message(1, 0, &sets)) {
            Ok(_) => assert!(fits, "{depth}"),
            Err(error) => assert_eq!((error.reason(), fits), ("nesting", false)),
        }
    }
}

#[test]
fn templates_of_empty_fields_do_not_make_endless_work() {
    // 200 fields of no octets and one of one octet: each octet of data would be 201 values.
    let mut fields = vec![(0, 1, 0); 200];
    fields.push((0, 4, 1));
    let data = vec![6; 60_000];
    let error = {
        let mut collector = session(Transport::Stream);
        records(&mut collector, &message(1, 0, &[template(256, &fields)]));
        receive(&mut collector, NOW, &message(1, 0, &[set(256, &data)])).unwrap_err()
    };
    assert!(matches!(error, DecodeError::Values { .. }), "{error}");
    // The same inside a list.
    let mut collector = session(Transport::Stream);
    records(&mut collector, &message(1, 0, &[template(400, &fields), template(256, &LISTS[1..2])]));
    let list = [&[3, 1, 144][..], &data].concat();
    let error = receive(&mut collector, NOW, &message(1, 0, &[set(256, variable(list))])).unwrap_err();
    assert!(matches!(error, DecodeError::Values { .. }), "{error}");
    // A template without any octets is refused when it comes.
    let error = receive(&mut collector, NOW, &message(1, 0, &[template(402, &[(0, 1, 0)])])).unwrap_err();
    assert_eq!(error.to_string(), "template 402 at byte 20: its records have no octets");
}
