//! The rules of RFC 9111 for a shared cache, as functions of request, response and now. Nothing in
//! here stores, sends or reads a clock.
//!
//! [`demands`] is what a request asks of a cache, [`freshness`] how old a response is and how old it
//! may become, [`storing`] whether it may be stored, [`partial`] whether as a part, [`selecting`] for
//! which requests it stands (Vary), [`reuse`] whether it answers this one now.

pub mod demands;
pub mod freshness;
pub mod partial;
pub mod reuse;
pub mod selecting;
pub mod storing;

#[cfg(test)]
mod tests;
