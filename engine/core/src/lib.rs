//! The deciding half of the engine: bytes in, effects out.
#![forbid(unsafe_code)]
