//! Whether a response may be stored by a shared cache (RFC 9111 §3).

use netproto::http::cache_control::{ResponseDirectives, Scope};
use netproto::http::fields::Fields;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;

use super::demands::Demands;
use super::freshness::{Freshness, Journey};
use super::selecting;

/// Statuses that may be stored without explicit freshness (RFC 9110 §15.1), but for 206.
const STORED_BY_DEFAULT: [u16; 10] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 501];
/// Answers to the range or the condition of one request, which are not in the key: 206, 304, 412,
/// 416.
const OF_ONE_REQUEST: [u16; 4] = [206, 304, 412, 416];
/// Statuses that mean nothing special to a cache, so that they are understood (RFC 9111
/// §5.2.2.3).
const UNDERSTOOD: [u16; 27] = [
    200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 406, 409,
    410, 414, 421, 451, 500, 501, 502, 503,
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
}

/// Why a response is not stored. Told in Cache-Status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The request was no GET, or had a body.
    Method,
    /// The request said no-store.
    RequestNoStore,
    /// Only the origin could answer the request, see [`Demands::needs_origin`].
    NeedsOrigin,
    /// An interim answer, or one to the range or the condition of this request.
    Status,
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
    /// Its name in Cache-Status: a token.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::Method => "method",
            Refusal::RequestNoStore => "request-no-store",
            Refusal::NeedsOrigin => "needs-origin",
            Refusal::Status => "status",
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
    if !demands.is_get {
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
    let directives = ResponseDirectives::parse(fields.all("cache-control"));
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
    let freshness = Freshness::of(fields, &directives, journey);
    // A cookie is one client's own. Who gives a response with one a lifetime has said that it is
    // for all; a validator says nothing of the kind.
    let may_be_validated = is_stored_by_default(status, &directives)
        && has_validator(fields)
        && fields.first("set-cookie").is_none();
    if !freshness.began_fresh() && !may_be_validated {
        return Err(Refusal::NoFreshness);
    }
    Ok(Validity {
        freshness,
        no_cache: directives.no_cache == Scope::Whole,
        // RFC 9111 §5.2.2.10: s-maxage says proxy-revalidate too.
        must_revalidate: directives.must_revalidate
            || directives.proxy_revalidate
            || directives.s_maxage.is_present(),
    })
}

/// RFC 9111 §3.5.
fn allows_authorized(directives: &ResponseDirectives<'_>) -> bool {
    directives.public || directives.must_revalidate || directives.s_maxage.is_present()
}

fn is_stored_by_default(status: StatusCode, directives: &ResponseDirectives<'_>) -> bool {
    directives.public || STORED_BY_DEFAULT.contains(&status.as_u16())
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
