//! S2 from outside: rules of the stream, properties, and what a real server wrote.

mod properties;
mod real_server;
mod rules;
