//! See `natsfleet_sim::targets::engine_feed`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| natsfleet_sim::targets::engine_feed(data));
