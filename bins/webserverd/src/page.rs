//! Answers that are no file: redirects, what can be asked, and pages that say what is wrong.

use netio::http::response::{Body, Head, HeadBuilder, Response};
use netproto::http::status::StatusCode;
use netproto::http::write::SerializeError;

use crate::representation::Representation;
use crate::rules::Rules;

/// What the server can be asked to do with a file.
const ALLOW: &str = "GET, HEAD, OPTIONS";
/// The pages that the server makes load nothing and run nothing, whatever a name in them holds.
pub const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'self'";
/// How the pages that the server makes look, on light and on dark screens.
pub const STYLE: &str = include_str!("page.css");

/// Answers with a page of the site's own in the place of what cannot be sent.
pub fn of_site(rules: &Rules, status: StatusCode, page: &Representation) -> Response {
    let build = || {
        let head = Head::build(status).field("Content-Type", page.document.content_type())?;
        finish(head, rules)
    };
    match build() {
        Ok(head) => Response::new(head, page.content.piece(0, page.document.length()).into()),
        Err(refused) => broken(&refused),
    }
}

/// Redirects to the same folder with the slash that its relative links need. The reference is
/// relative to the last segment: one that began with the whole path could be taken for another
/// host's (`//host/`).
pub fn to_folder(rules: &Rules, path: &str, query: Option<&str>) -> Response {
    let segment = path.rsplit('/').next().unwrap_or_default();
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    error(
        rules,
        StatusCode::MOVED_PERMANENTLY,
        "this folder has a slash at the end of its address",
    )
    .with_field("Location", format!("./{segment}/{query}"))
    .unwrap_or_else(|refused| broken(&refused))
}

/// Says what cannot be done now, and that it may be asked for again in a second.
pub fn come_back(rules: &Rules, cause: &str) -> Response {
    error(rules, StatusCode::SERVICE_UNAVAILABLE, cause)
        .with_field("Retry-After", "1")
        .unwrap_or_else(|refused| broken(&refused))
}

/// Says what the server can be asked to do.
pub fn options(rules: &Rules) -> Response {
    let build = || {
        let head = Head::build(StatusCode::NO_CONTENT).field("Allow", ALLOW)?;
        Ok(rules.fields.append(head, &[])?.finish())
    };
    build().map_or_else(
        |refused| broken(&refused),
        |head| Response::new(head, Body::Empty),
    )
}

/// Refuses a method that no file has (RFC 9110 §15.5.6).
pub fn method_not_allowed(rules: &Rules) -> Response {
    let cause = "files can be read, not changed";
    error(rules, StatusCode::METHOD_NOT_ALLOWED, cause)
        .with_field("Allow", ALLOW)
        .unwrap_or_else(|refused| broken(&refused))
}

/// A short page that says what is wrong. `cause` is ours, never the client's words, and becomes a
/// sentence.
pub fn error(rules: &Rules, status: StatusCode, cause: &str) -> Response {
    let (code, reason) = (status.as_u16(), status.reason());
    let mut letters = cause.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let cause: String = first.into_iter().chain(letters).collect();
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{code} {reason}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1><span class=\"code\">{code}</span> {reason}</h1>\n<p>{cause}.</p>\n</main>\n</body>\n\
         </html>\n"
    );
    let build = || {
        let head = Head::build(status)
            .field("Content-Type", "text/html; charset=utf-8")?
            .field("Content-Security-Policy", PAGE_POLICY)?;
        finish(head, rules)
    };
    match build() {
        Ok(head) => Response::new(head, Body::Bytes(page.into())),
        Err(refused) => broken(&refused),
    }
}

/// A field could not be written: none of ours, and none that was checked at the start.
pub fn broken(refused: &SerializeError) -> Response {
    Response::text(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("the answer could not be written: {refused}\n"),
    )
}

/// What every page that stands in the place of a file has.
fn finish(head: HeadBuilder, rules: &Rules) -> Result<Head, SerializeError> {
    let head = head
        .field("Cache-Control", "no-store")?
        .field("X-Content-Type-Options", "nosniff")?;
    Ok(rules.fields.append(head, &[])?.finish())
}
