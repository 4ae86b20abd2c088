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

use thiserror::Error;

use super::grammar::is_tchar;

/// How many members a list or a dictionary may have: as many as every parser has to take (RFC 9651
/// §3.1, §3.2).
pub const MAX_MEMBERS: usize = 1024;
/// How many parameters an item may have (RFC 9651 §3.1.2).
pub const MAX_PARAMETERS: usize = 256;

/// More members than [`MAX_MEMBERS`], or parameters than [`MAX_PARAMETERS`].
#[derive(Debug, Error)]
#[error("more than there is room for")]
struct TooMany;

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

/// A list of items (RFC 9651 §4.2.1). `None` if any of it is wrong, or too much.
pub fn parse_list(value: &[u8]) -> Option<Vec<Item<'_>>> {
    Parser::new(value)
        .parse_list_with_visitor(List(Vec::new()))
        .ok()
}

/// A dictionary of items (RFC 9651 §4.2.2), in order; of members with one key, the last is kept.
/// `None` if any of it is wrong, or too much.
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

/// Puts a value under a key, in the place of one before; at most so many.
fn keep_last<'m, 'b, V>(
    members: &'m mut Vec<(&'b str, V)>,
    key: &'b str,
    value: V,
    most: usize,
) -> Result<&'m mut V, TooMany> {
    let place = members.iter().position(|(known, _)| *known == key);
    let place = place.unwrap_or(members.len());
    if place >= most {
        return Err(TooMany);
    }
    if place == members.len() {
        members.push((key, value));
    } else {
        members[place].1 = value;
    }
    Ok(&mut members[place].1)
}

struct List<'b>(Vec<Item<'b>>);

impl<'b> ListVisitor<'b> for List<'b> {
    type Out = Vec<Item<'b>>;
    type Error = TooMany;

    fn entry(&mut self) -> Result<impl EntryVisitor<'b>, TooMany> {
        let place = self.0.len();
        if place == MAX_MEMBERS {
            return Err(TooMany);
        }
        self.0.push(Item::default());
        Ok(Entry(&mut self.0[place]))
    }

    fn finish(self) -> Result<Self::Out, TooMany> {
        Ok(self.0)
    }
}

struct Dictionary<'b>(Vec<(&'b str, Item<'b>)>);

impl<'b> DictionaryVisitor<'b> for Dictionary<'b> {
    type Out = Vec<(&'b str, Item<'b>)>;
    type Error = TooMany;

    fn entry(&mut self, key: &'b KeyRef) -> Result<impl EntryVisitor<'b>, TooMany> {
        let item = Item::default();
        keep_last(&mut self.0, key.as_str(), item, MAX_MEMBERS).map(Entry)
    }

    fn finish(self) -> Result<Self::Out, TooMany> {
        Ok(self.0)
    }
}

/// Where a member goes.
struct Entry<'e, 'b>(&'e mut Item<'b>);

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
        self,
        value: BareItemFromInput<'b>,
    ) -> Result<impl ParameterVisitor<'b, Out = ()>, Infallible> {
        self.0.value = value.into();
        Ok(self)
    }
}

impl<'b> ParameterVisitor<'b> for Entry<'_, 'b> {
    type Out = ();
    type Error = TooMany;

    fn parameter(&mut self, key: &'b KeyRef, value: BareItemFromInput<'b>) -> Result<(), TooMany> {
        let (parameters, key) = (&mut self.0.parameters, key.as_str());
        keep_last(parameters, key, value.into(), MAX_PARAMETERS).map(drop)
    }

    fn finish(self) -> Result<(), TooMany> {
        Ok(())
    }
}
