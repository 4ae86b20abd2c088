//! Structured fields (RFC 9651), as far as this project's fields need them: lists and dictionaries
//! of items with parameters. Inner lists, byte sequences, dates and display strings make a field
//! fail, which is what a recipient does with a field that it cannot parse (§4.2).

use std::borrow::Cow;

use super::grammar::{is_tchar, trim_blanks};

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
}

/// An item with its parameters, in order; of parameters with one key, the last is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<'b> {
    /// The value.
    pub value: BareItem<'b>,
    /// Keys and values; a key alone is `true`.
    pub parameters: Vec<(&'b str, BareItem<'b>)>,
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
    let mut parser = Parser::new(value)?;
    let mut items = Vec::new();
    parser.members(|parser| {
        items.push(parser.item()?);
        Some(())
    })?;
    Some(items)
}

/// A dictionary of items (RFC 9651 §4.2.2), in order; of members with one key, the last is kept.
/// `None` if any of it is wrong.
pub fn parse_dictionary(value: &[u8]) -> Option<Vec<(&str, Item<'_>)>> {
    let mut parser = Parser::new(value)?;
    let mut members = Vec::new();
    parser.members(|parser| {
        let key = parser.key()?;
        let value = if parser.take(b'=') {
            parser.item()?
        } else {
            Item {
                value: BareItem::Boolean(true),
                parameters: parser.parameters()?,
            }
        };
        keep_last(&mut members, key, value);
        Some(())
    })?;
    Some(members)
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

struct Parser<'b> {
    rest: &'b str,
}

impl<'b> Parser<'b> {
    fn new(value: &'b [u8]) -> Option<Parser<'b>> {
        let rest = str::from_utf8(trim_blanks(value)).ok()?;
        rest.is_ascii().then_some(Parser { rest })
    }

    /// Members divided by commas, at least one after each comma; none at all is right, too.
    fn members(&mut self, mut member: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if self.rest.is_empty() {
            return Some(());
        }
        loop {
            member(self)?;
            self.rest = self.rest.trim_start_matches([' ', '\t']);
            if self.rest.is_empty() {
                return Some(());
            }
            self.take(b',').then_some(())?;
            self.rest = self.rest.trim_start_matches([' ', '\t']);
        }
    }

    fn item(&mut self) -> Option<Item<'b>> {
        Some(Item {
            value: self.bare_item()?,
            parameters: self.parameters()?,
        })
    }

    fn parameters(&mut self) -> Option<Vec<(&'b str, BareItem<'b>)>> {
        let mut parameters = Vec::new();
        while self.take(b';') {
            self.rest = self.rest.trim_start_matches(' ');
            let key = self.key()?;
            let value = if self.take(b'=') {
                self.bare_item()?
            } else {
                BareItem::Boolean(true)
            };
            keep_last(&mut parameters, key, value);
        }
        Some(parameters)
    }

    fn key(&mut self) -> Option<&'b str> {
        let first = self.peek()?;
        (first.is_ascii_lowercase() || first == b'*').then_some(())?;
        Some(self.take_while(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
        }))
    }

    fn bare_item(&mut self) -> Option<BareItem<'b>> {
        match self.peek()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b'?' => {
                self.take(b'?');
                match self.take_while(|byte| byte == b'0' || byte == b'1') {
                    "0" => Some(BareItem::Boolean(false)),
                    "1" => Some(BareItem::Boolean(true)),
                    _ => None,
                }
            }
            byte if begins_token(byte) => Some(BareItem::Token(self.take_while(continues_token))),
            _ => None,
        }
    }

    /// Fifteen digits, or twelve, a point and three (RFC 9651 §4.2.4).
    fn number(&mut self) -> Option<BareItem<'b>> {
        let sign = if self.take(b'-') { -1 } else { 1 };
        let whole = self.take_while(|byte| byte.is_ascii_digit());
        let integer: i64 = whole.parse().ok()?;
        if !self.take(b'.') {
            return (whole.len() <= 15).then_some(BareItem::Integer(sign * integer));
        }
        let fraction = self.take_while(|byte| byte.is_ascii_digit());
        if whole.len() > 12 || !(1..=3).contains(&fraction.len()) {
            return None;
        }
        let thousandths: i64 = format!("{fraction:0<3}").parse().ok()?;
        Some(BareItem::Decimal(sign * (integer * 1000 + thousandths)))
    }

    fn string(&mut self) -> Option<BareItem<'b>> {
        self.take(b'"');
        let body = self.rest;
        let mut unescaped: Option<String> = None;
        loop {
            let at = body.len() - self.rest.len();
            match self.next()? {
                b'"' => {
                    let text = match unescaped {
                        Some(text) => Cow::Owned(text),
                        None => Cow::Borrowed(&body[..at]),
                    };
                    return Some(BareItem::String(text));
                }
                b'\\' => {
                    let escaped = self.next()?;
                    matches!(escaped, b'"' | b'\\').then_some(())?;
                    unescaped
                        .get_or_insert_with(|| body[..at].to_owned())
                        .push(char::from(escaped));
                }
                byte if is_printable(byte) => {
                    if let Some(text) = &mut unescaped {
                        text.push(char::from(byte));
                    }
                }
                _ => return None,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.rest = &self.rest[1..];
        Some(byte)
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        if is_there {
            self.rest = &self.rest[1..];
        }
        is_there
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'b str {
        let end = self.rest.bytes().position(|byte| !wanted(byte));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }
}
