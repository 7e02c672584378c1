//! Seeded simulation of the core.
#![forbid(unsafe_code)]
