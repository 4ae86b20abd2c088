//! What the user gets to see and to keep.
//!
//! [`row`] is one result as named, typed cells; the same cells feed the CSV file ([`csv_file`]),
//! the JSON object ([`json`]) and the assertions. [`screen`] is the result for people.

pub mod csv_file;
pub mod json;
pub mod row;
pub mod screen;
