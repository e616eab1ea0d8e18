#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| statesync_fuzz::record(data));
