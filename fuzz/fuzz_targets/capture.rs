#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| podflow_capture::exercise::capture(octets));
