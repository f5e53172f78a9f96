#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lyceum_proxy::fuzz::http2(data));
