//! The Cache-Status field (RFC 9211): what each cache on the way did with the request.

use std::borrow::Cow;

use super::structured::{BareItem, Item, is_token, parse_list, write_string};

/// What one cache says of itself. Written by [`CacheStatus::write`], read by [`parse`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheStatus<'b> {
    /// The cache's name.
    pub cache: Cow<'b, str>,
    /// Answered from the store, without going forward (§2.1).
    pub hit: bool,
    /// Why the request went forward (§2.2); not beside `hit`.
    pub fwd: Option<Forwarded>,
    /// What the next hop answered (§2.3), if that is not the status sent.
    pub fwd_status: Option<u16>,
    /// The rest of the freshness lifetime in seconds (§2.4); negative when stale.
    pub ttl: Option<i64>,
    /// The response was stored (§2.5).
    pub stored: bool,
    /// The request waited for another one's answer (§2.6).
    pub collapsed: bool,
    /// The cache key (§2.7). Left out of the field if it is not printable ASCII.
    pub key: Option<Cow<'b, str>>,
    /// What the cache has to say beside (§2.8): a token, as a rule.
    pub detail: Option<Cow<'b, str>>,
}

/// Why a request went forward (RFC 9211 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarded {
    /// The cache was told not to handle it.
    Bypass,
    /// The method is not answered from a store.
    Method,
    /// Nothing is stored under this URI.
    UriMiss,
    /// What is stored is for other request fields.
    VaryMiss,
    /// Nothing is stored; the cache does not say more.
    Miss,
    /// What is stored is fresh; the request wanted it asked for.
    Request,
    /// What is stored is stale.
    Stale,
    /// Only a part is stored.
    Partial,
}

impl Forwarded {
    const ALL: [Forwarded; 8] = [
        Forwarded::Bypass,
        Forwarded::Method,
        Forwarded::UriMiss,
        Forwarded::VaryMiss,
        Forwarded::Miss,
        Forwarded::Request,
        Forwarded::Stale,
        Forwarded::Partial,
    ];

    /// Its token.
    pub fn as_str(self) -> &'static str {
        match self {
            Forwarded::Bypass => "bypass",
            Forwarded::Method => "method",
            Forwarded::UriMiss => "uri-miss",
            Forwarded::VaryMiss => "vary-miss",
            Forwarded::Miss => "miss",
            Forwarded::Request => "request",
            Forwarded::Stale => "stale",
            Forwarded::Partial => "partial",
        }
    }
}

impl CacheStatus<'_> {
    /// Appends this cache's member of the list. Texts that a structured field cannot hold are left
    /// out, so that the whole stays readable.
    pub fn write(&self, out: &mut Vec<u8>) {
        if !write_word(&self.cache, out) {
            out.extend_from_slice(b"cache");
        }
        if self.hit {
            out.extend_from_slice(b"; hit");
        }
        if let Some(fwd) = self.fwd {
            out.extend_from_slice(b"; fwd=");
            out.extend_from_slice(fwd.as_str().as_bytes());
        }
        if let Some(status) = self.fwd_status {
            out.extend_from_slice(b"; fwd-status=");
            out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
        }
        if let Some(ttl) = self.ttl {
            out.extend_from_slice(b"; ttl=");
            // §3.3.1 of RFC 9651: fifteen digits at most.
            let ttl = ttl.clamp(-999_999_999_999_999, 999_999_999_999_999);
            out.extend_from_slice(itoa::Buffer::new().format(ttl).as_bytes());
        }
        if self.stored {
            out.extend_from_slice(b"; stored");
        }
        if self.collapsed {
            out.extend_from_slice(b"; collapsed");
        }
        if let Some(key) = &self.key {
            let before = out.len();
            out.extend_from_slice(b"; key=");
            if write_string(key, out).is_none() {
                out.truncate(before);
            }
        }
        if let Some(detail) = &self.detail {
            let before = out.len();
            out.extend_from_slice(b"; detail=");
            if !write_word(detail, out) {
                out.truncate(before);
            }
        }
    }
}

/// What each cache on the way did, the one nearest the origin first. `None` if the value is not a
/// list of tokens and strings. Parameters that are unknown, or of another type than theirs, are
/// left out (RFC 9211 §2).
pub fn parse(value: &[u8]) -> Option<Vec<CacheStatus<'_>>> {
    parse_list(value)?.into_iter().map(from_item).collect()
}

fn from_item(item: Item<'_>) -> Option<CacheStatus<'_>> {
    let mut status = CacheStatus {
        cache: text(item.value)?,
        ..CacheStatus::default()
    };
    for (key, value) in item.parameters {
        match (key, value) {
            ("hit", BareItem::Boolean(hit)) => status.hit = hit,
            ("fwd", BareItem::Token(why)) => {
                status.fwd = Forwarded::ALL.into_iter().find(|fwd| fwd.as_str() == why);
            }
            ("fwd-status", BareItem::Integer(code)) => status.fwd_status = u16::try_from(code).ok(),
            ("ttl", BareItem::Integer(seconds)) => status.ttl = Some(seconds),
            ("stored", BareItem::Boolean(stored)) => status.stored = stored,
            ("collapsed", BareItem::Boolean(collapsed)) => status.collapsed = collapsed,
            ("key", BareItem::String(key)) => status.key = Some(key),
            ("detail", value) => status.detail = text(value),
            _ => {}
        }
    }
    Some(status)
}

fn text(value: BareItem<'_>) -> Option<Cow<'_, str>> {
    match value {
        BareItem::Token(text) => Some(Cow::Borrowed(text)),
        BareItem::String(text) => Some(text),
        BareItem::Integer(_) | BareItem::Decimal(_) | BareItem::Boolean(_) | BareItem::Other => {
            None
        }
    }
}

/// Appends `text` as a token if it is one, else as a string; says whether it could.
fn write_word(text: &str, out: &mut Vec<u8>) -> bool {
    if is_token(text) {
        out.extend_from_slice(text.as_bytes());
        return true;
    }
    write_string(text, out).is_some()
}
