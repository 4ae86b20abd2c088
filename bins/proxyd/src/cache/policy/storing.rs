//! Whether a response may be stored by a shared cache (RFC 9111 §3).

use std::time::Duration;

use netproto::http::cache_control::{Delta, ResponseDirectives, Scope};
use netproto::http::fields::Fields;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;

use super::demands::Demands;
use super::freshness::{Freshness, Ground, Journey, is_heuristically_cacheable};
use super::partial::Part;
use super::selecting;

/// Answers to the range or the condition of one request, which are not in the key: 304, 412, 416.
const OF_ONE_REQUEST: [u16; 3] = [304, 412, 416];
/// Statuses that mean nothing special to a cache, so that they are understood (RFC 9111
/// §5.2.2.3).
const UNDERSTOOD: [u16; 28] = [
    200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 406,
    409, 410, 414, 421, 451, 500, 501, 502, 503,
];

/// What of a stored response decides when it may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// How old it is and may become.
    pub freshness: Freshness,
    /// Never used without asking the origin.
    pub no_cache: bool,
    /// Once stale, not used without asking the origin, whatever a request says.
    pub must_revalidate: bool,
    /// Does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// How long it may be sent stale while it is asked for anew (RFC 5861 §3).
    pub stale_while_revalidate: Duration,
    /// How long it may be sent stale when the origin fails (RFC 5861 §4).
    pub stale_if_error: Duration,
}

impl Validity {
    /// That of a response with this freshness and these directives.
    pub fn of(freshness: Freshness, directives: &ResponseDirectives<'_>) -> Validity {
        let seconds = |delta: Delta| Duration::from_secs(delta.seconds().unwrap_or(0));
        Validity {
            freshness,
            no_cache: directives.no_cache == Scope::Whole,
            // RFC 9111 §5.2.2.10: s-maxage says proxy-revalidate too.
            must_revalidate: directives.must_revalidate
                || directives.proxy_revalidate
                || directives.s_maxage.is_present(),
            immutable: directives.immutable,
            stale_while_revalidate: seconds(directives.stale_while_revalidate),
            stale_if_error: seconds(directives.stale_if_error),
        }
    }
}

/// Why a response is not stored. Told in Cache-Status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The request was neither GET nor HEAD, or had a body.
    Method,
    /// The request said no-store.
    RequestNoStore,
    /// Only the origin could answer the request, see [`Demands::needs_origin`].
    NeedsOrigin,
    /// An interim answer, or one to the range or the condition of this request.
    Status,
    /// A part that cannot be held beside others of the same, see [`Part::of`].
    Partial,
    /// The response says no-store.
    NoStore,
    /// The response says private.
    Private,
    /// must-understand, and the status is not one of those.
    NotUnderstood,
    /// RFC 9111 §3.5.
    Authorization,
    /// The response depends on what no later request can be held against.
    Vary,
    /// Its end cannot be told from a cut.
    OpenEnded,
    /// Neither explicit freshness nor a validator: it could never be used.
    NoFreshness,
    /// Larger than the store takes.
    TooLarge,
    /// Other bodies have taken the memory that there is for those that come in.
    NoRoom,
    /// Made invalid (RFC 9111 §4.4) while the origin was asked.
    Invalidated,
}

impl Refusal {
    /// Whether the next answer is likely to be refused as well.
    pub fn lasts(self) -> bool {
        !matches!(
            self,
            Refusal::Method | Refusal::NoRoom | Refusal::Invalidated
        )
    }

    /// Its name in Cache-Status: a token.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::Method => "method",
            Refusal::RequestNoStore => "request-no-store",
            Refusal::NeedsOrigin => "needs-origin",
            Refusal::Status => "status",
            Refusal::Partial => "partial",
            Refusal::NoStore => "no-store",
            Refusal::Private => "private",
            Refusal::NotUnderstood => "must-understand",
            Refusal::Authorization => "authorization",
            Refusal::Vary => "vary",
            Refusal::OpenEnded => "open-ended",
            Refusal::NoFreshness => "no-freshness",
            Refusal::TooLarge => "too-large",
            Refusal::NoRoom => "no-room",
            Refusal::Invalidated => "invalidated",
        }
    }
}

/// Whether the answer to a request with these demands may be stored, and when it may then be used.
pub fn judge(
    demands: &Demands,
    status: StatusCode,
    fields: &Fields<'_, '_>,
    journey: &Journey,
) -> Result<Validity, Refusal> {
    if !demands.reads {
        return Err(Refusal::Method);
    }
    if demands.needs_origin {
        return Err(Refusal::NeedsOrigin);
    }
    if demands.directives.no_store {
        return Err(Refusal::RequestNoStore);
    }
    if status.is_informational() || OF_ONE_REQUEST.contains(&status.as_u16()) {
        return Err(Refusal::Status);
    }
    if status == StatusCode::PARTIAL_CONTENT
        && Part::of(demands, fields, journey.response_unix).is_none()
    {
        return Err(Refusal::Partial);
    }
    let directives = ResponseDirectives::of(fields);
    if directives.must_understand && !UNDERSTOOD.contains(&status.as_u16()) {
        return Err(Refusal::NotUnderstood);
    }
    // RFC 9111 §5.2.2.3: who obeys must-understand ignores no-store beside it.
    if directives.no_store && !directives.must_understand {
        return Err(Refusal::NoStore);
    }
    if directives.private == Scope::Whole {
        return Err(Refusal::Private);
    }
    if demands.has_authorization && !allows_authorized(&directives) {
        return Err(Refusal::Authorization);
    }
    if selecting::is_unpredictable(fields) {
        return Err(Refusal::Vary);
    }
    let freshness = Freshness::of(status, fields, &directives, journey);
    // A cookie is one client's own. Who gives a response with one a lifetime has said that it is
    // for all; a validator says nothing of the kind.
    let is_by_default = directives.public || is_heuristically_cacheable(status);
    let may_be_validated =
        is_by_default && has_validator(fields) && fields.first("set-cookie").is_none();
    if !freshness.began_fresh() && !may_be_validated {
        return Err(Refusal::NoFreshness);
    }
    Ok(Validity::of(freshness, &directives))
}

/// The same for the answer to a POST that says, by a Content-Location that names its target, that it
/// is what a GET would be answered: it needs explicit freshness (RFC 9110 §9.3.3).
pub fn judge_post(
    demands: &Demands,
    status: StatusCode,
    fields: &Fields<'_, '_>,
    journey: &Journey,
) -> Result<Validity, Refusal> {
    let demands = Demands {
        reads: true,
        ..*demands
    };
    let validity = judge(&demands, status, fields, journey)?;
    let freshness = &validity.freshness;
    if freshness.ground() != Ground::Explicit || !freshness.began_fresh() {
        return Err(Refusal::NoFreshness);
    }
    Ok(validity)
}

/// RFC 9111 §3.5.
fn allows_authorized(directives: &ResponseDirectives<'_>) -> bool {
    directives.public || directives.must_revalidate || directives.s_maxage.is_present()
}

fn has_validator(fields: &Fields<'_, '_>) -> bool {
    fields.first("etag").is_some() || fields.first("last-modified").is_some()
}

/// Whether a field of a response is left out of what is stored: `private="name"` (RFC 9111
/// §5.2.2.7), and `no-cache="name"` (§5.2.2.4), which could not be used without the origin.
pub fn is_withheld(directives: &ResponseDirectives<'_>, name: &str) -> bool {
    let names = |scope: Scope<'_>| {
        scope
            .field_names()
            .any(|field| field.eq_ignore_ascii_case(name.as_bytes()))
    };
    names(directives.private) || names(directives.no_cache)
}

/// Whether an answer to `method` makes what is stored under its target invalid (RFC 9111 §4.4).
pub fn invalidates(method: &Method<'_>, status: StatusCode) -> bool {
    !method.is_safe() && matches!(status.as_u16(), 200..=399)
}
