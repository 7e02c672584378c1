//! Seeded simulation of the core: many clients doing random things to one engine, held to a deliberately naive model.
//!
//! ```text
//! operations ── what a client says, and how it spells it     model ── what should come of it: lists and loops
//!       └────────────────── world ──────────────────────────────┘
//!            feeds the engine in any pieces, plays the sockets, compares after every step
//! ```
//!
//! Everything follows from one seed, so a failure is repeated by its number (`seeds.txt` keeps those that mattered).
//! `targets` are the bodies of the fuzz targets, here so that the committed corpus is replayed by an ordinary test.
#![forbid(unsafe_code)]

pub mod chance;
mod client;
mod model;
mod operations;
mod output;
mod plan;
mod rights;
pub mod targets;
mod wire;
mod world;

pub use world::{simulate, Failure, Outcome, Size};
