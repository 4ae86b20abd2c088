//! `multipart/byteranges` (RFC 9110 §14.6): several parts of one representation in one body.

use super::grammar::is_token;
use super::range::{ByteRange, ContentRange};
use super::write::{self, CRLF, SerializeError};

/// The text of one multipart body: what stands before, between and behind its parts.
#[derive(Debug, Clone)]
pub struct ByteRanges {
    boundary: String,
    /// The fields that all parts share, rendered.
    fields: Vec<u8>,
    /// The whole representation's length.
    complete: u64,
}

/// What a multipart body is made of, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A delimiter, with the fields of the part behind it.
    Text(Vec<u8>),
    /// These bytes of the representation.
    Part(ByteRange),
}

impl ByteRanges {
    /// A body whose parts are those of a representation of `complete` bytes and are divided by
    /// `boundary`, a token of at most 70 bytes (RFC 2046 §5.1.1) that nobody can foresee: else a
    /// representation could hold it, and forge a part.
    ///
    /// # Errors
    /// The boundary is no token.
    pub fn new(boundary: String, complete: u64) -> Result<ByteRanges, SerializeError> {
        if !is_token(boundary.as_bytes()) {
            return Err(SerializeError::FieldValue);
        }
        Ok(ByteRanges {
            boundary,
            fields: Vec::new(),
            complete,
        })
    }

    /// Adds a field that describes the representation: Content-Type, and Content-Encoding, which
    /// on the whole answer would be said of the multipart body instead.
    ///
    /// # Errors
    /// The name is not a token, or the value holds CR, LF or NUL.
    pub fn field(mut self, name: &str, value: &[u8]) -> Result<ByteRanges, SerializeError> {
        write::field(&mut self.fields, name, value)?;
        Ok(self)
    }

    /// The Content-Type of the whole answer.
    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// The whole body with these parts in it.
    pub fn pieces(&self, parts: &[ByteRange]) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(2 * parts.len() + 1);
        for &range in parts {
            pieces.push(Piece::Text(self.before(range, pieces.is_empty())));
            pieces.push(Piece::Part(range));
        }
        pieces.push(Piece::Text(
            format!("\r\n--{}--\r\n", self.boundary).into_bytes(),
        ));
        pieces
    }

    fn before(&self, range: ByteRange, is_first: bool) -> Vec<u8> {
        let content_range = ContentRange::Part {
            range,
            complete: Some(self.complete),
        };
        let mut text = Vec::with_capacity(128 + self.fields.len());
        if !is_first {
            text.extend_from_slice(CRLF);
        }
        text.extend_from_slice(format!("--{}\r\n", self.boundary).as_bytes());
        text.extend_from_slice(&self.fields);
        text.extend_from_slice(format!("Content-Range: {content_range}\r\n\r\n").as_bytes());
        text
    }
}
