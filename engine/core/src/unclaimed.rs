//! What other servers want in accounts that are not known here. It waits on the connection until a reload makes the account
//! known, since nobody would say it again (reference: wire protocol 2.10).

use crate::conn::Conn;
use crate::engine::Engine;

impl Conn {
    /// Notes interest in an account that is not known; false when the connection has too much of it all together.
    pub(crate) fn note_unclaimed(&mut self, account: &[u8], subject: &[u8], queue: Option<(&[u8], u32)>) -> bool {
        let key = key(account, subject, queue.map(|(name, _)| name));
        let full = self.subs.len() + self.unclaimed.len() >= self.admission.subs_max as usize;
        if full && !self.unclaimed.contains_key(key.as_slice()) {
            return false;
        }
        self.unclaimed.insert(key.into(), queue.map_or(1, |(_, weight)| weight));
        true
    }

    /// That interest is gone.
    pub(crate) fn drop_unclaimed(&mut self, account: &[u8], subject: &[u8], queue: Option<&[u8]>) {
        if !self.unclaimed.is_empty() {
            self.unclaimed.remove(key(account, subject, queue).as_slice());
        }
    }

    /// Takes out what is wanted in an account: `subject` or `subject queue`, and how many members that stands for.
    pub(crate) fn take_unclaimed(&mut self, account: &[u8]) -> Vec<(Vec<u8>, u32)> {
        let start = [account, b" "].concat();
        let mut taken = Vec::new();
        self.unclaimed.retain(|key, &mut weight| match key.strip_prefix(start.as_slice()) {
            Some(interest) => {
                taken.push((interest.to_vec(), weight));
                false
            }
            None => true,
        });
        taken
    }
}

impl Engine {
    /// An account is known now: what other servers want in it counts from here on.
    pub(crate) fn claim(&mut self, account: &[u8]) {
        for at in 0..self.peers.len() {
            let Some(&slot) = self.peers.get(at) else { break };
            let taken = self.conns.get_mut(slot).map(|conn| conn.take_unclaimed(account)).unwrap_or_default();
            for (interest, weight) in taken {
                let mut words = interest.split(|&b| b == b' ');
                let subject = words.next().unwrap_or(&[]);
                self.peer_wants(slot, account, subject, words.next().map(|queue| (queue, weight)));
            }
        }
    }
}

/// Neither part has blanks in it.
fn key(account: &[u8], subject: &[u8], queue: Option<&[u8]>) -> Vec<u8> {
    let mut key = [account, b" ", subject].concat();
    if let Some(queue) = queue {
        key.push(b' ');
        key.extend_from_slice(queue);
    }
    key
}
