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
/// Fields whose members are weighed by their q alone: neither their order nor their case tells two
/// requests apart (RFC 9110 §12.5).
const WEIGHED: [&str; 3] = ["accept-charset", "accept-encoding", ACCEPT_LANGUAGE];
const ACCEPT_LANGUAGE: &str = "accept-language";

/// How many fields a response may select by: each is looked for in every request for it.
pub const MOST_NAMES: usize = 32;
/// Of a weighed field with more members than this, order and case count: sorting them would take
/// longer than receiving them.
pub const MOST_WEIGHED: usize = 64;

/// Whether no later request can be held against a response with these fields: Vary has a `*`, names
/// what the proxy writes itself, or names too much.
pub fn is_unpredictable(response: &Fields<'_, '_>) -> bool {
    let has_too_many = response.members("vary").nth(MOST_NAMES).is_some();
    has_too_many
        || response.members("vary").any(|name| {
            name == b"*"
                || WRITTEN_HERE
                    .iter()
                    .any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
        })
}

/// The selecting fields of one request.
#[derive(Debug, Clone, Default)]
pub struct Selecting {
    /// By name, in order, each once.
    fields: Box<[Selected]>,
    /// The language that the response is in, if it is selected by language and in one.
    language: Option<Box<str>>,
}

#[derive(Debug, Clone)]
struct Selected {
    /// In lower case.
    name: Box<str>,
    /// As it was sent, if that was in one line.
    sent: Option<Box<[u8]>>,
    /// `None` if it was not there: that is another request than one where it is empty.
    value: Option<Value>,
}

/// A field's value in one spelling: all lines in one list, its members parted by a comma.
type Value = SmallVec<[u8; 64]>;

impl Selecting {
    /// What a response with these fields selects by, and what `request` says of it.
    pub fn of(response: &Fields<'_, '_>, request: &Fields<'_, '_>) -> Selecting {
        let names = names(response);
        let is_by_language = names.iter().any(|name| &**name == ACCEPT_LANGUAGE);
        let mut languages = response.members("content-language");
        let language = match (languages.next(), languages.next()) {
            (Some(only), None) if is_by_language => Some(lower_case(only)),
            _ => None,
        };
        Selecting {
            fields: names
                .into_iter()
                .map(|name| Selected::of(name, request))
                .collect(),
            language,
        }
    }

    /// What another request says of the same fields.
    #[must_use]
    pub fn of_another(&self, request: &Fields<'_, '_>) -> Selecting {
        let names = self.fields.iter().map(|field| field.name.clone());
        Selecting {
            fields: names.map(|name| Selected::of(name, request)).collect(),
            language: None,
        }
    }

    /// The fields and their values in one run of bytes: two that are the same have the same.
    pub fn fingerprint(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in &self.fields {
            bytes.extend_from_slice(field.name.as_bytes());
            bytes.push(b'\n');
            if let Some(value) = &field.value {
                bytes.push(b'=');
                bytes.extend_from_slice(value);
            }
            bytes.push(b'\n');
        }
        bytes
    }

    /// Whether both have the same values in the same fields.
    pub fn is_same(&self, other: &Selecting) -> bool {
        let same = |(one, other): (&Selected, &Selected)| {
            one.name == other.name && one.value == other.value
        };
        self.fields.len() == other.fields.len() && self.fields.iter().zip(&other.fields).all(same)
    }

    /// Whether a response with these fields selects by the same fields.
    pub fn is_selected_alike(&self, response: &Fields<'_, '_>) -> bool {
        let own = self.fields.iter().map(|field| &*field.name);
        own.eq(names(response).iter().map(|name| &**name))
    }

    /// Whether `request` is one that the response stands for.
    pub fn matches(&self, request: &Fields<'_, '_>) -> bool {
        self.fields.iter().all(|field| {
            field.is_sent_in(request)
                || normalised(request, &field.name) == field.value
                || (&*field.name == ACCEPT_LANGUAGE && self.is_wanted_by(request))
        })
    }

    /// Whether the request wants the language that the response is in, and none as much: then the
    /// origin's choice is known, whatever else the two requests would take.
    fn is_wanted_by(&self, request: &Fields<'_, '_>) -> bool {
        let Some(language) = &self.language else {
            return false;
        };
        let mut best = (0, None, false);
        for (name, weight) in request.members(ACCEPT_LANGUAGE).map(weighed) {
            if weight > best.0 {
                best = (weight, Some(name), false);
            } else if weight == best.0 {
                best.2 = true;
            }
        }
        let (_, name, is_shared) = best;
        !is_shared && name.is_some_and(|name| name.eq_ignore_ascii_case(language.as_bytes()))
    }

    /// The fields and their values, as a person reads them.
    pub fn shown(&self) -> Vec<(String, Option<String>)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shown = |field: &Selected| {
            let value = field.sent.as_deref().or(field.value.as_deref());
            (field.name.to_string(), value.map(text))
        };
        self.fields.iter().map(shown).collect()
    }

    /// The memory that it takes beside its own size.
    pub fn bytes(&self) -> u64 {
        let of = |field: &Selected| {
            let on_heap = field.value.as_ref().filter(|value| value.spilled());
            let sent = field.sent.as_ref().map_or(0, |sent| sent.len());
            size_of::<Selected>() + field.name.len() + sent + on_heap.map_or(0, SmallVec::capacity)
        };
        let language = self.language.as_ref().map_or(0, |language| language.len());
        (self.fields.iter().map(of).sum::<usize>() + language) as u64
    }
}

impl Selected {
    fn of(name: Box<str>, request: &Fields<'_, '_>) -> Selected {
        let (first, more) = {
            let mut lines = request.all(&name);
            (lines.next(), lines.next())
        };
        Selected {
            sent: first.filter(|_| more.is_none()).map(Box::from),
            value: normalised(request, &name),
            name,
        }
    }

    /// Whether the request has the field in the very spelling that is stored, or as little: most
    /// have, and need not be put into one spelling to be told.
    fn is_sent_in(&self, request: &Fields<'_, '_>) -> bool {
        let mut lines = request.all(&self.name);
        match (lines.next(), &self.sent) {
            (Some(line), Some(sent)) => *line == **sent && lines.next().is_none(),
            (None, None) => self.value.is_none(),
            _ => false,
        }
    }
}

/// What Vary names: in lower case, in order, each once.
fn names(response: &Fields<'_, '_>) -> Vec<Box<str>> {
    let mut names: Vec<Box<str>> = response.members("vary").map(lower_case).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn lower_case(text: &[u8]) -> Box<str> {
    String::from_utf8_lossy(text).to_ascii_lowercase().into()
}

/// The value in one spelling; `None` if the field is not there.
fn normalised(request: &Fields<'_, '_>, name: &str) -> Option<Value> {
    let mut lines = request.all(name).peekable();
    lines.peek()?;
    let members = lines.flat_map(Members::of);
    let is_weighed = WEIGHED.contains(&name) && request.members(name).nth(MOST_WEIGHED).is_none();
    if !is_weighed {
        return Some(joined(members));
    }
    let mut weighed: SmallVec<[Value; 8]> = members.map(spelled).collect();
    weighed.sort_unstable();
    weighed.dedup();
    Some(joined(weighed.iter().map(SmallVec::as_slice)))
}

fn joined<'m>(members: impl Iterator<Item = &'m [u8]>) -> Value {
    let mut value = Value::new();
    for member in members {
        if !value.is_empty() {
            value.push(b',');
        }
        value.extend_from_slice(member);
    }
    value
}

/// A weighed member in one spelling: lower case, with its weight in thousandths unless that is 1.
fn spelled(member: &[u8]) -> Value {
    let (name, weight) = weighed(member);
    let mut value = Value::from_slice(name);
    value.make_ascii_lowercase();
    if weight != FULL_WEIGHT {
        // What no field holds, so that no name looks like a name and its weight.
        value.push(0);
        value.extend_from_slice(itoa::Buffer::new().format(weight).as_bytes());
    }
    value
}

/// The weight of 1, in thousandths.
const FULL_WEIGHT: u16 = 1000;

/// A member without its weight, and its weight (RFC 9110 §12.4.2). What is no weight belongs to the
/// name, so that it is like nothing but itself.
fn weighed(member: &[u8]) -> (&[u8], u16) {
    let parted = member
        .iter()
        .rposition(|&byte| byte == b';')
        .and_then(|semicolon| {
            let parameter = member[semicolon + 1..].trim_ascii();
            let digits = parameter
                .strip_prefix(b"q=")
                .or_else(|| parameter.strip_prefix(b"Q="))?;
            Some((member[..semicolon].trim_ascii(), qvalue(digits)?))
        });
    parted.unwrap_or((member, FULL_WEIGHT))
}

/// `0`, `0.5`, `1.000`: at most three places.
fn qvalue(digits: &[u8]) -> Option<u16> {
    let (whole, places) = match digits {
        [whole] => (whole, &b""[..]),
        [whole, b'.', places @ ..] if places.len() <= 3 => (whole, places),
        _ => return None,
    };
    let mut value = match whole {
        b'0' => 0,
        b'1' => 1,
        _ => return None,
    };
    for place in 0..3 {
        let digit = places.get(place).copied().unwrap_or(b'0');
        value = value * 10 + u16::from(digit.is_ascii_digit().then_some(digit - b'0')?);
    }
    (value <= FULL_WEIGHT).then_some(value)
}
