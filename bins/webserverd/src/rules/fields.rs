//! Fields that stand on every answer.

use netio::http::response::{HeadBuilder, Response};
use netproto::http::write::{SerializeError, check_field};

/// What the server says itself, or the connection: another line of it would contradict.
const TAKEN: [&str; 18] = [
    "accept-ranges",
    "allow",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "keep-alive",
    "last-modified",
    "location",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "www-authenticate",
    "x-content-type-options",
];

/// What `--secure-headers` adds: what browsers are to refuse of every page, and what no page of a
/// site is likely to miss.
const SECURE: [(&str, &str); 6] = [
    ("Content-Security-Policy", "frame-ancestors 'self'"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    (
        "Permissions-Policy",
        "camera=(), geolocation=(), microphone=()",
    ),
];

/// What it adds where TLS is spoken (RFC 6797): a browser comes back with TLS only, for a year. Over
/// plain HTTP it must not be said.
const STRICT_TRANSPORT: (&str, &str) = ("Strict-Transport-Security", "max-age=31536000");

/// Fields that stand on every answer, and the names of request fields that all answers depend on.
#[derive(Debug, Default)]
pub struct ExtraFields {
    fields: Vec<(String, String)>,
    vary: Vec<&'static str>,
}

impl ExtraFields {
    /// The fields `Name: value` that the operator gave.
    ///
    /// # Errors
    /// What is wrong with one of them, and how it would be right.
    pub fn new(given: &[String]) -> Result<ExtraFields, String> {
        let mut fields = Vec::with_capacity(given.len());
        for field in given {
            let (name, value) = field.split_once(':').ok_or_else(|| {
                format!("{field:?} is no 'Name: value'; for example 'X-Robots-Tag: noindex'")
            })?;
            let value = value.trim();
            check_field(name, value.as_bytes()).map_err(|error| format!("{field:?}: {error}"))?;
            let is = |taken: &str| name.eq_ignore_ascii_case(taken);
            if TAKEN.iter().any(|taken| is(taken)) {
                return Err(format!("the server writes {name} itself"));
            }
            for (taken, flag) in [
                ("cache-control", "--cache-control 'GLOB=VALUE'"),
                ("access-control-allow-origin", "--cors ORIGIN"),
            ] {
                if is(taken) {
                    return Err(format!("for {name} there is {flag}"));
                }
            }
            fields.push((name.to_owned(), value.to_owned()));
        }
        Ok(ExtraFields {
            fields,
            vary: Vec::new(),
        })
    }

    /// Adds a field, unless the operator gave one of that name.
    pub fn add(&mut self, name: &str, value: &str) {
        let is_given = |(given, _): &(String, String)| given.eq_ignore_ascii_case(name);
        if !self.fields.iter().any(is_given) {
            self.fields.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Adds what keeps a browser from doing with a page what its author did not mean.
    pub fn add_secure(&mut self, speaks_tls: bool) {
        for (name, value) in SECURE
            .into_iter()
            .chain(speaks_tls.then_some(STRICT_TRANSPORT))
        {
            self.add(name, value);
        }
    }

    /// Says that all answers depend on the request field `name`.
    pub fn vary_on(&mut self, name: &'static str) {
        self.vary.push(name);
    }

    /// Adds all of them to an answer that says nothing of its own in Vary.
    ///
    /// # Errors
    /// None that was checked when it was given.
    pub fn dress(&self, mut response: Response) -> Result<Response, SerializeError> {
        if !self.vary.is_empty() {
            response = response.with_field("Vary", self.vary.join(", "))?;
        }
        for (name, value) in &self.fields {
            response = response.with_field(name, value)?;
        }
        Ok(response)
    }

    /// Adds all of them to a head, with one Vary field for them and for `vary`.
    ///
    /// # Errors
    /// None that was checked when it was given.
    pub fn append(
        &self,
        mut head: HeadBuilder,
        vary: &[&'static str],
    ) -> Result<HeadBuilder, SerializeError> {
        let vary = [vary, &self.vary].concat();
        if !vary.is_empty() {
            head = head.field("Vary", vary.join(", "))?;
        }
        for (name, value) in &self.fields {
            head = head.field(name, value)?;
        }
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_cannot_stand_is_told_before_anything_is_served() {
        for (field, part) in [
            ("X-Robots-Tag", "Name: value"),
            (": value", "name"),
            ("A B: c", "name"),
            ("A: b\r\nSet-Cookie: c", "value"),
            ("Content-Length: 5", "itself"),
            ("etag: \"a\"", "itself"),
            ("Cache-Control: no-store", "--cache-control"),
            ("Access-Control-Allow-Origin: *", "--cors"),
        ] {
            let refused = ExtraFields::new(&[field.to_owned()]).unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
    }
}
