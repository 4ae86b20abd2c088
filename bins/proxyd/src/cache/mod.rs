//! The cache (RFC 9111).
//!
//! Read in this order: [`policy`] (its rules: pure functions of request, response and now), then
//! what the rules are applied to: [`key`], [`variant`] and [`content`] (what is stored), [`store`] (a
//! bounded map that knows nothing of HTTP), [`room`] (the memory that bodies take), [`fill`] (bodies
//! that come in, and who waits for them: it knows neither the rules nor the store), [`revalidation`] (a
//! stored response that the origin confirms), [`combining`] (parts of one response) and [`listing`]
//! (what is stored, as a person reads it).

pub mod combining;
pub mod content;
pub mod fill;
pub mod key;
pub mod listing;
pub mod policy;
pub mod revalidation;
pub mod room;
pub mod store;
pub mod variant;
