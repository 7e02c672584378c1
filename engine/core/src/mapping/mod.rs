//! Subject mappings of one account: weighted destinations per source (reference: wire protocol 1.18, security 5.7).
//!
//! Applied once to each message that a client or leaf publishes, before the permission check and before matching; the
//! result is not mapped again. Of several sources that match, the literal one wins, then the most specific, read token by
//! token from the left.
//!
//! Invariants: what the weights leave over keeps its subject, unless the source lists itself as a destination: then it is
//! dropped. Chance comes in as an argument.

mod function;
mod transform;

use std::collections::HashMap;
use std::fmt;

pub use transform::{Transform, TransformError};

use crate::quote::quoted;
use crate::subject;
use crate::subject_table::SubjectTable;

/// Longest mapped subject in bytes; a message that would exceed it is dropped.
pub const MAPPED_BYTES_MAX: usize = 32 << 10;

const WEIGHT_MAX: u8 = 100;

/// One destination of a mapping as it was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationSpec {
    /// Subject with `$n` and functions.
    pub subject: Vec<u8>,
    /// Share in percent.
    pub weight: u8,
    /// Name of the cluster it is meant for; empty for all others.
    pub cluster: Vec<u8>,
}

/// One mapping as it was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingSpec {
    /// Pattern of the subjects to map.
    pub source: Vec<u8>,
    /// Where to.
    pub destinations: Vec<DestinationSpec>,
}

/// Why mappings did not compile. The texts are nats-server's, without the source, which a caller may put before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MappingError {
    /// The source is no subject.
    Source(Vec<u8>),
    /// A destination does not fit its source.
    Destination {
        /// Of the mapping.
        source: Vec<u8>,
        /// Of the mapping.
        destination: Vec<u8>,
        /// What is wrong.
        error: TransformError,
    },
    /// The same destination twice.
    Duplicate {
        /// Of the mapping.
        source: Vec<u8>,
        /// Listed twice.
        destination: Vec<u8>,
    },
    /// One weight above 100.
    Weight(Vec<u8>),
    /// The weights of one cluster, or of those without, sum up to more than 100.
    TotalWeight(Vec<u8>),
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(source) => write!(f, "subject {} is not a valid subject", quoted(source)),
            Self::Destination { error, .. } => error.fmt(f),
            Self::Duplicate { destination, .. } => {
                write!(f, "duplicate entry for {}", quoted(destination))
            }
            Self::Weight(_) => f.write_str("individual weights need to be <= 100"),
            Self::TotalWeight(_) => f.write_str("total weight needs to be <= 100"),
        }
    }
}

impl std::error::Error for MappingError {}

/// What became of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapped {
    /// It stays as it is; nothing was written.
    Unchanged,
    /// It is replaced by what was written.
    To,
    /// The message is lost, as the weights demand.
    Dropped,
}

/// A destination, chosen when the roll is below `below`; without a transform the subject stays.
#[derive(Debug)]
struct Choice {
    below: u8,
    to: Option<Transform>,
}

#[derive(Debug)]
struct Mapping {
    source: Vec<u8>,
    choices: Vec<Choice>,
}

/// All mappings of one account, as they are on a server of one cluster.
#[derive(Debug, Default)]
pub struct Mappings {
    table: SubjectTable<Mapping>,
}

impl Mappings {
    /// Compiles for a server of `cluster` (empty when it is in none). A source given twice counts as given last.
    pub fn compile(specs: &[MappingSpec], cluster: &[u8]) -> Result<Self, MappingError> {
        let mut mappings = Self::default();
        for spec in specs {
            let choices = compile_choices(spec, cluster)?;
            let make = || Mapping { source: spec.source.clone(), choices: Vec::new() };
            match mappings.table.entry(&spec.source, make) {
                Some(mapping) => mapping.choices = choices,
                None => return Err(MappingError::Source(spec.source.clone())),
            }
        }
        Ok(mappings)
    }

    /// True when no subject is ever mapped.
    pub fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// Does some source match `subject`? When not, it is never changed, which a cache may remember.
    #[inline]
    pub fn concerns(&self, subject: &[u8]) -> bool {
        self.find(subject).is_some()
    }

    /// Maps `subject` and writes the result to `out`. `roll` is uniform in 0..100; `random(n)` gives 0 to n-1.
    pub fn apply(&self, subject: &[u8], roll: u32, random: &mut dyn FnMut(u32) -> u32, out: &mut Vec<u8>) -> Mapped {
        let Some(mapping) = self.find(subject) else {
            return Mapped::Unchanged;
        };
        let roll = roll % u32::from(WEIGHT_MAX);
        match mapping.choices.iter().find(|choice| roll < u32::from(choice.below)) {
            Some(Choice { to: Some(transform), .. }) => {
                transform.apply(subject, random, out);
                if out.len() > MAPPED_BYTES_MAX {
                    return Mapped::Dropped;
                }
                Mapped::To
            }
            Some(Choice { to: None, .. }) => Mapped::Unchanged,
            None => Mapped::Dropped,
        }
    }

    #[inline]
    fn find(&self, subject: &[u8]) -> Option<&Mapping> {
        // The table takes wildcards of the published subject for ordinary tokens; a mapping's `*` does not take a `>`.
        let has_full = memchr::memchr(b'>', subject).is_some();
        let mut found = None;
        self.table.visit(subject, |mapping| {
            let fits = !has_full || subject::covers(&mapping.source, subject);
            if fits {
                found = Some(mapping);
            }
            fits
        });
        found
    }
}

/// Checks all destinations and keeps those that count in `cluster`.
fn compile_choices(spec: &MappingSpec, cluster: &[u8]) -> Result<Vec<Choice>, MappingError> {
    let source = || spec.source.clone();
    let mut totals = HashMap::<&[u8], u8>::new();
    let mut transforms = Vec::new();
    for (at, destination) in spec.destinations.iter().enumerate() {
        let DestinationSpec { subject, weight, cluster } = destination;
        if spec.destinations.iter().take(at).any(|earlier| earlier.subject == *subject) {
            return Err(MappingError::Duplicate { source: source(), destination: subject.clone() });
        }
        if *weight > WEIGHT_MAX {
            return Err(MappingError::Weight(source()));
        }
        let total = totals.entry(cluster).or_default();
        *total += weight;
        if *total > WEIGHT_MAX {
            return Err(MappingError::TotalWeight(source()));
        }
        let transform = Transform::compile(&spec.source, subject).map_err(|error| MappingError::Destination {
            source: source(),
            destination: subject.clone(),
            error,
        })?;
        transforms.push((cluster.as_slice(), *weight, transform));
    }
    let scoped = !cluster.is_empty() && totals.contains_key(cluster);
    let group = if scoped { cluster } else { b"" };
    let mut below = 0;
    let mut choices = Vec::new();
    for (_, weight, transform) in transforms.into_iter().filter(|(of, ..)| *of == group) {
        below += weight;
        choices.push(Choice { below, to: Some(transform) });
    }
    let lists_itself = spec.destinations.iter().any(|destination| destination.subject == spec.source);
    if below < WEIGHT_MAX && !lists_itself {
        choices.push(Choice { below: WEIGHT_MAX, to: None });
    }
    Ok(choices)
}

#[cfg(test)]
mod tests;
