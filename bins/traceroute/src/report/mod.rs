//! What a run looks like when it is told. Reports run beside the probing, and so do the look-ups
//! of names and networks, which begin when an address is first heard.
//!
//! Read `face` first: what each of them does, and when.

pub mod begun;
mod comparison;
pub mod confirmation;
pub mod csv;
pub mod extension;
pub mod extras;
pub mod face;
pub mod json;
pub mod live;
pub mod record;
pub mod rounds;
pub mod text;
