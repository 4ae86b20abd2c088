//! Range requests (RFC 9110 §14): which bytes are asked for, and which are sent.

use std::fmt;

use smallvec::SmallVec;

use super::fields::Members;
use super::grammar::parse_digits;

/// More ranges than this in one request are not served as ranges: many small ones cost a server
/// far more than they cost who asks (RFC 9110 §17.15).
pub const MAX_RANGES: usize = 16;

/// Two parts with fewer bytes than this between them are sent as one: the gap costs no more than
/// the delimiter and the fields of another part (RFC 9110 §15.3.7.2).
const JOINED_GAP: u64 = 128;

/// A run of bytes of a representation. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte's offset.
    pub first: u64,
    /// The last byte's offset, which is not less than `first`.
    pub last: u64,
}

impl ByteRange {
    /// How many bytes it holds, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// Whether both overlap, or leave less than [`JOINED_GAP`] between them.
    fn is_near(&self, other: &ByteRange) -> bool {
        let reaches =
            |one: &ByteRange, two: &ByteRange| two.first <= one.last.saturating_add(JOINED_GAP);
        reaches(self, other) && reaches(other, self)
    }
}

/// What a Range field asks of a representation of known length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The field is to be ignored: another unit, not well formed, too many ranges.
    Whole,
    /// These parts, at least one, at most [`MAX_RANGES`]: in the order asked for, and none
    /// overlaps another or nearly touches it. What was asked for so is joined, and stands where
    /// the first of it was asked for.
    Parts(SmallVec<[ByteRange; 1]>),
    /// None of the ranges has a byte of it: 416, with [`ContentRange::Unsatisfied`].
    Unsatisfiable,
}

/// What the Range field `value` asks of a representation of `length` bytes. Whether the field
/// counts at all is for [`range_applies`](super::conditional::range_applies) to say.
pub fn select(value: &[u8], length: u64) -> Selection {
    let Some(specs) = parse(value) else {
        return Selection::Whole;
    };
    // RFC 9110 §14.1.2 calls a suffix of an empty representation satisfiable, but no
    // Content-Range can name it.
    if length == 0 && specs.iter().any(|spec| matches!(spec, Spec::Suffix(1..))) {
        return Selection::Whole;
    }
    let parts = joined(specs.iter().filter_map(|spec| spec.within(length)));
    if parts.is_empty() {
        Selection::Unsatisfiable
    } else {
        Selection::Parts(parts)
    }
}

/// The same bytes in as few parts as are worth sending. So a request can make nobody send a byte
/// twice, however its ranges overlap (RFC 9110 §14.2, §17.15).
fn joined(ranges: impl Iterator<Item = ByteRange>) -> SmallVec<[ByteRange; 1]> {
    let mut parts: SmallVec<[ByteRange; 1]> = SmallVec::new();
    for mut range in ranges {
        // A part that grows may come near to others.
        let mut place = parts.len();
        while let Some(near) = parts.iter().position(|part| part.is_near(&range)) {
            let part = parts.remove(near);
            range.first = range.first.min(part.first);
            range.last = range.last.max(part.last);
            place = place.min(near);
        }
        parts.insert(place, range);
    }
    parts
}

/// One member of a Range field.
#[derive(Debug, Clone, Copy)]
enum Spec {
    /// `first-last`, with an open end as the last byte there can be.
    Between(u64, u64),
    /// `-length`: the last so many bytes.
    Suffix(u64),
}

impl Spec {
    /// `int-range / suffix-range` of RFC 9110 §14.1.2.
    fn parse(member: &[u8]) -> Option<Spec> {
        let dash = member.iter().position(|&byte| byte == b'-')?;
        let (first, last) = (&member[..dash], &member[dash + 1..]);
        if first.is_empty() {
            return Some(Spec::Suffix(position(last)?));
        }
        let first = position(first)?;
        let last = if last.is_empty() {
            u64::MAX
        } else {
            position(last)?
        };
        (first <= last).then_some(Spec::Between(first, last))
    }

    /// The bytes it names of a representation of `length` bytes, if any.
    fn within(self, length: u64) -> Option<ByteRange> {
        let end = length.checked_sub(1)?;
        match self {
            Spec::Between(first, last) if first <= end => Some(ByteRange {
                first,
                last: last.min(end),
            }),
            Spec::Suffix(wanted) if wanted > 0 => Some(ByteRange {
                first: length.saturating_sub(wanted),
                last: end,
            }),
            Spec::Between(..) | Spec::Suffix(_) => None,
        }
    }
}

fn parse(value: &[u8]) -> Option<SmallVec<[Spec; 1]>> {
    let equals = value.iter().position(|&byte| byte == b'=')?;
    if !value[..equals].eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut specs = SmallVec::new();
    for member in Members::of(&value[equals + 1..]) {
        if specs.len() == MAX_RANGES {
            return None;
        }
        specs.push(Spec::parse(member)?);
    }
    (!specs.is_empty()).then_some(specs)
}

/// `1*DIGIT`; beyond 64 bits every position is equally far behind the end.
fn position(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(parse_digits(digits).unwrap_or(u64::MAX))
}

/// The Content-Range field (RFC 9110 §14.4). Its [`Display`](fmt::Display) is the field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentRange {
    /// `bytes first-last/length`: what a 206 carries.
    Part {
        /// The bytes carried.
        range: ByteRange,
        /// The whole representation's length, if known.
        complete: Option<u64>,
    },
    /// `bytes */length`: what a 416 says.
    Unsatisfied {
        /// The whole representation's length.
        complete: u64,
    },
}

impl ContentRange {
    /// The field's value taken apart. `None` for another unit, a range that ends before it begins
    /// or behind the complete length, and what is not well formed.
    pub fn parse(value: &[u8]) -> Option<ContentRange> {
        let space = value.iter().position(|&byte| byte == b' ')?;
        let (unit, rest) = (&value[..space], &value[space + 1..]);
        let slash = rest.iter().position(|&byte| byte == b'/')?;
        let (range, complete) = (&rest[..slash], &rest[slash + 1..]);
        if !unit.eq_ignore_ascii_case(b"bytes") {
            return None;
        }
        if range == b"*" {
            let complete = parse_digits(complete)?;
            return Some(ContentRange::Unsatisfied { complete });
        }
        let dash = range.iter().position(|&byte| byte == b'-')?;
        let range = ByteRange {
            first: parse_digits(&range[..dash])?,
            last: parse_digits(&range[dash + 1..])?,
        };
        let complete = match complete {
            b"*" => None,
            digits => Some(parse_digits(digits)?),
        };
        let is_valid =
            range.first <= range.last && complete.is_none_or(|complete| range.last < complete);
        is_valid.then_some(ContentRange::Part { range, complete })
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContentRange::Part { range, complete } => {
                write!(f, "bytes {}-{}/", range.first, range.last)?;
                match complete {
                    Some(complete) => write!(f, "{complete}"),
                    None => f.write_str("*"),
                }
            }
            ContentRange::Unsatisfied { complete } => write!(f, "bytes */{complete}"),
        }
    }
}
