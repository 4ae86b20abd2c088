//! Hit or miss, from what the answer says: Cache-Status (RFC 9211) and Age. Never from timing.

use netproto::http::cache_status;
use netproto::http::fields::Fields;

/// What an answer says of the caches on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheVerdict {
    /// A cache answered without asking further.
    Hit {
        /// Why that is believed, as the fields say it.
        because: String,
    },
    /// A cache had to ask further.
    Miss {
        /// Why that is believed, as the fields say it.
        because: String,
    },
    /// No cache made itself known.
    Unknown,
}

impl CacheVerdict {
    /// Reads the fields of an answer.
    pub fn of(fields: &Fields<'_, '_>) -> CacheVerdict {
        if let Some(verdict) = from_cache_status(&one_line(fields, "cache-status")) {
            return verdict;
        }
        // RFC 9111 §5.1: only a cache writes an Age field.
        let age = one_line(fields, "age");
        match age.parse::<u64>() {
            Ok(_) => CacheVerdict::Hit {
                because: format!("Age: {age}"),
            },
            Err(_) => CacheVerdict::Unknown,
        }
    }

    /// `HIT`, `MISS`, or `none` when no cache made itself known.
    pub fn word(&self) -> &'static str {
        match self {
            CacheVerdict::Hit { .. } => "HIT",
            CacheVerdict::Miss { .. } => "MISS",
            CacheVerdict::Unknown => "none",
        }
    }

    /// Why.
    pub fn because(&self) -> &str {
        match self {
            CacheVerdict::Hit { because } | CacheVerdict::Miss { because } => because,
            CacheVerdict::Unknown => "the answer has neither Cache-Status nor Age",
        }
    }
}

/// A hit at any of the caches on the way spared the server (RFC 9211 §2); `None` for what is not
/// such a list.
fn from_cache_status(value: &str) -> Option<CacheVerdict> {
    let caches = cache_status::parse(value.as_bytes()).filter(|caches| !caches.is_empty())?;
    let because = format!("Cache-Status: {value}");
    Some(if caches.iter().any(|cache| cache.hit) {
        CacheVerdict::Hit { because }
    } else {
        CacheVerdict::Miss { because }
    })
}

/// All field lines of this name as one (RFC 9110 §5.3). Not UTF-8, not either field: replaced.
fn one_line(fields: &Fields<'_, '_>, name: &str) -> String {
    let values: Vec<_> = fields.all(name).map(String::from_utf8_lossy).collect();
    values.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use netproto::http::Status;
    use netproto::http::fields::FieldSlots;
    use netproto::http::head::ResponseHead;
    use netproto::http::limits::Limits;
    use netproto::http::method::Method;

    fn word(fields: &str) -> &'static str {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        let mut slots = FieldSlots::new();
        let limits = Limits::DEFAULT;
        match ResponseHead::parse(head.as_bytes(), &mut slots, &limits, &Method::Get) {
            Ok(Status::Complete(head)) => CacheVerdict::of(&head.fields).word(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_verdict_is_what_the_fields_say() {
        // After the examples of RFC 9211, then what is like them and is not a hit.
        for (fields, expected) in [
            ("Cache-Status: ExampleCache; hit\r\n", "HIT"),
            ("Cache-Status: ExampleCache; hit; ttl=376\r\n", "HIT"),
            ("Cache-Status: ExampleCache; fwd=uri-miss\r\n", "MISS"),
            (
                "Cache-Status: ExampleCache; fwd=stale; fwd-status=304; collapsed\r\n",
                "MISS",
            ),
            (
                "Cache-Status: OriginCache; hit; ttl=1100, \"CDN Company Here\"; fwd=uri-miss\r\n",
                "HIT",
            ),
            (
                "Cache-Status: A; fwd=miss\r\nCache-Status: B; hit\r\n",
                "HIT",
            ),
            (
                "Cache-Status: \"a; hit\"; fwd=miss; detail=\"hit\"\r\n",
                "MISS",
            ),
            ("Cache-Status: ExampleCache; hit=?0\r\n", "MISS"),
            ("Age: 12\r\n", "HIT"),
            ("Cache-Status: ;;;\r\nAge: 3\r\n", "HIT"),
            ("Age: soon\r\n", "none"),
            ("", "none"),
        ] {
            assert_eq!(word(fields), expected, "{fields}");
        }
    }
}
