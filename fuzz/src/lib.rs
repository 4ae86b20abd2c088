//! What the targets do with an input: the functions with which the ordinary tests replay the corpora.

#[path = "../../crates/netproto/tests/inputs/mod.rs"]
pub mod inputs;
