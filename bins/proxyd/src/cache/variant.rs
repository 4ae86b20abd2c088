//! One stored response: its head rendered once, its content, and what decides on its use.

use std::io::Write as _;

use netio::http::response::Head;
use netproto::http::Status;
use netproto::http::conditional::{EntityTag, Validators};
use netproto::http::date;
use netproto::http::fields::{FieldSlots, Fields};
use netproto::http::head::ResponseHead;
use netproto::http::limits::Limits;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use netproto::http::write::SerializeError;

use super::content::Content;
use super::policy::selecting::Selecting;
use super::policy::storing::Validity;

/// A stored head has passed the limits once, but has grown by a few fields since.
pub const STORED: Limits = Limits {
    field_bytes: usize::MAX,
    fields_bytes: usize::MAX,
    fields: usize::MAX,
    ..Limits::DEFAULT
};

/// A stored response.
#[derive(Debug)]
pub struct Variant {
    /// Without Age, which every answer has for itself; always with a Date.
    pub head: Head,
    /// The whole of it, or what there is.
    pub content: Content,
    /// When it may be used.
    pub validity: Validity,
    /// For which requests it stands.
    pub selecting: Selecting,
}

impl Variant {
    /// The memory that it takes.
    pub fn bytes(&self) -> u64 {
        let fixed = (size_of::<Variant>() + self.head.len()) as u64;
        fixed + self.content.bytes() + self.selecting.bytes()
    }

    /// Hands its fields to `read`.
    pub fn with_fields<T>(&self, read: impl FnOnce(&Fields<'_, '_>) -> T) -> T {
        let mut head = self.head.rendered().to_vec();
        // Writing to a Vec cannot fail.
        let _ = head.write_all(b"\r\n");
        let mut slots = FieldSlots::new();
        match ResponseHead::parse(&head, &mut slots, &STORED, &Method::Get) {
            Ok(Status::Complete(head)) => read(&head.fields),
            // It was rendered from a head that was parsed.
            _ => read(&Fields::none()),
        }
    }

    /// The same fields, as far as `keep` says, under another status.
    pub fn head_as(
        &self,
        status: StatusCode,
        keep: impl Fn(&str) -> bool,
    ) -> Result<Head, SerializeError> {
        self.with_fields(|fields| {
            let mut head = Head::build(status);
            for (name, value) in fields.iter().filter(|(name, _)| keep(name)) {
                head = head.field(name, value)?;
            }
            Ok(head.finish())
        })
    }
}

/// The validators among these fields (RFC 9110 §8.8). `now` settles two-digit years.
pub fn validators<'b>(fields: &Fields<'_, 'b>, now: u64) -> Validators<'b> {
    Validators {
        etag: fields.first("etag").and_then(EntityTag::parse),
        last_modified: fields
            .first("last-modified")
            .and_then(|value| date::parse(value, now)),
    }
}
