//! Who wants what: the subscriptions of one account, and the routes compiled from them.
//!
//! `Interest` is the truth; `Routes` remembers what a subject resolved to until interest in it changes.

mod interest;
mod patterns;
mod routes;

pub use interest::{Interest, Place};
pub use routes::{Peer, QueueRoute, Route, Routes, Target};
