//! See `natsfleet_sim::targets::s2_reader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| natsfleet_sim::targets::s2_reader(data));
