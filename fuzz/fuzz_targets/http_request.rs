//! A request, and the body behind it, fare the same however their bytes are split.
#![no_main]

use wirelab_fuzz::inputs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inputs::request(bytes));
