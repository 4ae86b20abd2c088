//! What is said of a representation, whoever asks: its fields, rendered into heads.

use std::sync::Arc;

use netio::http::response::{Head, HeadBuilder};
use netproto::http::byteranges::ByteRanges;
use netproto::http::date;
use netproto::http::range::ContentRange;
use netproto::http::status::StatusCode;
use netproto::http::write::SerializeError;

use crate::coding::{Coding, is_compressible};
use crate::files::Identity;
use crate::rules::Rules;

/// Which file it is of, in which state, and how that is coded.
#[derive(Clone, Copy, Debug)]
pub struct Source<'s> {
    /// The file's path below the root.
    pub name: &'s str,
    /// The state of the file that holds the bytes, or that they were made of.
    pub identity: &'s Identity,
    /// How the bytes are coded.
    pub coding: Option<Coding>,
    /// How many there are.
    pub length: u64,
    /// Whether another request may get the same file coded otherwise.
    pub varies: bool,
}

/// What is said of a representation.
#[derive(Debug)]
pub struct Document {
    length: u64,
    content_type: String,
    coding: Option<Coding>,
    etag: String,
    modified: u64,
    cache_control: String,
    vary: &'static [&'static str],
    rules: Arc<Rules>,
    /// The head of a whole answer, rendered once.
    ok: Head,
}

impl Document {
    /// What is said of `source`. A time of change that is yet to come is given as `now` (RFC 9110
    /// §8.8.2.1).
    ///
    /// # Errors
    /// A field could not be written; none of them holds anything of the client's.
    pub fn of(source: Source<'_>, rules: &Arc<Rules>, now: u64) -> Result<Self, SerializeError> {
        let mut document = Document {
            length: source.length,
            content_type: content_type(source.name),
            coding: source.coding,
            etag: etag(source.identity, source.coding),
            modified: source.identity.modified.0.max(0).unsigned_abs().min(now),
            cache_control: rules.cache_control.of(source.name).to_owned(),
            vary: if source.varies {
                &["Accept-Encoding"]
            } else {
                &[]
            },
            rules: Arc::clone(rules),
            ok: Head::build(StatusCode::OK).finish(),
        };
        let ok = document.describe(Head::build(StatusCode::OK))?;
        let ok = document.validate(ok)?.field("Accept-Ranges", "bytes")?;
        document.ok = ok.finish();
        Ok(document)
    }

    /// How many bytes the representation has.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Its entity tag.
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// When it last changed, in seconds since 1970.
    pub fn modified(&self) -> u64 {
        self.modified
    }

    /// Its media type, with the charset of text.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The head of a whole answer.
    pub fn ok(&self) -> &Head {
        &self.ok
    }

    /// The head of a 304: what a 200 would have told a cache (RFC 9110 §15.4.5).
    pub fn not_modified(&self) -> Result<Head, SerializeError> {
        Ok(self
            .validate(Head::build(StatusCode::NOT_MODIFIED))?
            .finish())
    }

    /// The head of a 206 with one part.
    pub fn part(&self, content_range: ContentRange) -> Result<Head, SerializeError> {
        let head = self.describe(Head::build(StatusCode::PARTIAL_CONTENT))?;
        let head = head.field("Content-Range", content_range.to_string())?;
        Ok(self.validate(head)?.finish())
    }

    /// The head of a 206 with several parts, and the text around them. It is the parts that have
    /// the file's type and coding (RFC 9110 §15.3.7.2).
    pub fn parts(&self, boundary: String) -> Result<(Head, ByteRanges), SerializeError> {
        let mut body = ByteRanges::new(boundary, self.length)?
            .field("Content-Type", self.content_type.as_bytes())?;
        if let Some(coding) = self.coding {
            body = body.field("Content-Encoding", coding.name().as_bytes())?;
        }
        let head = Head::build(StatusCode::PARTIAL_CONTENT)
            .field("Content-Type", body.content_type())?
            .field("X-Content-Type-Options", "nosniff")?;
        Ok((self.validate(head)?.finish(), body))
    }

    /// Adds what is said of the content.
    fn describe(&self, mut head: HeadBuilder) -> Result<HeadBuilder, SerializeError> {
        head = head.field("Content-Type", &self.content_type)?;
        if let Some(coding) = self.coding {
            head = head.field("Content-Encoding", coding.name())?;
        }
        head.field("X-Content-Type-Options", "nosniff")
    }

    /// Adds what a cache needs, and what the operator wants on every answer.
    fn validate(&self, head: HeadBuilder) -> Result<HeadBuilder, SerializeError> {
        let head = head
            .field("ETag", &self.etag)?
            .field("Last-Modified", date::write(self.modified))?
            .field("Cache-Control", &self.cache_control)?;
        self.rules.fields.append(head, self.vary)
    }
}

/// The media type of a file called `name`, by its extension.
pub fn content_type(name: &str) -> String {
    let guess = mime_guess::from_path(name).first_or_octet_stream();
    let essence = guess.essence_str();
    let is_text = guess.type_() == "text"
        || matches!(
            essence,
            "application/javascript" | "application/json" | "image/svg+xml"
        );
    if is_text {
        format!("{essence}; charset=utf-8")
    } else {
        essence.to_owned()
    }
}

/// Whether a file called `name` may become shorter by coding.
pub fn is_worth_coding(name: &str) -> bool {
    is_compressible(
        mime_guess::from_path(name)
            .first_or_octet_stream()
            .essence_str(),
    )
}

/// Strong: another content has another (RFC 9110 §8.8.3), as size, time of change to the
/// nanosecond and inode tell, and so has another coding of the same.
fn etag(identity: &Identity, coding: Option<Coding>) -> String {
    let (seconds, nanoseconds) = identity.modified;
    let state = format!(
        "{:x}-{seconds:x}.{nanoseconds:x}-{:x}",
        identity.length, identity.inode
    );
    match coding {
        Some(coding) => format!("\"{state}-{}\"", coding.name()),
        None => format!("\"{state}\""),
    }
}
