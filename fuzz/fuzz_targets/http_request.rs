//! A request, and the body behind it, fare the same however their bytes are split.
#![no_main]

#[allow(dead_code, reason = "each target uses its own part")]
#[path = "../../crates/netproto/tests/inputs/mod.rs"]
mod inputs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inputs::request(bytes));
