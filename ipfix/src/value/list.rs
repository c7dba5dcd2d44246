//! Structured data (RFC 6313): basicList, subTemplateList, subTemplateMultiList, nested.
//!
//! ```text
//! basicList             | semantic | E element id | element length | enterprise if E | values … |
//! subTemplateList       | semantic | template id | records … |
//! subTemplateMultiList  | semantic | ( template id | length with these 4 octets | records … ) … |
//! ```
//! A list whose template is not known is kept as octets: the record around it survives.

use std::cell::Cell;
use std::sync::Arc;

use super::{Value, read_value};
use crate::data_type::DataType;
use crate::error::DecodeError;
use crate::limits::Limits;
use crate::reader::Reader;
use crate::registry::Registry;
use crate::template::{
    CompiledTemplate, TemplateField, TemplateId, TemplateView, compiled_field, read_field_specifier,
};

/// A list of RFC 6313.
#[derive(Clone, Debug, PartialEq)]
pub struct List<'a> {
    /// How its entries relate to what the record is about.
    pub semantic: ListSemantic,
    /// Its entries.
    pub content: ListContent<'a>,
}

/// The entries of a list.
#[derive(Clone, Debug, PartialEq)]
pub enum ListContent<'a> {
    /// Values of one element.
    Basic {
        /// Which element.
        field: TemplateField,
        /// Its values in order.
        values: Vec<Value<'a>>,
    },
    /// Records of one template.
    SubTemplate {
        /// The template's id; needed where there is no record.
        template: TemplateId,
        /// The records in order.
        records: Vec<ListRecord<'a>>,
    },
    /// Records of several templates, in order.
    Multi(Vec<ListRecord<'a>>),
}

/// One record of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListRecord<'a> {
    /// Its template; the fields are in the order of `values`.
    pub template: Arc<CompiledTemplate>,
    /// The value of each field.
    pub values: Vec<Value<'a>>,
}

/// How the entries of a list relate to what the record is about (RFC 6313 section 4.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ListSemantic {
    /// 0: none of the entries is a property of the flow.
    NoneOf,
    /// 1: exactly one.
    ExactlyOneOf,
    /// 2: one or more.
    OneOrMoreOf,
    /// 3: all.
    AllOf,
    /// 4: all, and in this order.
    Ordered,
    /// 255, and whatever is not assigned.
    Undefined,
}

impl ListSemantic {
    const fn of(number: u8) -> Self {
        match number {
            0 => Self::NoneOf,
            1 => Self::ExactlyOneOf,
            2 => Self::OneOrMoreOf,
            3 => Self::AllOf,
            4 => Self::Ordered,
            _ => Self::Undefined,
        }
    }

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::NoneOf => 0,
            Self::ExactlyOneOf => 1,
            Self::OneOrMoreOf => 2,
            Self::AllOf => 3,
            Self::Ordered => 4,
            Self::Undefined => 255,
        }
    }
}

/// What reading a list needs beside its octets.
#[derive(Clone, Copy)]
pub(crate) struct ListContext<'a> {
    /// Names and types of basicLists' elements.
    pub(crate) registry: &'a Registry,
    /// The templates of this observation domain.
    pub(crate) templates: TemplateView<'a>,
    /// How many more lists may stand inside.
    pub(crate) depth: usize,
    /// How many more values the lists of this message may hold.
    pub(crate) values: &'a Cell<usize>,
    /// What was allowed at first.
    pub(crate) limits: &'a Limits,
}

impl ListContext<'_> {
    fn inner(&self, offset: usize) -> Result<Self, DecodeError> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..*self }),
            None => Err(DecodeError::Nesting { offset, limit: self.limits.list_depth }),
        }
    }

    /// Counts one value against the message's allowance.
    pub(crate) fn spend(&self, values: usize, offset: usize) -> Result<(), DecodeError> {
        match self.values.get().checked_sub(values) {
            Some(left) => {
                self.values.set(left);
                Ok(())
            }
            None => Err(DecodeError::Values { offset, limit: self.limits.values_per_message }),
        }
    }
}

/// Reads a list; none where a template it names is not known.
pub(super) fn read_list<'a>(
    data_type: DataType,
    mut reader: Reader<'a>,
    context: &ListContext<'a>,
) -> Result<Option<List<'a>>, DecodeError> {
    let context = context.inner(reader.offset())?;
    let semantic = ListSemantic::of(reader.u8("list semantic")?);
    let content = match data_type {
        DataType::BasicList => Some(basic(&mut reader, &context)?),
        DataType::SubTemplateList => {
            let template = reader.u16("template id of a list")?;
            let mut records = Vec::new();
            let known = sub_template(template, reader, &context, &mut records)?;
            let template = TemplateId::try_from(template).ok().filter(|_| known);
            template.map(|template| ListContent::SubTemplate { template, records })
        }
        _ => multi(&mut reader, &context)?,
    };
    Ok(content.map(|content| List { semantic, content }))
}

/// Checks the inside of a list without keeping it. Reading is checking: lists are short, and few.
pub(crate) fn check_list(
    data_type: DataType,
    octets: &[u8],
    offset: usize,
    context: &ListContext<'_>,
) -> Result<(), DecodeError> {
    // An empty field stands for a list that is not there.
    if !octets.is_empty() {
        read_list(data_type, Reader::at(octets, offset), context)?;
    }
    Ok(())
}

fn basic<'a>(reader: &mut Reader<'a>, context: &ListContext<'a>) -> Result<ListContent<'a>, DecodeError> {
    let offset = reader.offset();
    let specifier = read_field_specifier(reader)?;
    let field = compiled_field(specifier, context.registry);
    let mut values = Vec::new();
    if specifier.length == 0 && !reader.is_empty() {
        return Err(DecodeError::List { what: "basicList of empty elements", offset });
    }
    while !reader.is_empty() {
        values.push(inner_value(field.data_type, specifier.length, reader, context)?);
    }
    Ok(ListContent::Basic { field, values })
}

fn multi<'a>(
    reader: &mut Reader<'a>,
    context: &ListContext<'a>,
) -> Result<Option<ListContent<'a>>, DecodeError> {
    let mut records = Vec::new();
    let mut all_known = true;
    while !reader.is_empty() {
        let offset = reader.offset();
        let template = reader.u16("template id of a list")?;
        let length = usize::from(reader.u16("length of a list's records")?);
        let Some(body) = length.checked_sub(4) else {
            return Err(DecodeError::List { what: "length of a list's records", offset });
        };
        let body = reader.sub(body, "records of a list")?;
        all_known &= sub_template(template, body, context, &mut records)?;
    }
    Ok(all_known.then_some(ListContent::Multi(records)))
}

/// Reads all records of one template; false where the template is not known.
fn sub_template<'a>(
    template: u16,
    mut reader: Reader<'a>,
    context: &ListContext<'a>,
    records: &mut Vec<ListRecord<'a>>,
) -> Result<bool, DecodeError> {
    let Some(template) = context.templates.lookup(template) else { return Ok(false) };
    while !reader.is_empty() {
        let mut values = Vec::with_capacity(template.fields().len());
        for field in template.fields() {
            values.push(inner_value(field.data_type, field.length, &mut reader, context)?);
        }
        records.push(ListRecord { template: Arc::clone(template), values });
    }
    Ok(true)
}

/// A value inside a list. A list inside is read here rather than by [`read_value`], so that its fault is the
/// whole list's.
fn inner_value<'a>(
    data_type: DataType,
    length: u16,
    reader: &mut Reader<'a>,
    context: &ListContext<'a>,
) -> Result<Value<'a>, DecodeError> {
    context.spend(1, reader.offset())?;
    let octets = reader.field(length)?;
    if !data_type.is_structured() || octets.is_empty() {
        return Ok(read_value(data_type, octets, context));
    }
    let inner = Reader::at(octets, reader.offset() - octets.len());
    let list = read_list(data_type, inner, context)?;
    Ok(list.map_or(Value::Octets(octets), |list| Value::List(Box::new(list))))
}
