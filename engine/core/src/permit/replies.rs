//! Reply subjects that a connection may publish to because it was asked on them (reference: security 9.4).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::ResponseSpec;

/// Reply subjects remembered per connection; beyond it the oldest is forgotten.
pub const REPLIES_MAX: usize = 65_536;
/// Bytes of reply subjects remembered per connection; beyond it the oldest is forgotten.
pub const REPLIES_BYTES_MAX: usize = 4 << 20;

/// What is left of a permission to answer.
#[derive(Debug)]
struct Open {
    /// None when unlimited.
    left: Option<u64>,
    /// None when it never expires.
    until_ns: Option<i64>,
    /// Number of its latest note; tells its current place in the order from outdated ones.
    noted: u64,
}

/// Up to this many places, of together so many bytes, nothing is swept.
const SWEEP_MIN: usize = 64;
const SWEEP_MIN_BYTES: usize = 64 << 10;

impl Open {
    fn is_alive(&self, now_ns: i64) -> bool {
        self.left != Some(0) && self.until_ns.is_none_or(|until| now_ns < until)
    }
}

/// The open reply subjects of one connection. Every delivered request adds to what may be sent to its reply subject:
/// two requests that name the same one may be answered twice.
///
/// Bounded by [`REPLIES_MAX`] and [`REPLIES_BYTES_MAX`]: expired ones go first, then those asked for longest ago.
#[derive(Debug, Default)]
pub struct Replies {
    open: HashMap<Arc<[u8]>, Open>,
    /// Subjects by their latest request; places outdated since are skipped, and swept once they are the majority.
    order: VecDeque<(Arc<[u8]>, u64)>,
    /// Bytes of the open subjects.
    bytes: usize,
    /// Bytes of all places in the order.
    held_bytes: usize,
    notes: u64,
    sweep_at: usize,
    sweep_at_bytes: usize,
}

impl Replies {
    /// A message asking for an answer on `reply` was delivered at `now_ns`. Call it only when the connection may not
    /// publish to `reply` anyway.
    pub fn note(&mut self, reply: &[u8], spec: ResponseSpec, now_ns: i64) {
        if reply.is_empty() || reply.len() > REPLIES_BYTES_MAX {
            return;
        }
        let granted = u64::try_from(spec.max_msgs).ok();
        let until_ns = (spec.expires_ns >= 0).then(|| now_ns.saturating_add(spec.expires_ns));
        let (key, left) = match self.open.remove_entry(reply) {
            Some((key, open)) => {
                self.bytes = self.bytes.saturating_sub(key.len());
                let left = match (open.left.filter(|_| open.is_alive(now_ns)), granted) {
                    (Some(left), Some(granted)) => Some(left.saturating_add(granted)),
                    (_, granted) => granted,
                };
                (key, left)
            }
            None => (Arc::from(reply), granted),
        };
        self.notes += 1;
        let noted = self.notes;
        self.bytes += reply.len();
        self.held_bytes += reply.len();
        self.order.push_back((Arc::clone(&key), noted));
        self.open.insert(key, Open { left, until_ns, noted });
        if self.order.len() > self.sweep_at.max(SWEEP_MIN) || self.held_bytes > self.sweep_at_bytes.max(SWEEP_MIN_BYTES)
        {
            self.sweep(now_ns);
        }
        while self.open.len() > REPLIES_MAX || self.bytes > REPLIES_BYTES_MAX {
            self.forget_oldest();
        }
    }

    /// May one message be published to `reply` now? Uses up one of the messages granted.
    pub fn take(&mut self, reply: &[u8], now_ns: i64) -> bool {
        let Some(open) = self.open.get_mut(reply) else {
            return false;
        };
        let alive = open.is_alive(now_ns);
        if let (true, Some(left)) = (alive, &mut open.left) {
            *left = left.saturating_sub(1);
        }
        if !open.is_alive(now_ns) {
            self.open.remove(reply);
            self.bytes = self.bytes.saturating_sub(reply.len());
        }
        alive
    }

    /// How many reply subjects are open, including expired ones that were not yet forgotten.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// True when nothing may be answered.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Forgets everything used up, outdated or expired. Runs when the order has doubled since the last time,
    /// so that its cost spreads over the notes in between.
    fn sweep(&mut self, now_ns: i64) {
        let Self { open, order, .. } = self;
        let mut bytes = 0;
        open.retain(|_, open| open.is_alive(now_ns));
        order.retain(|(reply, noted)| {
            let current = open.get(reply).is_some_and(|open| open.noted == *noted);
            bytes += if current { reply.len() } else { 0 };
            current
        });
        self.bytes = bytes;
        self.held_bytes = bytes;
        self.sweep_at = order.len().saturating_mul(2);
        self.sweep_at_bytes = bytes.saturating_mul(2);
    }

    fn forget_oldest(&mut self) {
        let Some((reply, noted)) = self.order.pop_front() else {
            return;
        };
        self.held_bytes = self.held_bytes.saturating_sub(reply.len());
        if self.open.get(&reply).is_some_and(|open| open.noted == noted) {
            self.open.remove(&reply);
            self.bytes = self.bytes.saturating_sub(reply.len());
        }
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> (usize, usize) {
        (self.order.len(), self.held_bytes)
    }
}
