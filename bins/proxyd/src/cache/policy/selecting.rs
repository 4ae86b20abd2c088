//! For which requests a stored response stands: the request fields that its Vary names, with the
//! values they had (RFC 9111 §4.1).

use netproto::http::fields::{Fields, Members};
use smallvec::SmallVec;

/// Fields that the proxy writes itself when it goes forward: what a client sends in them does not
/// reach the origin, so two requests cannot be held against each other by them.
const WRITTEN_HERE: [&str; 5] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// Whether no later request can be held against a response with these fields: Vary has a `*`, or
/// names what the proxy writes itself.
pub fn is_unpredictable(response: &Fields<'_, '_>) -> bool {
    response.members("vary").any(|name| {
        name == b"*"
            || WRITTEN_HERE
                .iter()
                .any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
    })
}

/// The selecting fields of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selecting {
    /// By name: lower case, in order, each once.
    fields: Box<[(Box<str>, Option<Value>)]>,
}

/// A field's value in one spelling: all lines in one list, its members parted by a comma.
type Value = SmallVec<[u8; 64]>;

impl Selecting {
    /// What a response with these fields selects by, and what `request` says of it.
    pub fn of(response: &Fields<'_, '_>, request: &Fields<'_, '_>) -> Selecting {
        let mut names: Vec<Box<str>> = response
            .members("vary")
            .map(|name| String::from_utf8_lossy(name).to_ascii_lowercase().into())
            .collect();
        names.sort_unstable();
        names.dedup();
        let with_value = |name: Box<str>| {
            let value = normalised(request, &name);
            (name, value)
        };
        Selecting {
            fields: names.into_iter().map(with_value).collect(),
        }
    }

    /// Whether `request` is one that the response stands for.
    pub fn matches(&self, request: &Fields<'_, '_>) -> bool {
        self.fields
            .iter()
            .all(|(name, value)| normalised(request, name) == *value)
    }

    /// The memory that it takes beside its own size.
    pub fn bytes(&self) -> u64 {
        let of = |(name, value): &(Box<str>, Option<Value>)| {
            let on_heap = value.as_ref().filter(|value| value.spilled());
            name.len() + on_heap.map_or(0, SmallVec::capacity)
        };
        let each = size_of::<(Box<str>, Option<Value>)>();
        (self.fields.iter().map(of).sum::<usize>() + self.fields.len() * each) as u64
    }
}

/// `None` if the field is not there: that is another request than one where it is empty.
fn normalised(request: &Fields<'_, '_>, name: &str) -> Option<Value> {
    let mut lines = request.all(name).peekable();
    lines.peek()?;
    let mut value = Value::new();
    for member in lines.flat_map(Members::of) {
        if !value.is_empty() {
            value.push(b',');
        }
        value.extend_from_slice(member);
    }
    Some(value)
}
