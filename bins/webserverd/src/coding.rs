//! Content codings (RFC 9110 §8.4.1): which there are, and which of them a request takes.

use netproto::http::accept;
use netproto::http::fields::Fields;
use smallvec::{SmallVec, smallvec};

const BROTLI: &str = "br";
const ZSTD: &str = "zstd";
const GZIP: &str = "gzip";

/// How the bytes of a file may be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// RFC 7932
    Brotli,
    /// RFC 8878
    Zstd,
    /// RFC 1952
    Gzip,
}

impl Coding {
    /// All of them. Of two that are wanted as much, the one that comes first here is sent.
    pub const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    /// Its name in Content-Encoding.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Brotli => BROTLI,
            Coding::Zstd => ZSTD,
            Coding::Gzip => GZIP,
        }
    }

    /// How the name of a file that is coded so ends, after a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstd => "zst",
            Coding::Gzip => "gz",
        }
    }
}

/// What a request takes, best first. `None` is the file as it is.
pub type Preference = SmallVec<[Option<Coding>; 4]>;

/// What the Accept-Encoding fields of a request ask for (RFC 9110 §12.5.3).
pub fn preference(fields: &Fields<'_, '_>) -> Preference {
    let [br, zstd, gzip, identity] = accept::codings(fields, [BROTLI, ZSTD, GZIP, "identity"]);
    let mut weighted: SmallVec<[(accept::Weight, Option<Coding>); 4]> = smallvec![];
    for (coding, weight) in Coding::ALL.into_iter().zip([br, zstd, gzip]) {
        match weight {
            None | Some(0) => {}
            Some(weight) => weighted.push((weight, Some(coding))),
        }
    }
    match identity {
        Some(0) => {}
        Some(weight) => weighted.push((weight, None)),
        // Not spoken of: taken, but whatever is spoken of is wanted more.
        None => weighted.push((0, None)),
    }
    // Stable: what is wanted as much stays in our order.
    weighted.sort_by_key(|&(weight, _)| std::cmp::Reverse(weight));
    weighted.into_iter().map(|(_, coding)| coding).collect()
}

/// Whether files of this media type become shorter by coding: text in its many forms, and what is
/// not compressed in itself.
pub fn is_compressible(essence: &str) -> bool {
    let (kind, subtype) = essence.split_once('/').unwrap_or((essence, ""));
    match kind {
        "text" => true,
        "font" => !subtype.starts_with("woff"),
        "image" => matches!(subtype, "bmp" | "svg+xml" | "x-icon"),
        "application" => {
            subtype.ends_with("+json")
                || subtype.ends_with("+xml")
                || matches!(
                    subtype,
                    "javascript"
                        | "json"
                        | "json5"
                        | "postscript"
                        | "rtf"
                        | "vnd.ms-fontobject"
                        | "wasm"
                        | "x-javascript"
                        | "x-sh"
                        | "x-sql"
                        | "x-tar"
                        | "xml"
                )
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use netproto::http::Status;
    use netproto::http::fields::FieldSlots;
    use netproto::http::head::RequestHead;
    use netproto::http::limits::Limits;

    use super::*;

    fn names(accept_encoding: Option<&str>) -> Vec<&'static str> {
        let field = accept_encoding.map(|value| format!("Accept-Encoding: {value}\r\n"));
        let text = format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            field.unwrap_or_default()
        );
        let mut slots = FieldSlots::new();
        let parsed = RequestHead::parse(text.as_bytes(), &mut slots, &Limits::DEFAULT);
        let Ok(Status::Complete(head)) = parsed else {
            panic!("{parsed:?}");
        };
        preference(&head.fields)
            .into_iter()
            .map(|coding| coding.map_or("identity", Coding::name))
            .collect()
    }

    #[test]
    fn codings_are_taken_in_the_order_of_their_weights() {
        for (accept_encoding, wanted) in [
            (None, vec!["identity"]),
            (Some(""), vec!["identity"]),
            (Some("compress"), vec!["identity"]),
            (Some("gzip"), vec!["gzip", "identity"]),
            // What browsers send.
            (
                Some("gzip, deflate, br, zstd"),
                vec!["br", "zstd", "gzip", "identity"],
            ),
            (Some("br;q=0.5, gzip;q=0.8"), vec!["gzip", "br", "identity"]),
            (Some("gzip;q=0.5, identity"), vec!["identity", "gzip"]),
            (Some("gzip;q=0.5, identity;q=0.5"), vec!["gzip", "identity"]),
            (Some("gzip;q=0"), vec!["identity"]),
            (Some("*"), vec!["br", "zstd", "gzip", "identity"]),
            (Some("*;q=0"), vec![]),
            (Some("gzip, *;q=0"), vec!["gzip"]),
            (Some("br, identity;q=0"), vec!["br"]),
            (Some("identity;q=0"), vec![]),
            (Some("identity, *;q=0"), vec!["identity"]),
        ] {
            assert_eq!(names(accept_encoding), wanted, "{accept_encoding:?}");
        }
    }

    #[test]
    fn what_is_compressed_in_itself_is_not_coded_again() {
        for (essence, wanted) in [
            ("text/html", true),
            ("application/json", true),
            ("application/manifest+json", true),
            ("application/wasm", true),
            ("image/svg+xml", true),
            ("font/ttf", true),
            ("font/woff2", false),
            ("image/png", false),
            ("video/mp4", false),
            ("application/zip", false),
            ("application/octet-stream", false),
        ] {
            assert_eq!(is_compressible(essence), wanted, "{essence}");
        }
    }
}
