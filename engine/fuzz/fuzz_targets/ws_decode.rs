//! See `natsfleet_sim::targets::ws_decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| natsfleet_sim::targets::ws_decode(data));
