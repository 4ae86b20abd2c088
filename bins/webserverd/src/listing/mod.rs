//! What a folder holds, told to people and to programs.
//!
//! `lister` has a folder read by `read` and written down by `html` or `json`, on threads
//! beside the workers, and keeps what came of it for a moment.

mod html;
mod json;
mod lister;
mod read;

use bytes::Bytes;
use netio::http::response::{Body, Head, Response};
use netio::http::server::Request;
use netproto::http::accept;
use netproto::http::status::StatusCode;
use netproto::http::target::file_path;
use netproto::http::write::SerializeError;

pub use self::lister::{ListCounters, ListError, Lister};
use self::read::{Entry, Folder};
use crate::page;
use crate::rules::Rules;

/// How a listing is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// For people.
    Html,
    /// For programs.
    Json,
}

impl Form {
    /// The one that the request wants more (RFC 9110 §12.5.1), HTML where it does not matter.
    pub fn wanted(request: &Request<'_>) -> Form {
        let fields = &request.head.fields;
        let wants_json = accept::media_type(fields, "application", "json")
            > accept::media_type(fields, "text", "html");
        if wants_json { Form::Json } else { Form::Html }
    }

    fn content_type(self) -> &'static str {
        match self {
            Form::Html => "text/html; charset=utf-8",
            Form::Json => "application/json",
        }
    }

    fn write(self, folder: &Folder) -> String {
        match self {
            Form::Html => html::write(folder),
            Form::Json => json::write(folder),
        }
    }
}

/// Answers with a listing that was written down in `form`.
pub fn answer(form: Form, text: Bytes, rules: &Rules) -> Response {
    head(form.content_type(), rules).map_or_else(
        |refused| page::broken(&refused),
        |head| Response::new(head, Body::Bytes(text)),
    )
}

fn head(content_type: &str, rules: &Rules) -> Result<Head, SerializeError> {
    let head = Head::build(StatusCode::OK)
        .field("Content-Type", content_type)?
        .field("Cache-Control", "no-cache")?
        .field("Content-Security-Policy", page::PAGE_POLICY)?
        .field("X-Content-Type-Options", "nosniff")?;
    Ok(rules.fields.append(head, &["Accept"])?.finish())
}

/// The address of an entry, relative to that of its folder; `None` for a name that no address leads
/// to: it is not UTF-8, or holds what is refused in an address. Everything but letters, digits and
/// `-._~` is escaped (RFC 3986 §2.3), and the dot in front keeps a colon from being taken for the
/// end of a scheme.
fn address(entry: &Entry) -> Option<String> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut escaped = String::with_capacity(entry.name.len() + 3);
    for &byte in &entry.name {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            escaped.extend(['%', char::from(digits[0]), char::from(digits[1])]);
        }
    }
    // The server itself says whether it would find it there.
    let path = format!("/{escaped}");
    let found = file_path(&path).ok()?;
    if found.as_bytes().strip_prefix(b"/") != Some(&entry.name) {
        return None;
    }
    let slash = if entry.is_folder() { "/" } else { "" };
    Some(format!("./{escaped}{slash}"))
}

/// A name as it can be shown: control characters as escapes, what is no UTF-8 as a sign for it.
fn shown(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for char in String::from_utf8_lossy(name).chars() {
        if char.is_control() {
            text.extend(char.escape_default());
        } else {
            text.push(char);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_escaped_and_leads_back_to_the_name() {
        for (name, wanted) in [
            (&b"a.txt"[..], Some("./a.txt")),
            (b"a b", Some("./a%20b")),
            (b"100%", Some("./100%25")),
            (b"<script>", Some("./%3Cscript%3E")),
            (b"\"'&", Some("./%22%27%26")),
            (b"a\nb", Some("./a%0Ab")),
            (b"javascript:alert(1)", Some("./javascript%3Aalert%281%29")),
            (b"?#", Some("./%3F%23")),
            ("ü".as_bytes(), Some("./%C3%BC")),
            // Refused in an address, or no UTF-8.
            (b"back\\slash", None),
            (b"\xff\xfe", None),
        ] {
            let entry = Entry {
                name: name.to_vec(),
                length: Some(1),
                modified: 0,
            };
            let told = String::from_utf8_lossy(name);
            assert_eq!(address(&entry).as_deref(), wanted, "{told}");
        }
    }
}
