//! Structured fields (RFC 9651), as far as this project's fields need them: lists and dictionaries
//! of items with parameters, read by the crate `sfv`. What no field here has (inner lists, byte
//! sequences, dates, display strings) is read too, and told apart from what a field may have.

use std::borrow::Cow;
use std::convert::Infallible;

use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor,
    ParameterVisitor,
};
use sfv::{BareItemFromInput, KeyRef, Parser};

use super::grammar::is_tchar;

/// An item without its parameters (RFC 9651 §3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BareItem<'b> {
    /// At most fifteen digits.
    Integer(i64),
    /// In thousandths.
    Decimal(i64),
    /// ASCII, without its quotes and escapes.
    String(Cow<'b, str>),
    /// A word.
    Token(&'b str),
    /// `?0` or `?1`.
    Boolean(bool),
    /// Of a type that no field here has; an inner list, too, where an item belongs.
    Other,
}

impl<'b> From<BareItemFromInput<'b>> for BareItem<'b> {
    fn from(item: BareItemFromInput<'b>) -> BareItem<'b> {
        match item {
            BareItemFromInput::Integer(number) => BareItem::Integer(number.into()),
            BareItemFromInput::Decimal(number) => {
                BareItem::Decimal(number.as_integer_scaled_1000().into())
            }
            BareItemFromInput::String(Cow::Borrowed(text)) => {
                BareItem::String(Cow::Borrowed(text.as_str()))
            }
            BareItemFromInput::String(Cow::Owned(text)) => {
                BareItem::String(Cow::Owned(text.into()))
            }
            BareItemFromInput::Token(word) => BareItem::Token(word.as_str()),
            BareItemFromInput::Boolean(is_true) => BareItem::Boolean(is_true),
            BareItemFromInput::ByteSequence(_)
            | BareItemFromInput::Date(_)
            | BareItemFromInput::DisplayString(_) => BareItem::Other,
        }
    }
}

/// An item with its parameters, in order; of parameters with one key, the last is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<'b> {
    /// The value.
    pub value: BareItem<'b>,
    /// Keys and values; a key alone is `true`.
    pub parameters: Vec<(&'b str, BareItem<'b>)>,
}

impl Default for Item<'_> {
    fn default() -> Self {
        Item {
            value: BareItem::Other,
            parameters: Vec::new(),
        }
    }
}

impl<'b> Item<'b> {
    /// The value of the parameter `key`.
    pub fn parameter(&self, key: &str) -> Option<&BareItem<'b>> {
        self.parameters
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value)
    }
}

/// A list of items (RFC 9651 §4.2.1). `None` if any of it is wrong.
pub fn parse_list(value: &[u8]) -> Option<Vec<Item<'_>>> {
    Parser::new(value)
        .parse_list_with_visitor(List(Vec::new()))
        .ok()
}

/// A dictionary of items (RFC 9651 §4.2.2), in order; of members with one key, the last is kept.
/// `None` if any of it is wrong.
pub fn parse_dictionary(value: &[u8]) -> Option<Vec<(&str, Item<'_>)>> {
    Parser::new(value)
        .parse_dictionary_with_visitor(Dictionary(Vec::new()))
        .ok()
}

/// Appends a string (RFC 9651 §4.1.6). `None`, and nothing written, for what is not printable
/// ASCII.
pub fn write_string(text: &str, out: &mut Vec<u8>) -> Option<()> {
    if !text.bytes().all(is_printable) {
        return None;
    }
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
    Some(())
}

/// Whether `text` is a token of RFC 9651 §3.3.4.
pub fn is_token(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(begins_token) && bytes.all(continues_token)
}

fn begins_token(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'*'
}

fn continues_token(byte: u8) -> bool {
    is_tchar(byte) || byte == b':' || byte == b'/'
}

fn is_printable(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}

fn keep_last<'b, V>(members: &mut Vec<(&'b str, V)>, key: &'b str, value: V) {
    match members.iter_mut().find(|(known, _)| *known == key) {
        Some((_, before)) => *before = value,
        None => members.push((key, value)),
    }
}

struct List<'b>(Vec<Item<'b>>);

impl<'b> ListVisitor<'b> for List<'b> {
    type Out = Vec<Item<'b>>;
    type Error = Infallible;

    fn entry(&mut self) -> Result<impl EntryVisitor<'b>, Infallible> {
        self.0.push(Item::default());
        Ok(Entry(self.0.last_mut()))
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok(self.0)
    }
}

struct Dictionary<'b>(Vec<(&'b str, Item<'b>)>);

impl<'b> DictionaryVisitor<'b> for Dictionary<'b> {
    type Out = Vec<(&'b str, Item<'b>)>;
    type Error = Infallible;

    fn entry(&mut self, key: &'b KeyRef) -> Result<impl EntryVisitor<'b>, Infallible> {
        let key = key.as_str();
        keep_last(&mut self.0, key, Item::default());
        let mut members = self.0.iter_mut();
        Ok(Entry(
            members
                .find(|(known, _)| *known == key)
                .map(|(_, item)| item),
        ))
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok(self.0)
    }
}

/// Where a member goes.
struct Entry<'e, 'b>(Option<&'e mut Item<'b>>);

impl<'b> EntryVisitor<'b> for Entry<'_, 'b> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'b>, Infallible> {
        Ok(self)
    }

    /// It is read to its end, and stays [`BareItem::Other`].
    fn inner_list(self) -> Result<impl InnerListVisitor<'b>, Infallible> {
        Ok(Ignored)
    }
}

impl<'b> ItemVisitor<'b> for Entry<'_, 'b> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        mut self,
        value: BareItemFromInput<'b>,
    ) -> Result<impl ParameterVisitor<'b, Out = ()>, Infallible> {
        if let Some(item) = &mut self.0 {
            item.value = value.into();
        }
        Ok(self)
    }
}

impl<'b> ParameterVisitor<'b> for Entry<'_, 'b> {
    type Out = ();
    type Error = Infallible;

    fn parameter(
        &mut self,
        key: &'b KeyRef,
        value: BareItemFromInput<'b>,
    ) -> Result<(), Infallible> {
        if let Some(item) = &mut self.0 {
            keep_last(&mut item.parameters, key.as_str(), value.into());
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Infallible> {
        Ok(())
    }
}
