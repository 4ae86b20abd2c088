//! Cache-Control (RFC 9111 §5.2) with the extensions of RFC 5861 and RFC 8246, read as a careful
//! cache reads it: what is wrong about freshness makes stale, what is wrong about a restriction
//! restricts, and what is unknown is ignored. CDN-Cache-Control (RFC 9213) says the same to caches
//! that stand before an origin, and comes before it.

use std::borrow::Cow;

use super::fields::{Fields, Members};
use super::grammar::{is_blank, parse_digits, trim_blanks};
use super::structured::{BareItem, parse_dictionary};

/// Delta-seconds that cannot be held count as this (RFC 9111 §1.2.2).
const MAX_DELTA_SECONDS: u64 = 1 << 31;

/// The value of a directive that carries delta-seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Delta {
    /// The directive is not there.
    #[default]
    Absent,
    /// Seconds, at most 2³¹.
    Seconds(u64),
    /// Not a number, or given more than once: a response is stale, a request gets nothing stored.
    Invalid,
}

impl Delta {
    /// The seconds, if there is a valid number.
    pub fn seconds(self) -> Option<u64> {
        match self {
            Delta::Seconds(seconds) => Some(seconds),
            Delta::Absent | Delta::Invalid => None,
        }
    }

    /// Whether the directive is there, valid or not.
    pub fn is_present(self) -> bool {
        self != Delta::Absent
    }

    fn add(&mut self, directive: &Directive<'_>) {
        *self = match (*self, directive.delta_seconds()) {
            (Delta::Absent, Some(seconds)) => Delta::Seconds(seconds),
            _ => Delta::Invalid,
        };
    }

    fn of_item(item: &BareItem<'_>) -> Delta {
        match item {
            BareItem::Integer(seconds @ 0..) => {
                Delta::Seconds(seconds.unsigned_abs().min(MAX_DELTA_SECONDS))
            }
            _ => Delta::Invalid,
        }
    }
}

/// A restriction that may be limited to some fields: `no-cache`, `private`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope<'b> {
    /// The directive is not there.
    #[default]
    Absent,
    /// It concerns the fields in this list, which [`Scope::field_names`] divides.
    Fields(&'b [u8]),
    /// It concerns the whole response.
    Whole,
}

impl<'b> Scope<'b> {
    /// The names of the fields concerned; none unless [`Scope::Fields`].
    pub fn field_names(self) -> impl Iterator<Item = &'b [u8]> {
        Members::of(match self {
            Scope::Fields(list) => list,
            Scope::Absent | Scope::Whole => b"",
        })
    }

    fn add(&mut self, directive: &Directive<'b>) {
        *self = match (*self, directive.unquoted()) {
            // Two lists would need room; an escape has no place in a field name. Both mean: all.
            (Scope::Absent, Some(list)) if !list.is_empty() && !list.contains(&b'\\') => {
                Scope::Fields(list)
            }
            _ => Scope::Whole,
        };
    }

    fn of_item(item: &BareItem<'b>) -> Scope<'b> {
        match item {
            BareItem::Boolean(false) => Scope::Absent,
            BareItem::String(Cow::Borrowed(list)) if !list.is_empty() => {
                Scope::Fields(list.as_bytes())
            }
            _ => Scope::Whole,
        }
    }
}

/// What a response says (RFC 9111 §5.2.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each directive is there or not, independent of the others"
)]
pub struct ResponseDirectives<'b> {
    /// Never stored.
    pub no_store: bool,
    /// Not reused without asking the origin.
    pub no_cache: Scope<'b>,
    /// Not stored by a shared cache.
    pub private: Scope<'b>,
    /// Stored even where that would not be usual.
    pub public: bool,
    /// Once stale, not reused without asking the origin.
    pub must_revalidate: bool,
    /// The same, for shared caches.
    pub proxy_revalidate: bool,
    /// Stored only if its status is understood; then no-store does not count.
    pub must_understand: bool,
    /// The content is not to be changed on the way.
    pub no_transform: bool,
    /// Does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// How long it is fresh.
    pub max_age: Delta,
    /// The same, for shared caches, where it comes before `max_age` and Expires.
    pub s_maxage: Delta,
    /// How long it may be sent stale while it is asked for anew (RFC 5861 §3).
    pub stale_while_revalidate: Delta,
    /// How long it may be sent stale when the origin fails (RFC 5861 §4).
    pub stale_if_error: Delta,
    /// They stand in CDN-Cache-Control: neither Cache-Control nor Expires counts (RFC 9213 §2.1).
    pub is_targeted: bool,
}

impl<'b> ResponseDirectives<'b> {
    /// The directives that a response with these fields has for a cache before its origin: those of
    /// CDN-Cache-Control if that is a dictionary and not empty, else those of Cache-Control.
    pub fn of(fields: &Fields<'_, 'b>) -> ResponseDirectives<'b> {
        ResponseDirectives::targeted(fields.all("cdn-cache-control"))
            .unwrap_or_else(|| ResponseDirectives::parse(fields.all("cache-control")))
    }

    /// The directives in the values of all lines of a targeted field (RFC 9213 §2.1): a dictionary
    /// whose keys are in lower case, of members with one key the last. `None` if it is empty or
    /// cannot be parsed: then it does not count.
    pub fn targeted(values: impl Iterator<Item = &'b [u8]>) -> Option<ResponseDirectives<'b>> {
        let mut found = ResponseDirectives {
            is_targeted: true,
            ..ResponseDirectives::default()
        };
        let mut is_empty = true;
        for value in values {
            for (name, item) in parse_dictionary(value)? {
                is_empty = false;
                // What restricts does so with a value of a wrong type, too; what allows does not.
                let is_set = item.value != BareItem::Boolean(false);
                let is_true = item.value == BareItem::Boolean(true);
                match name {
                    "no-store" => found.no_store = is_set,
                    "no-cache" => found.no_cache = Scope::of_item(&item.value),
                    "private" => found.private = Scope::of_item(&item.value),
                    "public" => found.public = is_true,
                    "must-revalidate" => found.must_revalidate = is_set,
                    "proxy-revalidate" => found.proxy_revalidate = is_set,
                    "must-understand" => found.must_understand = is_true,
                    "no-transform" => found.no_transform = is_set,
                    "immutable" => found.immutable = is_true,
                    "max-age" => found.max_age = Delta::of_item(&item.value),
                    "s-maxage" => found.s_maxage = Delta::of_item(&item.value),
                    "stale-while-revalidate" => {
                        found.stale_while_revalidate = Delta::of_item(&item.value);
                    }
                    "stale-if-error" => found.stale_if_error = Delta::of_item(&item.value),
                    _ => {}
                }
            }
        }
        (!is_empty).then_some(found)
    }

    /// The directives in the values of all Cache-Control lines.
    pub fn parse(values: impl Iterator<Item = &'b [u8]>) -> ResponseDirectives<'b> {
        let mut found = ResponseDirectives::default();
        for directive in directives(values) {
            match directive.name.to_ascii_lowercase().as_slice() {
                b"no-store" => found.no_store = true,
                b"no-cache" => found.no_cache.add(&directive),
                b"private" => found.private.add(&directive),
                b"public" => found.public = true,
                b"must-revalidate" => found.must_revalidate = true,
                b"proxy-revalidate" => found.proxy_revalidate = true,
                b"must-understand" => found.must_understand = true,
                b"no-transform" => found.no_transform = true,
                b"immutable" => found.immutable = true,
                b"max-age" => found.max_age.add(&directive),
                b"s-maxage" => found.s_maxage.add(&directive),
                b"stale-while-revalidate" => found.stale_while_revalidate.add(&directive),
                b"stale-if-error" => found.stale_if_error.add(&directive),
                _ => {}
            }
        }
        found
    }
}

/// How stale a response a request takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MaxStale {
    /// Not at all, or the directive is wrong.
    #[default]
    Fresh,
    /// By at most so many seconds.
    By(u64),
    /// By any time.
    Any,
}

/// What a request says (RFC 9111 §5.2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each directive is there or not, independent of the others"
)]
pub struct RequestDirectives {
    /// Neither request nor answer is stored.
    pub no_store: bool,
    /// Nothing stored without asking the origin.
    pub no_cache: bool,
    /// Only what is stored; else 504.
    pub only_if_cached: bool,
    /// The content is not to be changed on the way.
    pub no_transform: bool,
    /// Nothing older.
    pub max_age: Delta,
    /// Nothing that is not fresh for so long yet.
    pub min_fresh: Delta,
    /// What is stale, too.
    pub max_stale: MaxStale,
    /// What is stale, too, when the origin fails (RFC 5861 §4).
    pub stale_if_error: Delta,
}

impl RequestDirectives {
    /// The directives in the values of all Cache-Control lines.
    pub fn parse<'b>(values: impl Iterator<Item = &'b [u8]>) -> RequestDirectives {
        let mut found = RequestDirectives::default();
        let mut max_stale = Delta::Absent;
        for directive in directives(values) {
            match directive.name.to_ascii_lowercase().as_slice() {
                b"no-store" => found.no_store = true,
                b"no-cache" => found.no_cache = true,
                b"only-if-cached" => found.only_if_cached = true,
                b"no-transform" => found.no_transform = true,
                b"max-age" => found.max_age.add(&directive),
                b"min-fresh" => found.min_fresh.add(&directive),
                b"stale-if-error" => found.stale_if_error.add(&directive),
                b"max-stale" if directive.argument.is_none() && !max_stale.is_present() => {
                    found.max_stale = MaxStale::Any;
                    max_stale = Delta::Invalid;
                }
                b"max-stale" => {
                    max_stale.add(&directive);
                    found.max_stale = max_stale.seconds().map_or(MaxStale::Fresh, MaxStale::By);
                }
                _ => {}
            }
        }
        found
    }
}

/// One `token [ "=" ( token / quoted-string ) ]`.
struct Directive<'b> {
    name: &'b [u8],
    argument: Option<&'b [u8]>,
}

impl<'b> Directive<'b> {
    /// The argument without its quotes; escapes stay. `None` without an argument, and for one
    /// that begins with a quote and does not end with it.
    fn unquoted(&self) -> Option<&'b [u8]> {
        let argument = self.argument?;
        match argument.strip_prefix(b"\"") {
            Some(rest) => rest.strip_suffix(b"\""),
            None => Some(argument),
        }
    }

    fn delta_seconds(&self) -> Option<u64> {
        let digits = self.unquoted()?;
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let seconds = parse_digits(digits).unwrap_or(MAX_DELTA_SECONDS);
        Some(seconds.min(MAX_DELTA_SECONDS))
    }
}

fn directives<'b>(values: impl Iterator<Item = &'b [u8]>) -> impl Iterator<Item = Directive<'b>> {
    values.flat_map(Members::of).map(|member| {
        let Some(equals) = member.iter().position(|&byte| byte == b'=') else {
            return Directive {
                name: member,
                argument: None,
            };
        };
        let (name, argument) = (&member[..equals], &member[equals + 1..]);
        // No blank belongs beside the equals sign. The directive is known all the same, its
        // argument is not.
        let is_tight = !name.last().is_some_and(|&byte| is_blank(byte));
        Directive {
            name: trim_blanks(name),
            argument: Some(if is_tight { argument } else { b"" }),
        }
    })
}
