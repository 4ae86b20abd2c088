//! What each fuzz target does with one input. The ordinary tests replay the corpora with the same
//! functions (`http_corpus.rs`).

#[path = "../split/mod.rs"]
mod split;

use netproto::http::accept;
use netproto::http::cache_control::{RequestDirectives, ResponseDirectives};
use netproto::http::conditional::{Comparison, EntityTag};
use netproto::http::fields::FieldSlots;
use netproto::http::head::RequestHead;
use netproto::http::limits::Limits;
use netproto::http::range::{ContentRange, Selection, select};
use netproto::http::target::file_path;
use netproto::http::{Status, cache_status, date, structured};

/// Some time in 2026.
const NOW: u64 = 1_795_305_600;

/// Pieces of another size for inputs of another length, and never one byte: that is tried anyway.
fn step(bytes: &[u8]) -> usize {
    2 + bytes.len() % 13
}

/// A request and the body behind it.
pub fn request(bytes: &[u8]) {
    if let Ok(Some((_, len))) = split::check_request(bytes, step(bytes)) {
        let _ = split::check_chunked(&bytes[len..], step(bytes));
    }
}

/// A response head.
pub fn response(bytes: &[u8]) {
    let _ = split::check_response(bytes, step(bytes));
}

/// A chunked body.
pub fn chunked(bytes: &[u8]) {
    let _ = split::check_chunked(bytes, step(bytes));
}

/// The value of any field that has a parser of its own.
pub fn fields(bytes: &[u8]) {
    if let Some(seconds) = date::parse(bytes, NOW) {
        assert_eq!(date::parse(&date::write(seconds), NOW), Some(seconds));
    }
    if let Some(range) = ContentRange::parse(bytes) {
        assert_eq!(
            ContentRange::parse(range.to_string().as_bytes()),
            Some(range)
        );
    }
    for length in [0, 1, 1000, u64::MAX] {
        if let Selection::Parts(parts) = select(bytes, length) {
            assert!(!parts.is_empty());
            assert!(
                parts
                    .iter()
                    .all(|part| part.first <= part.last && part.last < length)
            );
            // No byte is sent twice.
            let mut sorted = parts.to_vec();
            sorted.sort_by_key(|part| part.first);
            assert!(sorted.windows(2).all(|pair| pair[0].last < pair[1].first));
        }
    }
    for name in ["Accept", "Accept-Encoding"] {
        let start = format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: ");
        let text = [start.as_bytes(), bytes, b"\r\n\r\n"].concat();
        let mut slots = FieldSlots::new();
        if let Ok(Status::Complete(head)) = RequestHead::parse(&text, &mut slots, &Limits::DEFAULT)
        {
            assert!(accept::media_type(&head.fields, "text", "html") <= 1000);
            let [weight] = accept::codings(&head.fields, ["gzip"]);
            assert!(weight.is_none_or(|weight| weight <= 1000));
        }
    }
    if let Some(tag) = EntityTag::parse(bytes) {
        assert_eq!(tag.matches(&tag, Comparison::Strong), !tag.is_weak);
    }
    let _ = ResponseDirectives::parse(std::iter::once(bytes));
    let _ = RequestDirectives::parse(std::iter::once(bytes));
    let _ = structured::parse_dictionary(bytes);
    if let Some(caches) = cache_status::parse(bytes) {
        for cache in caches {
            let mut written = Vec::new();
            cache.write(&mut written);
            assert_eq!(cache_status::parse(&written), Some(vec![cache]));
        }
    }
    let path = str::from_utf8(bytes).unwrap_or_default();
    if let Ok(file) = file_path(path) {
        assert!(file.starts_with('/'));
        assert!(
            file.split('/')
                .all(|segment| segment != ".." && segment != ".")
        );
        assert!(!file.contains("//") && !file.contains(['\\', '\0']));
    }
}
