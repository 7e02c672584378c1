//! See `natsfleet_sim::targets::client_parser`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| natsfleet_sim::targets::client_parser(data));
