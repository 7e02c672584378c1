//! Threads, epoll and sockets around the core; and the same without any of them, for those who bring their own.
//!
//! One forwarding thread owns one `natsfleet_core::engine::Engine` and the sockets of its connections. The control plane
//! talks to it through `Forwarder`: commands go in, events come out, each with its own wake-up descriptor.

mod ahead;
mod blocks;
mod crew;
mod door;
mod doors;
mod ending;
mod flush;
mod forwarder;
mod io;
mod link;
mod manual;
mod pace;
mod patience;
mod poll;
mod run;
mod s2;
mod share;
pub mod tls;

pub use door::Door;
pub use forwarder::{Forwarder, Gone};
pub use link::Link;
pub use manual::{Fate, Manual, Taken};
pub use run::Run;
pub use s2::S2Session;
