#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    // How much came out is for the tests.
    podflow_capture::exercise::capture(octets);
});
