//! The deciding half of the engine: bytes in, effects out.
//!
//! Nothing here opens a socket, starts a thread, reads a clock or touches Python. Time comes in as `now_ns`.
#![forbid(unsafe_code)]

pub mod account;
mod batch;
pub mod codec;
pub mod conn;
mod crossing;
pub mod engine;
pub mod errors;
pub mod event;
pub mod fib;
mod forward;
pub mod hash;
mod hops;
pub mod imports;
mod leaving;
pub mod mapping;
mod message;
mod msgtrace;
pub mod outbuf;
mod outlet;
mod peers;
pub mod permit;
mod propagation;
mod publish;
mod quote;
mod resolve;
mod route_rights;
pub mod s2;
mod settle;
pub mod slab;
pub mod subject;
mod subject_table;
mod subscribe;
mod timers;
mod trace;
pub mod trace_headers;
mod unclaimed;
#[cfg(test)]
mod vectors;
pub mod view;
pub mod ws;
