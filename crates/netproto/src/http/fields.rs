//! The field section of a head: borrowed, in the order it was sent.

use httparse::Header;

use super::grammar::trim_blanks;

/// How many fields a head may have before its parse needs the heap. Browsers send about fifteen.
pub(super) const SLOTS_ON_STACK: usize = 24;

/// Room for the fields of one head, kept on the caller's stack.
#[derive(Debug)]
pub struct FieldSlots<'b> {
    few: [Header<'b>; SLOTS_ON_STACK],
    /// Instead, when a head has more.
    many: Vec<Header<'b>>,
}

impl Default for FieldSlots<'_> {
    fn default() -> Self {
        FieldSlots::new()
    }
}

impl<'b> FieldSlots<'b> {
    /// Empty slots.
    #[inline]
    pub const fn new() -> FieldSlots<'b> {
        FieldSlots {
            few: [httparse::EMPTY_HEADER; SLOTS_ON_STACK],
            many: Vec::new(),
        }
    }

    /// Exactly `count` slots, to be filled from the first on.
    #[inline]
    pub(crate) fn reset(&mut self, count: usize) -> &mut [Header<'b>] {
        if count <= SLOTS_ON_STACK {
            self.many.clear();
            return &mut self.few[..count];
        }
        self.many.resize(count, httparse::EMPTY_HEADER);
        &mut self.many
    }

    /// The first `count` slots, which hold the fields of a head.
    #[inline]
    pub(crate) fn filled(&self, count: usize) -> Fields<'_, 'b> {
        let slots = if self.many.is_empty() {
            &self.few[..]
        } else {
            &self.many
        };
        Fields {
            list: &slots[..count],
        }
    }
}

/// The fields of a head. Names compare without regard to case; values are as sent, without the
/// blanks around them, and may hold bytes above 0x7f.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'h, 'b> {
    list: &'h [Header<'b>],
}

impl<'h, 'b> Fields<'h, 'b> {
    /// No fields.
    pub fn none() -> Fields<'static, 'static> {
        Fields { list: &[] }
    }

    /// How many field lines there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Every field line, as name and value, in the order sent.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + use<'h, 'b> {
        self.list.iter().map(|field| (field.name, field.value))
    }

    /// The value of the first field line called `name`.
    pub fn first(&self, name: &str) -> Option<&'b [u8]> {
        self.iter()
            .find(|(sent, _)| sent.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The values of all field lines called `name`, in the order sent.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'b [u8]> + use<'h, 'b, 'n> {
        self.iter()
            .filter(move |(sent, _)| sent.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The members of the comma-separated list that the field lines called `name` make together
    /// (RFC 9110 §5.6.1): trimmed, empty ones left out. A comma inside a quoted string does not
    /// divide.
    pub fn members<'n>(&self, name: &'n str) -> impl Iterator<Item = &'b [u8]> + use<'h, 'b, 'n> {
        self.all(name).flat_map(Members::of)
    }

    /// Whether a member of the list `name` is `token`, in any case.
    pub fn has_member(&self, name: &str, token: &str) -> bool {
        self.members(name)
            .any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
    }
}

/// The members of one comma-separated field value; see [`Fields::members`].
#[derive(Debug, Clone)]
pub struct Members<'b> {
    rest: &'b [u8],
}

impl<'b> Members<'b> {
    /// The members of `value`.
    pub fn of(value: &'b [u8]) -> Members<'b> {
        Members { rest: value }
    }
}

impl<'b> Iterator for Members<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        while !self.rest.is_empty() {
            let end = member_end(self.rest);
            let member = trim_blanks(&self.rest[..end]);
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    }
}

/// Where the first comma outside a quoted string stands; the whole length without one.
fn member_end(value: &[u8]) -> usize {
    let mut quoted = false;
    let mut at = 0;
    while at < value.len() {
        match value[at] {
            b'"' => quoted = !quoted,
            // A quoted-pair: the next byte is neither a quote nor a comma (RFC 9110 §5.6.4).
            b'\\' if quoted => at += 1,
            b',' if !quoted => return at,
            _ => {}
        }
        at += 1;
    }
    value.len()
}
