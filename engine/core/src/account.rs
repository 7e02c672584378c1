//! An account: an isolated space of subjects, and what happened in it.

use std::sync::Arc;

use crate::conn::Traffic;
use crate::fib::{Interest, Place, Routes};
use crate::hash::{seeded, BytesMap};
use crate::imports::Imports;
use crate::mapping::Mappings;

/// Most bytes that remembered routes of one account may take.
const ROUTES_BYTES_MAX: usize = 64 << 20;

/// The subjects of one account.
#[derive(Debug)]
pub struct Account {
    pub(crate) interest: Interest,
    pub(crate) routes: Routes,
    pub(crate) mappings: Option<Arc<Mappings>>,
    /// What it imports, if it imports anything.
    pub(crate) imported: Option<Box<Imported>>,
    /// Stream imports of others from here, by their subjects here.
    pub(crate) importers: Option<Box<Interest>>,
    pub(crate) traffic: Traffic,
    pub(crate) conns: u32,
    pub(crate) slow_consumers: u64,
    /// What other servers call it; empty until it is named.
    pub(crate) name: Box<[u8]>,
    /// Its place in a pool of connections to another server; without one it has a connection of its own.
    pub(crate) slot: Option<u32>,
    /// Other servers are told what the control plane wants in it.
    pub(crate) system: bool,
    /// Subscriptions of this server by `subject` or `subject queue`, counted while other servers are told of them.
    pub(crate) local: BytesMap<u32>,
}

/// What an account imports, as it is installed.
#[derive(Debug)]
pub(crate) struct Imported {
    pub imports: Arc<Imports>,
    /// For each stream import its number in the engine, and where it stands among the importers of its exporter.
    pub streams: Vec<(u32, Place)>,
    /// Service imports by their local subjects.
    pub services: Interest,
}

/// How an account's subjects were looked up so far, and what is remembered of it (reference: operations 6.8).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lookups {
    /// Subscriptions now.
    pub subs: usize,
    /// Subscriptions ever added.
    pub inserts: u64,
    /// Subscriptions ever removed.
    pub removes: u64,
    /// Subjects looked up, beside those that a connection publishes to again and again.
    pub matches: u64,
    /// Of these, those whose route was remembered.
    pub hits: u64,
    /// Routes that are remembered now.
    pub remembered: usize,
    /// Receivers of the remembered route that has most of them, and of all together.
    pub fanout_max: usize,
    /// See `fanout_max`.
    pub fanout_total: usize,
}

impl Account {
    /// Without `remember_routes` only the route in use is kept.
    pub(crate) fn new(seed: u64, remember_routes: bool) -> Self {
        Self {
            interest: Interest::new(seed),
            routes: Routes::new(seed, if remember_routes { ROUTES_BYTES_MAX } else { 0 }),
            mappings: None,
            imported: None,
            importers: None,
            traffic: Traffic::default(),
            conns: 0,
            slow_consumers: 0,
            name: Box::default(),
            slot: None,
            system: false,
            local: BytesMap::with_hasher(seeded(seed)),
        }
    }

    pub(crate) fn lookups(&self) -> Lookups {
        // One route in use is no memory.
        let kept = usize::from(self.routes.remembers());
        let (fanout_max, fanout_total) =
            self.routes.fanouts().fold((0, 0), |(max, total), fanout| (fanout.max(max), total + fanout));
        Lookups {
            subs: self.interest.len(),
            inserts: self.interest.inserts(),
            removes: self.interest.inserts() - self.interest.len() as u64,
            matches: self.routes.matches,
            hits: self.routes.hits,
            remembered: self.routes.len() * kept,
            fanout_max: fanout_max * kept,
            fanout_total: fanout_total * kept,
        }
    }
}
