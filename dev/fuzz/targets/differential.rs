#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    checks::wire::agrees_with_httparse(data);
    checks::hyper_oracle::agrees_with_hyper(data);
});
