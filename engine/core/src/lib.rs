//! The deciding half of the engine: bytes in, effects out.
//!
//! Nothing here opens a socket, starts a thread, reads a clock or touches Python. Time comes in as `now_ns`.
#![forbid(unsafe_code)]

pub mod subject;
pub mod ws;
