//! A head's lines and fields, whatever its start line says.

use super::error::HeadError;
use super::scan::{HeadScan, Layout, StartLine};
use crate::http::fields::{FieldSlots, SLOTS_ON_STACK};
use crate::http::limits::Limits;

/// Finds the head at the front of `buf` and parses its fields into `slots`. `None` while it is not
/// complete. The start line is checked before the fields when the fields are wrong; else its
/// reader is yet to check it.
#[inline]
pub(super) fn locate<'b>(
    scan: &mut HeadScan,
    buf: &'b [u8],
    slots: &mut FieldSlots<'b>,
    kind: StartLine,
    limits: &Limits,
) -> Result<Option<Layout>, HeadError> {
    if scan.is_new()
        && let Some(layout) = at_once(buf, slots, limits)
    {
        return Ok(Some(layout));
    }
    by_line(scan, buf, slots, kind, limits)
}

/// The usual case: the whole head came at once, is small, and its fields break no rule. In every
/// other case this says `None`, and [`by_line`] says what is the matter.
#[inline]
fn at_once<'b>(buf: &'b [u8], slots: &mut FieldSlots<'b>, limits: &Limits) -> Option<Layout> {
    let fields = memchr::memchr(b'\n', buf)? + 1;
    if fields <= 2 || buf[fields - 2] != b'\r' {
        return None;
    }
    let slots = slots.reset(SLOTS_ON_STACK.min(limits.fields));
    let Ok(httparse::Status::Complete((fields_len, parsed))) =
        httparse::parse_headers(&buf[fields..], slots)
    else {
        return None;
    };
    if fields_len > limits.field_bytes.min(limits.fields_bytes) {
        return None;
    }
    // httparse takes a bare LF for a line end. Before each field, and at the end, it must have
    // been a CRLF; httparse took no other byte between a value and that line end.
    let mut follows_crlf = true;
    for field in parsed {
        let at = field.name.as_ptr().addr() - buf.as_ptr().addr();
        follows_crlf &= buf[at - 2] == b'\r';
    }
    let len = fields + fields_len;
    (follows_crlf && buf[..len].ends_with(b"\r\n\r\n")).then_some(Layout {
        start_line: 0,
        fields,
        field_lines: parsed.len(),
        len,
    })
}

/// Goes through the head line by line, from where the last call stopped.
fn by_line<'b>(
    scan: &mut HeadScan,
    buf: &'b [u8],
    slots: &mut FieldSlots<'b>,
    kind: StartLine,
    limits: &Limits,
) -> Result<Option<Layout>, HeadError> {
    let Some(layout) = scan.advance(buf, kind, limits)? else {
        return Ok(None);
    };
    (kind.check)(layout.start_line_of(buf), limits)?;
    let slots = slots.reset(layout.field_lines);
    // Never partial: the scan saw the empty line.
    let status = httparse::parse_headers(&buf[layout.fields..layout.len], slots)?;
    Ok(status.is_complete().then_some(layout))
}
