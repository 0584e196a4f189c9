#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::h2::hpack(data));
