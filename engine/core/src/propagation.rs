//! What other servers of the cluster are told of the subscriptions here (reference: wire protocol 2.10).
//!
//! A server that joins is told everything in one batch; after that all hear of the first and the last subscription to a
//! subject, and of every change in the number of a queue group's members. Never told: what other servers want (one hop),
//! what the other processes of this node want, and what the control plane wants outside of the system account, where every
//! server answers for itself.

use crate::conn::{Kind, Sub};
use crate::engine::Engine;
use crate::imports::Stream;
use crate::subject;

impl Engine {
    /// Gives an account the name by which other servers know it, and its place in the pool of connections to each of them;
    /// without `slot` it has a connection of its own. What the control plane wants in it is told to them only with `system`.
    /// To be called again when its place has changed.
    pub fn name_account(&mut self, number: u32, name: &[u8], system: bool, slot: Option<u32>) {
        let mut before = self.carriers(number);
        let Some(account) = self.accounts.get_mut(number as usize) else { return };
        let is_new = account.name.is_empty();
        account.name = name.into();
        account.system = system;
        account.slot = slot;
        self.account_names.insert(name.into(), number);
        if is_new {
            before.clear();
            self.claim(name);
        }
        let after = self.carriers(number);
        for &peer in before.iter().filter(|peer| !after.contains(peer)) {
            self.tell_all(peer, number, false);
        }
        for &peer in after.iter().filter(|peer| !before.contains(peer)) {
            self.tell_all(peer, number, true);
        }
    }

    /// The connections over which other servers are told what is wanted in an account.
    fn carriers(&self, number: u32) -> Vec<u32> {
        let slot = self.accounts.get(number as usize).and_then(|account| account.slot);
        let carries = |peer: &u32| self.conns.get(*peer).is_some_and(|conn| conn.carries(number, slot));
        self.peers.iter().copied().filter(carries).collect()
    }

    /// Another server joined: it hears all interest at once.
    pub(crate) fn join_peer(&mut self, slot: u32) {
        self.peers.push(slot);
        for number in 0..self.accounts.len() as u32 {
            let Some(account) = self.accounts.get(number as usize).filter(|account| !account.name.is_empty()) else {
                continue;
            };
            if self.conns.get(slot).is_some_and(|conn| conn.carries(number, account.slot)) {
                self.tell_all(slot, number, true);
            }
        }
    }

    /// Tells one server everything that is wanted in an account, or that nothing of it is any more.
    fn tell_all(&mut self, peer: u32, number: u32, wanted: bool) {
        let named = self.conns.get(peer).is_some_and(|conn| conn.names_accounts());
        let Some(account) = self.accounts.get(number as usize) else { return };
        let name = Some(&*account.name).filter(|_| named);
        let mut batch = Vec::new();
        let mut lines = Vec::new();
        for (interest, &count) in &account.local {
            let (subject, queue) = split_interest(interest);
            if !self.conns.get(peer).is_some_and(|conn| conn.may_import(subject)) {
                continue;
            }
            push_interest(&mut batch, name, subject, queue, if wanted { count } else { 0 });
            if self.settings.trace {
                lines.push(std::mem::take(&mut batch));
            }
        }
        // The log shows what is sent by the line.
        for line in lines {
            self.send(peer, &line);
        }
        if !batch.is_empty() {
            self.send(peer, &batch);
        }
    }

    /// A subscription came to be on the connection in `slot`.
    pub(crate) fn interest_grew(&mut self, slot: u32, number: u32, subject: &[u8], queue: Option<&[u8]>) {
        if self.is_told(slot, number) {
            self.count_interest(number, subject, queue, true);
            for (exporter, remote) in self.abroad(number, subject) {
                self.count_interest(exporter, &remote, queue, true);
            }
        }
    }

    /// A subscription is gone.
    pub(crate) fn interest_shrank(&mut self, sub: &Sub) {
        if self.is_told(sub.conn, sub.account) {
            let queue = sub.queue.as_deref();
            self.count_interest(sub.account, &sub.subject, queue, false);
            for (exporter, remote) in self.abroad(sub.account, &sub.subject) {
                self.count_interest(exporter, &remote, queue, false);
            }
        }
    }

    /// What an account imports is about to change, or has changed: with it changes what its subscriptions want of others.
    pub(crate) fn recount_abroad(&mut self, number: u32, grow: bool) {
        let of_account = self.subs.iter().map(|(_, sub)| sub).filter(|sub| sub.account == number && sub.weight == 0);
        let told = of_account.filter(|sub| self.is_told(sub.conn, number));
        let wanted: Vec<_> = told.map(|sub| (sub.subject.clone(), sub.queue.clone())).collect();
        for (subject, queue) in wanted {
            for (exporter, remote) in self.abroad(number, &subject) {
                self.count_interest(exporter, &remote, queue.as_deref(), grow);
            }
        }
    }

    /// Answers to requests that crossed into an account come back there, under subjects that start like this.
    pub(crate) fn want_answers(&mut self, number: u32, prefix: &[u8]) {
        if self.settings.routes {
            self.count_interest(number, &[prefix, b">"].concat(), None, true);
        }
    }

    /// What a subscription wants of other accounts by stream imports: their numbers, and subjects there.
    fn abroad(&self, number: u32, subject: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let Some(account) = self.accounts.get(number as usize) else { return Vec::new() };
        let Some(imported) = &account.imported else { return Vec::new() };
        let remote = |stream: &Stream| {
            let wanted = subject::intersection(&stream.local, subject)?;
            let mut remote = Vec::new();
            stream.abroad.apply(&wanted, &mut |_| 0, &mut remote);
            Some((stream.exporter, remote))
        };
        imported.imports.streams.iter().filter_map(remote).collect()
    }

    fn count_interest(&mut self, number: u32, subject: &[u8], queue: Option<&[u8]>, grow: bool) {
        let Some(account) = self.accounts.get_mut(number as usize) else { return };
        let key = interest_key(subject, queue);
        let before = account.local.get(key.as_slice()).copied().unwrap_or(0);
        let count = if grow { before.saturating_add(1) } else { before.saturating_sub(1) };
        if count == before {
            return;
        }
        if count == 0 {
            account.local.remove(key.as_slice());
        } else {
            account.local.insert(key.into(), count);
        }
        if queue.is_some() || count == 0 || before == 0 {
            self.tell_peers(number, subject, queue, count);
        }
    }

    fn is_told(&self, slot: u32, account: u32) -> bool {
        match self.conns.get(slot).map(|conn| conn.kind) {
            Some(Kind::Client) => true,
            Some(Kind::Internal) => self.accounts.get(account as usize).is_some_and(|account| account.system),
            _ => false,
        }
    }

    fn tell_peers(&mut self, number: u32, subject: &[u8], queue: Option<&[u8]>, count: u32) {
        let Some(account) = self.accounts.get(number as usize).filter(|account| !account.name.is_empty()) else {
            return;
        };
        if self.peers.is_empty() {
            return;
        }
        let mut lines = [Vec::new(), Vec::new()];
        for (line, name) in lines.iter_mut().zip([None, Some(&*account.name)]) {
            push_interest(line, name, subject, queue, count);
        }
        for peer in self.carriers(number) {
            let Some(conn) = self.conns.get(peer).filter(|conn| conn.may_import(subject)) else { continue };
            if let Some(line) = lines.get(usize::from(conn.names_accounts())) {
                self.send(peer, line);
            }
        }
    }
}

/// `subject` or `subject queue`: neither has blanks in it.
fn interest_key(subject: &[u8], queue: Option<&[u8]>) -> Vec<u8> {
    match queue {
        None => subject.to_vec(),
        Some(queue) => [subject, b" ", queue].concat(),
    }
}

fn split_interest(key: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b' ', key) {
        None => (key, None),
        Some(gap) => (key.get(..gap).unwrap_or(&[]), key.get(gap + 1..)),
    }
}

/// `RS+ [account] subject [queue weight]`, or `RS-` when nobody is left.
fn push_interest(out: &mut Vec<u8>, account: Option<&[u8]>, subject: &[u8], queue: Option<&[u8]>, count: u32) {
    out.extend_from_slice(if count == 0 { b"RS- " } else { b"RS+ " });
    if let Some(account) = account {
        out.extend_from_slice(account);
        out.push(b' ');
    }
    out.extend_from_slice(subject);
    if let Some(queue) = queue {
        out.push(b' ');
        out.extend_from_slice(queue);
        if count > 0 {
            out.extend_from_slice(format!(" {count}").as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}
