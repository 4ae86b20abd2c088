//! Finding the end of a head, each byte looked at once, with the limits held as bytes come in.

use memchr::memchr_iter;

use super::error::HeadError;
use crate::http::limits::Limits;

/// How far the search for a head's end has come. One lives with each connection, so that a sender
/// who gives one byte at a time costs no more than one who gives all at once.
///
/// It belongs to one head at the front of one buffer: between calls, the buffer may only grow at
/// its end. It makes itself new when a head is complete.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeadScan {
    /// How many bytes were searched for line ends.
    searched: usize,
    /// Where the line that is not yet complete begins.
    line: usize,
    /// Where the start line begins: behind the CRLF that may stand before it.
    start_line: usize,
    /// Where the fields begin; 0 until the start line is complete.
    fields: usize,
    /// How many field lines are complete.
    field_lines: usize,
    /// The start line is complete and was found right. Checked once, while the head is not complete.
    start_line_is_checked: bool,
}

/// Where the parts of a complete head are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) start_line: usize,
    pub(super) fields: usize,
    pub(super) field_lines: usize,
    pub(super) len: usize,
}

impl Layout {
    /// The start line without its CRLF.
    pub(super) fn start_line_of<'b>(&self, buf: &'b [u8]) -> &'b [u8] {
        &buf[self.start_line..self.fields - 2]
    }
}

/// What kind of start line is expected.
#[derive(Debug, Clone, Copy)]
pub(super) struct StartLine {
    /// Whether one CRLF may stand before it (RFC 9112 §2.2: a server ignores it).
    pub(super) may_follow_crlf: bool,
    /// Refuses a start line that is too long, from as much of it as is there: all but its LF. A CR
    /// at the very end may belong to the line end, see [`without_final_cr`].
    pub(super) measure: fn(&[u8], &Limits) -> Result<(), HeadError>,
    /// Refuses a start line, given without its CRLF, that means nothing.
    pub(super) check: fn(&[u8], &Limits) -> Result<(), HeadError>,
}

/// A line whose LF is still to come, or was cut off, without the CR that belongs to it.
pub(super) fn without_final_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

impl HeadScan {
    /// Nothing searched yet.
    pub fn new() -> HeadScan {
        HeadScan::default()
    }

    /// Whether no byte was searched yet.
    pub(super) fn is_new(&self) -> bool {
        self.searched == 0
    }

    /// Goes on through `buf`, which begins with the head. `None` while the head is not complete.
    #[inline]
    pub(super) fn advance(
        &mut self,
        buf: &[u8],
        kind: StartLine,
        limits: &Limits,
    ) -> Result<Option<Layout>, HeadError> {
        match self.search(buf, kind, limits) {
            Ok(Some(layout)) => {
                *self = HeadScan::new();
                Ok(Some(layout))
            }
            // Not complete, or refused for its fields. A wrong start line is said at once, and
            // before anything that is wrong in the fields, however the bytes were split.
            outcome => {
                if self.fields > 0 && !self.start_line_is_checked {
                    (kind.check)(&buf[self.start_line..self.fields - 2], limits)?;
                    self.start_line_is_checked = true;
                }
                outcome
            }
        }
    }

    #[inline]
    fn search(
        &mut self,
        buf: &[u8],
        kind: StartLine,
        limits: &Limits,
    ) -> Result<Option<Layout>, HeadError> {
        let from = self.searched;
        for found in memchr_iter(b'\n', &buf[from..]) {
            let lf = from + found;
            let begin = self.line;
            self.searched = lf + 1;
            if self.fields > 0 {
                self.measure_fields(lf - usize::from(buf[lf - 1] == b'\r'), limits)?;
            } else if kind.may_follow_crlf && begin == 0 && buf.starts_with(b"\r\n") {
                self.start_line = 2;
                self.line = 2;
                continue;
            } else {
                (kind.measure)(&buf[begin..lf], limits)?;
            }
            if lf == begin || buf[lf - 1] != b'\r' {
                return Err(HeadError::BareLf);
            }
            self.line = lf + 1;
            if self.fields == 0 {
                self.fields = lf + 1;
            } else if lf == begin + 1 {
                return Ok(Some(Layout {
                    start_line: self.start_line,
                    fields: self.fields,
                    field_lines: self.field_lines,
                    len: lf + 1,
                }));
            } else {
                self.field_lines += 1;
                if self.field_lines > limits.fields {
                    return Err(HeadError::TooManyFields);
                }
            }
        }
        self.searched = buf.len();
        self.measure_incomplete_line(buf, kind, limits)?;
        Ok(None)
    }

    /// Holds the line that has no LF yet against the limits.
    fn measure_incomplete_line(
        &self,
        buf: &[u8],
        kind: StartLine,
        limits: &Limits,
    ) -> Result<(), HeadError> {
        let line = &buf[self.line..];
        if self.fields > 0 {
            return self.measure_fields(buf.len() - usize::from(line.ends_with(b"\r")), limits);
        }
        // From the line's beginning each time: it is short, and looking for a space is quick.
        (kind.measure)(line, limits)
    }

    /// Holds the fields up to `end`, which is within the current line, against the limits. Of two
    /// limits broken by one line, the one that was broken first is told. The empty line breaks none.
    #[inline]
    fn measure_fields(&self, end: usize, limits: &Limits) -> Result<(), HeadError> {
        let line_limit = self.line.saturating_add(limits.field_bytes);
        let all_limit = self.fields.saturating_add(limits.fields_bytes);
        if end > self.line && end > line_limit.min(all_limit) {
            return Err(if line_limit <= all_limit {
                HeadError::FieldTooLong
            } else {
                HeadError::FieldsTooLong
            });
        }
        Ok(())
    }
}
