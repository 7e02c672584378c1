//! Why a run could not be measured. A failure is always reported as such, never as a low figure.

use std::fmt;
use std::io;

/// Result of anything that may fail a run.
pub type Result<T> = std::result::Result<T, Failure>;

/// What made a run unusable.
#[derive(Debug)]
pub enum Failure {
    /// The command line asks for something that does not exist.
    Usage(String),
    /// A system call failed; `doing` names what was attempted.
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The server closed a connection in the middle of a run.
    Closed {
        /// Which side of the run the connection was on.
        role: &'static str,
    },
    /// The server sent `-ERR`.
    ServerError(String),
    /// The server sent bytes that are not what was subscribed to.
    Protocol(String),
    /// Nothing moved for the time allowed.
    Stalled {
        /// Messages that had arrived.
        delivered: u64,
        /// Messages that should have arrived.
        expected: u64,
    },
    /// More messages arrived than were sent.
    Excess {
        /// Messages that had arrived.
        delivered: u64,
        /// Messages that should have arrived.
        expected: u64,
    },
    /// The TLS layer refused.
    Tls(String),
}

impl Failure {
    /// Names the system call behind an I/O error; meant for `map_err`.
    pub fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Failure {
        move |source| Failure::Io { doing, source }
    }

    /// Messages known to be missing, where the failure is about missing messages.
    pub fn lost(&self) -> u64 {
        match self {
            Failure::Stalled { delivered, expected } => expected.saturating_sub(*delivered),
            _ => 0,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text) => write!(f, "{text}"),
            Failure::Io { doing, source } => write!(f, "{doing}: {source}"),
            Failure::Closed { role } => write!(f, "the server closed a {role} connection"),
            Failure::ServerError(text) => write!(f, "the server sent {text}"),
            Failure::Protocol(text) => write!(f, "unexpected bytes from the server: {text}"),
            Failure::Stalled { delivered, expected } => {
                write!(f, "no progress: {delivered} of {expected} messages delivered")
            }
            Failure::Excess { delivered, expected } => {
                write!(f, "{delivered} messages delivered where {expected} were published")
            }
            Failure::Tls(text) => write!(f, "TLS: {text}"),
        }
    }
}

impl std::error::Error for Failure {}
