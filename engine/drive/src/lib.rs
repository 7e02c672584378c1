//! Threads, epoll and sockets around the core.

pub mod tls;
