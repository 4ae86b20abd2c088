//! Chunk framing (RFC 9112 §7.1), byte by byte; payload is stepped over in runs.
//!
//! Where recipients differ is where smuggling lives, so this takes what the grammar says and no
//! more: CRLF only, at most sixteen digits of size, blanks only where the grammar has BWS.

use std::ops::Range;

use super::{BodyError, clamp};
use crate::http::grammar::{hex_digit, is_blank, is_field_value, is_tchar};
use crate::http::limits::Limits;

/// As many digits as a u64 has. More could only be leading zeros.
const MAX_SIZE_DIGITS: u8 = 16;

/// Where in a chunked body the next byte stands, and how much of each limit is left.
#[derive(Debug, Clone)]
pub(super) struct Chunked {
    at: At,
    /// The size of the chunk whose head is being read.
    size: u64,
    body_left: u64,
    extensions_left: usize,
    trailers: Trailers,
}

/// How much trailers may still take.
#[derive(Debug, Clone)]
struct Trailers {
    field_bytes: usize,
    line_left: usize,
    bytes_left: usize,
    fields_left: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the size, after so many digits.
    Size(u8),
    /// Behind the size, after a blank: only an extension can follow.
    SizeBlank,
    /// Behind a semicolon.
    ExtensionStart,
    ExtensionName,
    /// Behind a name, after a blank.
    ExtensionNameBlank,
    /// Behind an equals sign.
    ExtensionValueStart,
    ExtensionToken,
    ExtensionQuoted,
    /// Behind a backslash in a quoted string.
    ExtensionQuotedPair,
    /// Behind the closing quote.
    ExtensionQuotedEnd,
    /// Behind a value, after a blank: only another extension can follow.
    ExtensionValueBlank,
    /// Behind the CR of a chunk's head.
    SizeLf,
    /// In the payload, with so many bytes to come, more than 0.
    Data(u64),
    DataCr,
    DataLf,
    /// At the beginning of a trailer, or at the empty line.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

/// How far one call came.
#[derive(Debug)]
pub(super) enum Step {
    /// All input was framing.
    Framing { consumed: usize },
    /// A run of payload, with framing before it; it stops at the run's end.
    Data(Range<usize>),
    /// The body's end.
    End { consumed: usize },
}

impl Chunked {
    pub(super) fn new(limits: &Limits) -> Chunked {
        Chunked {
            at: At::Size(0),
            size: 0,
            body_left: limits.body_bytes,
            extensions_left: limits.chunk_extension_bytes,
            trailers: Trailers {
                field_bytes: limits.field_bytes,
                line_left: limits.field_bytes,
                bytes_left: limits.fields_bytes,
                fields_left: limits.fields,
            },
        }
    }

    /// Goes on with `input`. After an error the state means nothing.
    pub(super) fn advance(&mut self, input: &[u8]) -> Result<Step, BodyError> {
        let mut position = 0;
        while position < input.len() {
            if let At::Data(left) = self.at {
                let end = position + clamp(left, input.len() - position);
                let left = left - (end - position) as u64;
                self.at = if left == 0 {
                    At::DataCr
                } else {
                    At::Data(left)
                };
                return Ok(Step::Data(position..end));
            }
            self.at = self.after(input[position])?;
            position += 1;
            if self.at == At::End {
                return Ok(Step::End { consumed: position });
            }
        }
        Ok(Step::Framing {
            consumed: input.len(),
        })
    }

    /// Where the byte behind this framing byte stands.
    fn after(&mut self, byte: u8) -> Result<At, BodyError> {
        match self.at {
            At::Size(_) | At::SizeBlank | At::SizeLf => self.after_size(byte),
            At::ExtensionStart
            | At::ExtensionName
            | At::ExtensionNameBlank
            | At::ExtensionValueStart
            | At::ExtensionToken
            | At::ExtensionQuoted
            | At::ExtensionQuotedPair
            | At::ExtensionQuotedEnd
            | At::ExtensionValueBlank => {
                let next = after_extension(self.at, byte).ok_or(BodyError::ChunkExtension)?;
                if next != At::SizeLf {
                    self.count_extension_byte()?;
                }
                Ok(next)
            }
            At::DataCr if byte == b'\r' => Ok(At::DataLf),
            At::DataLf if byte == b'\n' => Ok(At::Size(0)),
            At::DataCr | At::DataLf => Err(BodyError::ChunkEnd),
            At::TrailerStart | At::TrailerName | At::TrailerValue | At::TrailerLf | At::EndLf => {
                self.after_trailer(byte)
            }
            // `advance` deals with these two.
            At::Data(_) | At::End => Ok(self.at),
        }
    }

    fn after_size(&mut self, byte: u8) -> Result<At, BodyError> {
        match (self.at, byte) {
            (At::Size(digits), _) if let Some(digit) = hex_digit(byte) => {
                if digits == MAX_SIZE_DIGITS {
                    return Err(BodyError::ChunkSize);
                }
                let before = if digits == 0 { 0 } else { self.size };
                self.size = before << 4 | u64::from(digit);
                Ok(At::Size(digits + 1))
            }
            (At::Size(1..), b'\r') => Ok(At::SizeLf),
            (At::Size(1..) | At::SizeBlank, b';') => {
                self.count_extension_byte()?;
                Ok(At::ExtensionStart)
            }
            (At::Size(1..) | At::SizeBlank, _) if is_blank(byte) => {
                self.count_extension_byte()?;
                Ok(At::SizeBlank)
            }
            (At::SizeLf, b'\n') => {
                if self.size == 0 {
                    return Ok(At::TrailerStart);
                }
                self.body_left = self
                    .body_left
                    .checked_sub(self.size)
                    .ok_or(BodyError::TooLarge)?;
                Ok(At::Data(self.size))
            }
            _ => Err(BodyError::ChunkSize),
        }
    }

    fn count_extension_byte(&mut self) -> Result<(), BodyError> {
        self.extensions_left = self
            .extensions_left
            .checked_sub(1)
            .ok_or(BodyError::ChunkExtensionsTooLong)?;
        Ok(())
    }

    fn after_trailer(&mut self, byte: u8) -> Result<At, BodyError> {
        let next = match (self.at, byte) {
            (At::TrailerStart, b'\r') => return Ok(At::EndLf),
            (At::EndLf, b'\n') => return Ok(At::End),
            (At::TrailerLf, b'\n') => return Ok(At::TrailerStart),
            (At::TrailerValue, b'\r') => return Ok(At::TrailerLf),
            (At::TrailerName, b':') => At::TrailerValue,
            (At::TrailerValue, _) if is_field_value(byte) => At::TrailerValue,
            (At::TrailerName, _) if is_tchar(byte) => At::TrailerName,
            (At::TrailerStart, _) if is_tchar(byte) => {
                self.trailers.begin_field()?;
                At::TrailerName
            }
            _ => return Err(BodyError::Trailer),
        };
        self.trailers.count_byte()?;
        Ok(next)
    }
}

impl Trailers {
    fn begin_field(&mut self) -> Result<(), BodyError> {
        self.line_left = self.field_bytes;
        self.fields_left = self
            .fields_left
            .checked_sub(1)
            .ok_or(BodyError::TrailersTooLong)?;
        Ok(())
    }

    fn count_byte(&mut self) -> Result<(), BodyError> {
        for left in [&mut self.line_left, &mut self.bytes_left] {
            *left = left.checked_sub(1).ok_or(BodyError::TrailersTooLong)?;
        }
        Ok(())
    }
}

/// `chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )` (RFC 9112 §7.1.1).
fn after_extension(at: At, byte: u8) -> Option<At> {
    match (at, byte) {
        (At::ExtensionQuoted, b'"') => Some(At::ExtensionQuotedEnd),
        (At::ExtensionQuoted, b'\\') => Some(At::ExtensionQuotedPair),
        (At::ExtensionQuoted | At::ExtensionQuotedPair, _) => {
            is_field_value(byte).then_some(At::ExtensionQuoted)
        }
        (At::ExtensionName | At::ExtensionToken | At::ExtensionQuotedEnd, b'\r') => {
            Some(At::SizeLf)
        }
        (At::ExtensionName | At::ExtensionNameBlank, b'=') => Some(At::ExtensionValueStart),
        (At::ExtensionValueStart, b'"') => Some(At::ExtensionQuoted),
        (
            At::ExtensionName
            | At::ExtensionNameBlank
            | At::ExtensionToken
            | At::ExtensionQuotedEnd
            | At::ExtensionValueBlank,
            b';',
        ) => Some(At::ExtensionStart),
        (At::ExtensionStart | At::ExtensionName, _) if is_tchar(byte) => Some(At::ExtensionName),
        (At::ExtensionValueStart | At::ExtensionToken, _) if is_tchar(byte) => {
            Some(At::ExtensionToken)
        }
        (At::ExtensionStart | At::ExtensionValueStart | At::ExtensionNameBlank, _)
            if is_blank(byte) =>
        {
            Some(at)
        }
        (At::ExtensionName, _) if is_blank(byte) => Some(At::ExtensionNameBlank),
        (At::ExtensionToken | At::ExtensionQuotedEnd | At::ExtensionValueBlank, _)
            if is_blank(byte) =>
        {
            Some(At::ExtensionValueBlank)
        }
        _ => None,
    }
}
