//! What the targets do with an input: the functions with which the ordinary tests replay the corpora.

#[path = "../../bins/qos-client/tests/sockets/capture_inputs.rs"]
pub mod captures;
#[path = "../../crates/netproto/tests/inputs/mod.rs"]
pub mod inputs;
