//! Codecs: bytes to frames, independent of how the bytes were cut.

pub mod client;
pub mod connect;
pub mod route;
