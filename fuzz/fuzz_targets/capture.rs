//! `qos-client analyze` takes any file, and makes the same of it however its bytes come.
#![no_main]

use wirelab_fuzz::captures;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| captures::capture(bytes));
