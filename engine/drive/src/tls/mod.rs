//! TLS of listeners, and of connections to other servers: configurations built once, sessions driven by whoever owns the socket.
//!
//! A [`TlsSession`] is sans-IO: ciphertext goes in, plaintext and ciphertext come out, nothing waits. The control plane
//! drives the handshake, then the session moves with its socket to a forwarding thread, which decrypts in its read
//! buffer and encrypts straight into its output buffer. Records are rustls's unbuffered API over the `ring` provider.
//!
//! Invariants: no input makes a session panic; what it holds for an unfinished record or handshake is bounded; a session
//! without unfinished business owns no buffer. Deliberately absent: sockets, time-outs, ALPN, early data.

mod batch;
mod certificate;
mod config;
mod error;
mod names;
mod session;
mod verify;

pub use batch::encrypt_batch;
pub use config::{MinVersion, TlsClient, TlsClientSpec, TlsServer, TlsServerSpec};
pub use error::{TlsConfigError, TlsError};
pub use session::{TlsSession, BUFFER_BYTES_MAX, HANDSHAKE_BYTES_MAX, RECORD_PLAIN_BYTES_MAX};
pub use verify::{parse_pin, spki_sha256};
