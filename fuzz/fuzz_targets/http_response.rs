//! A response head fares the same however its bytes are split.
#![no_main]

#[allow(dead_code, reason = "each target uses its own part")]
#[path = "../../crates/netproto/tests/inputs/mod.rs"]
mod inputs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inputs::response(bytes));
