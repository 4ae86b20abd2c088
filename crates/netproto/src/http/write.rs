//! Serialising heads so that no value can end its line early (RFC 9112 §11.1): a field is written
//! only when its name is a token and its value holds no CR, LF, NUL or other control byte.

use super::grammar::{is_field_value, is_token};
use super::method::Method;
use super::status::StatusCode;

/// Ends a line.
pub const CRLF: &[u8] = b"\r\n";

/// What cannot be written without changing the shape of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SerializeError {
    /// The method is not a token.
    #[error("the method is not a token")]
    Method,
    /// The target is empty or holds a byte that is not visible ASCII.
    #[error("the request target holds a byte that cannot stand in a request line")]
    Target,
    /// The field's name is not a token.
    #[error("the field name is not a token")]
    FieldName,
    /// The field's value holds a control byte.
    #[error("the field value holds a control byte")]
    FieldValue,
}

/// Appends `HTTP/1.1 STATUS REASON CRLF`. A code without a known reason keeps the space before it
/// (RFC 9112 §4).
pub fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(status.as_u16()));
    out.push(b' ');
    out.extend_from_slice(status.reason().as_bytes());
    out.extend_from_slice(CRLF);
}

/// Appends `METHOD TARGET HTTP/1.1 CRLF`.
pub fn request_line(
    out: &mut Vec<u8>,
    method: &Method<'_>,
    target: &str,
) -> Result<(), SerializeError> {
    let method = method.as_str();
    if !is_token(method.as_bytes()) {
        return Err(SerializeError::Method);
    }
    if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SerializeError::Target);
    }
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    Ok(())
}

/// Whether `NAME: VALUE` can be written as one field line.
pub fn check_field(name: &str, value: &[u8]) -> Result<(), SerializeError> {
    if !is_token(name.as_bytes()) {
        return Err(SerializeError::FieldName);
    }
    if !is_whole_field_value(value) {
        return Err(SerializeError::FieldValue);
    }
    Ok(())
}

/// Looks at every byte, wrong or not: so many at a time are cheaper than an early end.
fn is_whole_field_value(value: &[u8]) -> bool {
    value
        .iter()
        .fold(true, |all, byte| all & is_field_value(*byte))
}

/// Appends `NAME: VALUE CRLF`. On an error nothing is written.
pub fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) -> Result<(), SerializeError> {
    check_field(name, value)?;
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(CRLF);
    Ok(())
}

/// Appends `NAME: VALUE CRLF` with the value in pieces, one behind the other. On an error nothing is
/// written.
pub fn field_in_pieces<'p>(
    out: &mut Vec<u8>,
    name: &str,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Result<(), SerializeError> {
    let before = out.len();
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    let value = out.len();
    for piece in pieces {
        out.extend_from_slice(piece);
    }
    if let Err(error) = check_field(name, &out[value..]) {
        out.truncate(before);
        return Err(error);
    }
    out.extend_from_slice(CRLF);
    Ok(())
}

/// Appends `NAME: NUMBER CRLF`.
pub fn field_number(out: &mut Vec<u8>, name: &str, value: u64) -> Result<(), SerializeError> {
    field(out, name, itoa::Buffer::new().format(value).as_bytes())
}

/// Appends the empty line that ends the fields.
pub fn end_of_head(out: &mut Vec<u8>) {
    out.extend_from_slice(CRLF);
}

fn decimal(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_whole_or_not_at_all_in_however_many_pieces_it_comes() {
        for (pieces, line) in [
            (&["a, b"][..], "X: a, b\r\n"),
            (&["a", ", ", "\u{e9}\t"], "X: a, \u{e9}\t\r\n"),
            (&["", ""], "X: \r\n"),
            (&["a\r\n", "b"], ""),
            (&["a", "\n"], ""),
            (&["a", "b\0"], ""),
            (&["a long one that ends badly: \x7f"], ""),
        ] {
            let mut out = b"before\r\n".to_vec();
            let bytes = pieces.iter().map(|piece| piece.as_bytes());
            let written = field_in_pieces(&mut out, "X", bytes);
            let mut whole = b"before\r\n".to_vec();
            let written_whole = field(&mut whole, "X", pieces.concat().as_bytes());
            assert_eq!((&whole, written_whole), (&out, written), "{pieces:?}");
            assert_eq!(out, ["before\r\n", line].concat().as_bytes());
            assert_eq!(written.is_ok(), !line.is_empty());
        }
        let mut out = Vec::new();
        let refused = field_in_pieces(&mut out, "not a token", [&b"a"[..]]);
        assert_eq!(
            (refused, &out[..]),
            (Err(SerializeError::FieldName), &[][..])
        );
    }
}
