//! What the user gets to see and to keep.
//!
//! [`row`] is one result as named, typed cells; the same cells feed the CSV file ([`csv_file`]),
//! the JSON events ([`events`]) and the assertions. [`screen`] is the result for people, [`capture_screen`] that of
//! a capture. [`audience`] is a reader that may leave.

pub mod audience;
pub mod capture_screen;
pub mod csv_file;
pub mod events;
pub mod flow;
pub mod row;
pub mod screen;
