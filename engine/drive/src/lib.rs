//! Threads, epoll and sockets around the core.
