//! Single fields' parsers take any bytes, and read back what was written of what they read.
#![no_main]

#[allow(dead_code, reason = "each target uses its own part")]
#[path = "../../crates/netproto/tests/inputs/mod.rs"]
mod inputs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inputs::fields(bytes));
