//! Which other sites may read the answers in a browser (the Fetch standard, "CORS protocol").

use netio::http::response::Response;
use netproto::http::fields::Fields;
use netproto::http::target::Authority;
use netproto::http::write::SerializeError;

use super::fields::ExtraFields;

const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
/// What scripts may see of an answer beside what they always may.
const EXPOSED: &str = "Accept-Ranges, Content-Encoding, Content-Range, ETag";
/// What scripts may ask with.
const METHODS: &str = "GET, HEAD, OPTIONS";
/// How long a browser need not ask again: a day, in seconds. Browsers take less where they like.
const MAX_AGE: &str = "86400";

/// Who may read.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Cors {
    /// No other site.
    #[default]
    Nobody,
    /// Every site.
    Anybody,
    /// These origins.
    Only(Vec<String>),
}

impl Cors {
    /// Who may read: `*`, or origins as browsers write them.
    ///
    /// # Errors
    /// What is wrong with one of them, and how it would be right.
    pub fn new(origins: &[String]) -> Result<Cors, String> {
        match origins {
            [] => return Ok(Cors::Nobody),
            [any] if any == "*" => return Ok(Cors::Anybody),
            _ => {}
        }
        for origin in origins {
            let is_origin = origin.split_once("://").is_some_and(|(scheme, authority)| {
                let is_scheme = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
                !scheme.is_empty()
                    && scheme.bytes().all(is_scheme)
                    && !authority.bytes().any(|byte| byte.is_ascii_uppercase())
                    && Authority::parse(authority).is_some()
            });
            if !is_origin {
                return Err(format!(
                    "{origin:?} is no origin; for example https://app.example:8443, \
                     or * alone for every site"
                ));
            }
        }
        Ok(Cors::Only(origins.to_vec()))
    }

    /// Adds what stands on every answer.
    pub fn declare(&self, fields: &mut ExtraFields) {
        match self {
            Cors::Nobody => return,
            Cors::Anybody => fields.add(ALLOW_ORIGIN, "*"),
            // Also without an Origin: a cache must not answer one site with what is another's.
            Cors::Only(_) => fields.vary_on("Origin"),
        }
        fields.add("Access-Control-Expose-Headers", EXPOSED);
    }

    /// Adds the request's own origin to its answer, if it may read it.
    ///
    /// # Errors
    /// None: what came in a head can be written in a head.
    pub fn grant(
        &self,
        fields: &Fields<'_, '_>,
        response: Response,
    ) -> Result<Response, SerializeError> {
        let Cors::Only(origins) = self else {
            return Ok(response);
        };
        match fields.first("origin") {
            Some(origin) if contains(origins, origin) => response.with_field(ALLOW_ORIGIN, origin),
            _ => Ok(response),
        }
    }

    /// Answers the question that a browser asks before a request that is not simple.
    ///
    /// # Errors
    /// As [`Cors::grant`].
    pub fn preflight(
        &self,
        fields: &Fields<'_, '_>,
        response: Response,
    ) -> Result<Response, SerializeError> {
        let may_read = match self {
            Cors::Nobody => false,
            Cors::Anybody => true,
            Cors::Only(origins) => fields
                .first("origin")
                .is_some_and(|origin| contains(origins, origin)),
        };
        if !may_read || !is_preflight(fields) {
            return Ok(response);
        }
        let response = response
            .with_field("Access-Control-Allow-Methods", METHODS)?
            .with_field("Access-Control-Max-Age", MAX_AGE)?;
        // Files are the same whatever else a request says, so it may say what it likes.
        match fields.first("access-control-request-headers") {
            Some(asked) => response.with_field("Access-Control-Allow-Headers", asked),
            None => Ok(response),
        }
    }
}

/// Whether a request is the question that comes before another, without its credentials.
pub fn is_preflight(fields: &Fields<'_, '_>) -> bool {
    fields.first("origin").is_some() && fields.first("access-control-request-method").is_some()
}

fn contains(origins: &[String], origin: &[u8]) -> bool {
    origins.iter().any(|known| known.as_bytes() == origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_write_them() {
        for origin in [
            "https://app.example",
            "http://localhost:3000",
            "http://[::1]:80",
        ] {
            let cors = Cors::new(&[origin.to_owned()]);
            assert_eq!(cors, Ok(Cors::Only(vec![origin.to_owned()])), "{origin}");
        }
        assert_eq!(Cors::new(&["*".to_owned()]), Ok(Cors::Anybody));
        assert_eq!(Cors::new(&[]), Ok(Cors::Nobody));
        for origin in [
            "app.example",
            "https://app.example/",
            "https://App.example",
            "HTTPS://app.example",
            "https://user@app.example",
            "https://",
            "null",
        ] {
            assert!(Cors::new(&[origin.to_owned()]).is_err(), "{origin}");
        }
        let mixed = ["*".to_owned(), "https://app.example".to_owned()];
        assert!(Cors::new(&mixed).is_err());
    }
}
