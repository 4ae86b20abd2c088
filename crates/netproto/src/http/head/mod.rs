//! Message heads: the start line and the fields, up to and with the empty line.
//!
//! [`RequestHead`] and [`ResponseHead`] read a whole head: the start line by our own code, the
//! fields by httparse (`locate`), and what the fields say about framing and persistence by
//! `framing`. A head that comes in pieces, or is refused, goes through [`HeadScan`], which looks at
//! each byte once and holds the limits as the bytes come in.
//!
//! The outcome does not depend on how the bytes were split (see `tests/http_split.rs`), which also
//! settles the order of checks: the start line's size, its line end, its syntax, its meaning; the
//! fields' sizes and line ends; the fields' syntax, then their meaning.

mod error;
mod framing;
mod locate;
mod request;
mod response;
mod scan;

pub use error::HeadError;
pub use request::RequestHead;
pub use response::ResponseHead;
pub use scan::HeadScan;
