//! What a trace looks like when it is told. Reports run beside the probing, and so do the look-ups
//! of names and networks, which begin when an address is first heard.

pub mod confirmation;
pub mod csv;
pub mod extension;
pub mod json;
pub mod live;
pub mod record;
pub mod rounds;
pub mod text;
