//! Message heads: the start line and the fields, up to and with the empty line.
//!
//! [`HeadScan`] finds where a head ends and holds it against the limits as its bytes come in, each
//! byte once; [`RequestHead`] and [`ResponseHead`] then read a whole head in one pass: the start
//! line by our own code, the fields by httparse, and what the fields say about framing and
//! persistence by `framing`.
//!
//! The outcome does not depend on how the bytes were split (see `tests/http_split.rs`), which also
//! settles the order of checks: the start line's size, its line end, its syntax, its meaning; the
//! fields' sizes and line ends; the fields' syntax, then their meaning.

mod error;
mod framing;
mod request;
mod response;
mod scan;

pub use error::HeadError;
pub use request::RequestHead;
pub use response::ResponseHead;
pub use scan::HeadScan;
