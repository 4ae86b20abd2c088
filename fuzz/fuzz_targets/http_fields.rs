//! Single fields' parsers take any bytes, and read back what was written of what they read.
#![no_main]

use wirelab_fuzz::inputs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inputs::fields(bytes));
