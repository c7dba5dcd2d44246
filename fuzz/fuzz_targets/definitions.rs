#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| podflow_ipfix::exercise::definitions(octets));
