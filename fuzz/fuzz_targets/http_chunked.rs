//! A chunked body fares the same however its bytes are split.
#![no_main]

use wirelab_fuzz::inputs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inputs::chunked(bytes));
