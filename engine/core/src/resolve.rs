//! What a subject resolves to in an account: everybody who gets a message that is delivered there.

use crate::conn::Sub;
use crate::engine::Engine;
use crate::fib::{QueueRoute, Route, Target};

impl Engine {
    /// The number of the route of `subject`, compiled now if it is not remembered.
    pub(crate) fn route_for(&mut self, number: u32, subject: &[u8]) -> u32 {
        let Some(account) = self.accounts.get_mut(number as usize) else { return u32::MAX };
        account.routes.matches += 1;
        if let Some(route) = account.routes.find(subject) {
            account.routes.hits += 1;
            return route;
        }
        let mut route = Route::default();
        self.add_targets(number, subject, &mut route);
        if !self.peers.is_empty() {
            self.add_peers(number, subject, &mut route);
        }
        if let Some(account) = self.accounts.get(number as usize) {
            if account.importers.is_some() || account.imported.is_some() {
                self.add_crossings(number, subject, &mut route);
            }
        }
        self.accounts.get_mut(number as usize).map_or(u32::MAX, |account| account.routes.insert(subject, route))
    }

    /// Adds the subscriptions of an account that get what is delivered there on `subject`. What other servers want there
    /// stays out: an importing account is told of by the name of the exporting one.
    pub(crate) fn add_targets(&self, number: u32, subject: &[u8], route: &mut Route) {
        let Some(account) = self.accounts.get(number as usize) else { return };
        account.interest.matching(subject, |found| {
            for &sub in found {
                if let Some(entry) = self.subs.get(sub).filter(|entry| entry.weight == 0) {
                    add_target(route, subject, sub, entry);
                }
            }
        });
    }
}

fn add_target(route: &mut Route, subject: &[u8], sub: u32, entry: &Sub) {
    let prefix_at = route.prefixes.len() as u32;
    route.prefixes.extend_from_slice(b"HMSG ");
    route.prefixes.extend_from_slice(subject);
    route.prefixes.push(b' ');
    route.prefixes.extend_from_slice(&entry.sid);
    route.prefixes.push(b' ');
    let prefix_len = route.prefixes.len() as u32 - prefix_at;
    let target = Target { sub, conn: entry.conn, prefix_at, prefix_len };
    let Some(queue) = &entry.queue else {
        route.plain.push(target);
        return;
    };
    if let Some(known) = group_of(route, queue) {
        known.members.push(target);
    }
}

pub(crate) fn group_of<'a>(route: &'a mut Route, queue: &[u8]) -> Option<&'a mut QueueRoute> {
    let at = match route.queues.iter().position(|q| *q.name == *queue) {
        Some(at) => at,
        None => {
            route.queues.push(QueueRoute { name: queue.into(), members: Vec::new(), remote: Vec::new() });
            route.queues.len() - 1
        }
    };
    route.queues.get_mut(at)
}
