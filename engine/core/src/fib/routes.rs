//! What a published subject resolves to, remembered until interest changes.
//!
//! A change of a literal subject forgets that subject's route only; a change of a wildcard forgets all. `stamp` lets
//! a connection keep the number of a route and see cheaply whether it still holds.

use crate::conn::Kind;
use crate::hash::{seeded, BytesMap};
use crate::slab::Slab;

/// What a remembered route costs beside its targets: its places in the two tables.
const ENTRY_BYTES: usize = 160;

/// One receiver of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Subscription number.
    pub sub: u32,
    /// Connection that owns it.
    pub conn: u32,
    /// The ready-made start of the frame it receives (`MSG subject sid `), in `Route::prefixes`.
    pub prefix_at: u32,
    /// Length of that start.
    pub prefix_len: u32,
}

/// Another server that wants a subject. It gets a message once, whatever it wants it for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Connection to it.
    pub conn: u32,
    /// What it is.
    pub kind: Kind,
    /// It wants the subject outside of queue groups.
    pub plain: bool,
    /// The ready-made start of its frame (`RMSG account subject `), in `Route::prefixes`.
    pub prefix_at: u32,
    /// Length of that start.
    pub prefix_len: u32,
}

/// A queue group of a subject: one member gets each message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRoute {
    /// Name of the group.
    pub name: Box<[u8]>,
    /// Its members, over all matching patterns.
    pub members: Vec<Target>,
    /// Servers with members of it: the place in `Route::peers`, and how many members.
    pub remote: Vec<(u32, u32)>,
}

/// All receivers of a subject.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Route {
    /// Subscriptions outside of queue groups.
    pub plain: Vec<Target>,
    /// Queue groups.
    pub queues: Vec<QueueRoute>,
    /// Other servers that want the subject.
    pub peers: Vec<Peer>,
    /// Frame starts of all targets.
    pub prefixes: Vec<u8>,
    /// Service imports that take the subject to other accounts, by their place in the account's imports.
    pub services: Vec<u32>,
}

impl Route {
    /// The ready-made start of the frame for `target`.
    #[inline]
    pub fn prefix(&self, target: &Target) -> &[u8] {
        let at = target.prefix_at as usize;
        self.prefixes.get(at..at + target.prefix_len as usize).unwrap_or(&[])
    }

    /// The ready-made start of the frame for `peer`.
    pub fn peer_prefix(&self, peer: &Peer) -> &[u8] {
        let at = peer.prefix_at as usize;
        self.prefixes.get(at..at + peer.prefix_len as usize).unwrap_or(&[])
    }

    /// Roughly the memory that the route takes.
    fn bytes(&self) -> usize {
        let targets = self.plain.len() + self.queues.iter().map(|q| q.members.len()).sum::<usize>();
        targets * std::mem::size_of::<Target>()
            + self.queues.len() * std::mem::size_of::<QueueRoute>()
            + self.queues.iter().map(|q| q.remote.len()).sum::<usize>() * std::mem::size_of::<(u32, u32)>()
            + self.peers.len() * std::mem::size_of::<Peer>()
            + self.prefixes.len()
            + self.services.len() * std::mem::size_of::<u32>()
    }

    /// True when nobody receives the subject.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.queues.is_empty() && self.peers.is_empty() && self.services.is_empty()
    }
}

/// Routes by subject, for one account.
#[derive(Debug)]
pub struct Routes {
    by_subject: BytesMap<u32>,
    routes: Slab<Route>,
    stamp: u64,
    bytes: usize,
    bytes_max: usize,
    pub(crate) matches: u64,
    pub(crate) hits: u64,
}

impl Routes {
    /// Remembers routes until they take `bytes_max` bytes; then it starts afresh.
    pub fn new(seed: u64, bytes_max: usize) -> Self {
        Self {
            by_subject: BytesMap::with_hasher(seeded(seed)),
            routes: Slab::default(),
            stamp: 1,
            bytes: 0,
            bytes_max,
            matches: 0,
            hits: 0,
        }
    }

    /// Changes whenever any remembered route was forgotten.
    #[inline]
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// The remembered route of `subject`.
    #[inline]
    pub fn find(&self, subject: &[u8]) -> Option<u32> {
        self.by_subject.get(subject).copied()
    }

    /// How many routes are remembered.
    pub fn len(&self) -> usize {
        self.by_subject.len()
    }

    /// False when only the route in use is kept.
    pub fn remembers(&self) -> bool {
        self.bytes_max > 0
    }

    /// True when nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.by_subject.is_empty()
    }

    /// The number of receivers of each remembered route; a queue group is one.
    pub(crate) fn fanouts(&self) -> impl Iterator<Item = usize> + '_ {
        self.routes.iter().map(|(_, route)| route.plain.len() + route.queues.len())
    }

    /// The route numbered `at`.
    #[inline]
    pub fn get(&self, at: u32) -> Option<&Route> {
        self.routes.get(at)
    }

    /// Remembers `route` and returns its number.
    pub fn insert(&mut self, subject: &[u8], route: Route) -> u32 {
        let bytes = route.bytes() + subject.len() + ENTRY_BYTES;
        if self.bytes + bytes > self.bytes_max {
            self.forget_all();
        }
        self.bytes += bytes;
        let at = self.routes.insert(route);
        if let Some(old) = self.by_subject.insert(subject.into(), at) {
            self.routes.remove(old);
            self.stamp += 1;
        }
        at
    }

    /// Interest in exactly this literal subject changed.
    pub fn forget(&mut self, subject: &[u8]) {
        if let Some(at) = self.by_subject.remove(subject) {
            if let Some(route) = self.routes.remove(at) {
                self.bytes = self.bytes.saturating_sub(route.bytes() + subject.len() + ENTRY_BYTES);
            }
            self.stamp += 1;
        }
    }

    /// Something that every remembered route may depend on changed.
    pub fn forget_everything(&mut self) {
        self.forget_all();
        self.stamp += 1;
    }

    /// Interest in a wildcard changed.
    pub fn forget_all(&mut self) {
        if self.by_subject.is_empty() {
            return;
        }
        self.by_subject.clear();
        self.routes = Slab::default();
        self.bytes = 0;
        self.stamp += 1;
    }
}
