//! The WebSocket codec from outside: rules, properties, and a second implementation to disagree with.

mod compression;
mod output;
mod peer;
mod properties;
mod rules;
