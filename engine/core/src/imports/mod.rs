//! What an account imports from others, compiled: subjects of streams and of services, and how they are called at home
//! (reference: security 5.3 to 5.5).
//!
//! A stream import makes subscriptions of the importing account part of the exporting account's interest; a service
//! import takes requests across. Whether an import is allowed was decided before: the control plane checks exports, and
//! that imports form no cycle.
//!
//! Deliberately absent: exports. They only say who may import, which is no question of a message.

mod latency;
mod request_info;
mod responses;

use std::fmt;

pub(crate) use latency::sampled;
pub use latency::{LatencySpec, Outcome, Sampling, Timed};
pub(crate) use request_info::{push_request_info, told, with_request_info, RequestInfo};
pub(crate) use responses::{Response, Responses, Ticket};

use crate::mapping::{Transform, TransformError};
use crate::quote::quoted;
use crate::subject;

/// How many answers a request may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// One.
    Single,
    /// Any number, until an empty one.
    Stream,
}

/// A stream import as it was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSpec {
    /// Number of the exporting account.
    pub exporter: u32,
    /// Its subjects.
    pub subject: Vec<u8>,
    /// What they become here, with `$n` for the wildcards of `subject`.
    pub to: Vec<u8>,
    /// Traces of messages show who has them here.
    pub allow_trace: bool,
}

/// A service import as it was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Number of the exporting account.
    pub exporter: u32,
    /// The subject of requests there. With wildcards `to` refers to them by `$n`; without, every request goes there.
    pub subject: Vec<u8>,
    /// The subject of requests here.
    pub to: Vec<u8>,
    /// How many answers a request gets.
    pub answers: Answers,
    /// How long a request waits for an answer, or for the next one.
    pub threshold_ns: u64,
    /// The exporting account may know who asks.
    pub share: bool,
    /// Answers are timed.
    pub latency: Option<LatencySpec>,
    /// Traces of requests show who has them there.
    pub allow_trace: bool,
}

/// Why imports did not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportError {
    /// The subject is none.
    Subject(Vec<u8>),
    /// The two subjects do not fit together.
    Transform(TransformError),
    /// A wildcard is not used, or twice.
    Wildcards(Vec<u8>),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(text) => write!(f, "subject {} is not a valid subject", quoted(text)),
            Self::Transform(error) => error.fmt(f),
            Self::Wildcards(to) => write!(f, "not every wildcard is used once in {}", quoted(to)),
        }
    }
}

impl std::error::Error for ImportError {}

/// A compiled stream import.
#[derive(Debug)]
pub(crate) struct Stream {
    pub exporter: u32,
    /// Subjects in the exporting account.
    pub remote: Box<[u8]>,
    /// Subjects here.
    pub local: Box<[u8]>,
    /// From there to here.
    pub home: Transform,
    /// From here to there.
    pub abroad: Transform,
    pub allow_trace: bool,
}

/// A compiled service import.
#[derive(Debug)]
pub(crate) struct Service {
    pub spec: ServiceSpec,
    /// Subjects of requests here.
    pub local: Box<[u8]>,
    /// From here to there; without, every request has the same subject there.
    abroad: Option<Transform>,
}

impl Service {
    /// The subject that a request has in the exporting account.
    pub fn remote(&self, subject: &[u8], out: &mut Vec<u8>) {
        match &self.abroad {
            Some(transform) => transform.apply(subject, &mut |_| 0, out),
            None => {
                out.clear();
                out.extend_from_slice(&self.spec.subject);
            }
        }
    }
}

/// Everything that one account imports.
#[derive(Debug, Default)]
pub struct Imports {
    /// The importing account's name, as JSON.
    pub(crate) name: Box<[u8]>,
    /// The server's id, as JSON.
    pub(crate) server: Box<[u8]>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) services: Vec<Service>,
}

impl Imports {
    /// Compiles. `name` and `server` are the account's name and the server's id as JSON strings.
    pub fn compile(
        name: &[u8],
        server: &[u8],
        streams: Vec<StreamSpec>,
        services: Vec<ServiceSpec>,
    ) -> Result<Self, ImportError> {
        Ok(Self {
            name: name.into(),
            server: server.into(),
            streams: streams.into_iter().map(compile_stream).collect::<Result<_, _>>()?,
            services: services.into_iter().map(compile_service).collect::<Result<_, _>>()?,
        })
    }

    /// True when nothing is imported.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.services.is_empty()
    }

    /// The accounts that something is imported from.
    pub(crate) fn exporters(&self) -> impl Iterator<Item = u32> + '_ {
        let streams = self.streams.iter().map(|stream| stream.exporter);
        streams.chain(self.services.iter().map(|service| service.spec.exporter))
    }

    /// What the exporting account would call the subscription `local` that has a message `subject` of it, if the import
    /// allows that traces show it.
    pub(crate) fn traced_stream(&self, exporter: u32, subject: &[u8], local: &[u8]) -> Option<Vec<u8>> {
        let fits = |stream: &&Stream| {
            stream.exporter == exporter && stream.allow_trace && subject::matches(&stream.remote, subject)
        };
        let stream = self.streams.iter().find(fits)?;
        // A subscription that is wider than the import has as much of it as is imported.
        let common = subject::intersection(&stream.local, local)?;
        let mut remote = Vec::new();
        stream.abroad.apply(&common, &mut |_| 0, &mut remote);
        Some(remote)
    }

    /// Is this still imported as it was?
    pub(crate) fn has_service(&self, spec: &ServiceSpec) -> bool {
        self.services.iter().any(|service| service.spec == *spec)
    }
}

/// The transform from `subject` to `to`, the pattern that it makes, and the way back.
fn both_ways(subject: &[u8], to: &[u8]) -> Result<(Transform, Box<[u8]>, Transform), ImportError> {
    let there = Transform::compile(subject, to).map_err(ImportError::Transform)?;
    // A token of the subject that looks like the number of a wildcard would be taken for one on the way back.
    let back = there.reversed().filter(|back| back.destination_pattern().as_deref() == Some(subject));
    let back = back.ok_or_else(|| ImportError::Wildcards(to.into()))?;
    let pattern = back.source().into();
    Ok((there, pattern, back))
}

fn compile_stream(spec: StreamSpec) -> Result<Stream, ImportError> {
    let (home, local, abroad) = both_ways(&spec.subject, &spec.to)?;
    Ok(Stream {
        exporter: spec.exporter,
        remote: spec.subject.into(),
        local,
        home,
        abroad,
        allow_trace: spec.allow_trace,
    })
}

fn compile_service(spec: ServiceSpec) -> Result<Service, ImportError> {
    if subject::has_wildcard(&spec.subject) {
        let (_, local, abroad) = both_ways(&spec.subject, &spec.to)?;
        return Ok(Service { spec, local, abroad: Some(abroad) });
    }
    for text in [&spec.subject, &spec.to] {
        if !subject::is_valid(text) || subject::tokens(text).nth(subject::TOKENS_MAX).is_some() {
            return Err(ImportError::Subject(text.clone()));
        }
    }
    Ok(Service { local: spec.to.clone().into(), spec, abroad: None })
}

#[cfg(test)]
mod tests;
