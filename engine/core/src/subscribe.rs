//! SUB and UNSUB (reference: wire protocol 1.9, 1.17).

use crate::conn::Sub;
use crate::engine::Engine;
use crate::errors::{self, CloseReason};
use crate::event::{Event, Violation};
use crate::subject;

/// Queue group name that servers keep for themselves.
const RESERVED_QUEUE: &[u8] = b"_sys_";

impl Engine {
    pub(crate) fn subscribe(&mut self, slot: u32, subject: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
        let Some(conn) = self.conns.get(slot) else { return };
        let verbose = conn.admission.wishes.verbose;
        let permitted = conn.admission.permit.as_ref().is_none_or(|permit| permit.can_subscribe(subject, queue));
        if !permitted || queue == Some(RESERVED_QUEUE) {
            let text = violation(subject, queue);
            self.refuse_subscription(slot, (subject, queue, sid), &text);
            return;
        }
        let tokens_max = self.settings.sub_tokens_max as usize;
        if tokens_max > 0 && subject::tokens(subject).take(tokens_max + 1).count() > tokens_max {
            let mut text = violation(subject, queue);
            text.extend_from_slice(errors::VIOLATION_TOO_MANY_TOKENS.as_bytes());
            self.refuse_subscription(slot, (subject, queue, sid), &text);
            return;
        }
        if conn.subs.len() >= conn.admission.subs_max as usize {
            self.send_err(slot, errors::MAXIMUM_SUBSCRIPTIONS_EXCEEDED.as_bytes());
            return;
        }
        if !conn.subs.contains_key(sid) {
            // Deeper patterns than this cannot be walked in bounded time and space.
            if !subject::is_valid(subject) || subject::tokens(subject).nth(subject::TOKENS_MAX).is_some() {
                self.send_err(slot, errors::INVALID_SUBJECT.as_bytes());
                return;
            }
            self.add_sub(slot, subject, queue, sid);
        }
        if verbose {
            self.send(slot, b"+OK\r\n");
        }
    }

    fn refuse_subscription(&mut self, slot: u32, asked: (&[u8], Option<&[u8]>, &[u8]), text: &[u8]) {
        let (subject, queue, sid) = asked;
        self.send_err(slot, text);
        let Some(conn) = self.conns.get(slot) else { return };
        self.events.push(Event::Violation {
            cid: conn.admission.cid,
            kind: Violation::Subscribe,
            subject: subject.into(),
            queue: queue.unwrap_or(&[]).into(),
            sid: sid.into(),
        });
    }

    fn add_sub(&mut self, slot: u32, subject: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
        let Self { conns, accounts, subs, .. } = self;
        let Some(conn) = conns.get_mut(slot) else { return };
        let number = conn.admission.account;
        let Some(account) = accounts.get_mut(number as usize) else { return };
        let filtered = conn.admission.permit.as_ref().is_some_and(|p| p.delivery_filter_needed(subject));
        let sub = subs.insert(Sub {
            conn: slot,
            account: number,
            delivered: 0,
            max: 0,
            weight: 0,
            filtered,
            place: account.interest.insert(subject, 0),
            subject: subject.into(),
            queue: queue.map(Into::into),
            sid: sid.into(),
        });
        // The number is only known now: put it where the placeholder went.
        if let Some(entry) = subs.get(sub) {
            account.interest.set(entry.place, sub);
        }
        conn.subs.insert(sid.into(), sub);
        self.forget_routes(number, subject);
        if self.settings.routes {
            self.interest_grew(slot, number, subject, queue);
        }
    }

    /// Interest in `subject` changed.
    fn forget_routes(&mut self, number: u32, subject: &[u8]) {
        let Some(account) = self.accounts.get_mut(number as usize) else { return };
        if subject::has_wildcard(subject) {
            account.routes.forget_all();
        } else {
            account.routes.forget(subject);
        }
        if account.imported.is_some() {
            self.forget_imported_routes(number, subject);
        }
    }

    /// The control plane wants what is published on `subject`; it arrives as events with `tag`. Returns false for an
    /// invalid subject or a tag in use.
    pub fn subscribe_internal(&mut self, account: u32, subject: &[u8], queue: Option<&[u8]>, tag: u64) -> bool {
        let slot = self.internal_slot();
        let sid = tag.to_string();
        let Some(conn) = self.conns.get_mut(slot) else { return false };
        if conn.subs.contains_key(sid.as_bytes()) || !subject::is_valid(subject) {
            return false;
        }
        conn.admission.account = account;
        self.add_sub(slot, subject, queue, sid.as_bytes());
        true
    }

    /// Ends a subscription of the control plane.
    pub fn unsubscribe_internal(&mut self, tag: u64) {
        let slot = self.internal_slot();
        let sid = tag.to_string();
        if let Some(sub) = self.conns.get(slot).and_then(|conn| conn.subs.get(sid.as_bytes()).copied()) {
            self.remove_sub(sub);
        }
    }

    pub(crate) fn unsubscribe(&mut self, slot: u32, sid: &[u8], max: u64) {
        let Some(conn) = self.conns.get(slot) else { return };
        let verbose = conn.admission.wishes.verbose;
        if let Some(&number) = conn.subs.get(sid) {
            match self.subs.get_mut(number) {
                Some(sub) if max > sub.delivered => sub.max = max,
                _ => self.remove_sub(number),
            }
        }
        if verbose {
            self.send(slot, b"+OK\r\n");
        }
    }

    /// Takes a subscription out of everything.
    pub(crate) fn remove_sub(&mut self, number: u32) {
        let Some(sub) = self.subs.remove(number) else { return };
        if let Some(conn) = self.conns.get_mut(sub.conn) {
            conn.subs.remove(&sub.sid);
        }
        if self.settings.trace {
            self.trace_end_of(&sub);
        }
        let Some(account) = self.accounts.get_mut(sub.account as usize) else { return };
        if let Some(moved) = account.interest.remove(&sub.subject, sub.place) {
            if let Some(moved) = self.subs.get_mut(moved) {
                moved.place = sub.place;
            }
        }
        self.forget_routes(sub.account, &sub.subject);
        if self.settings.routes && sub.weight == 0 {
            self.interest_shrank(&sub);
        }
    }

    /// Removes all subscriptions of a connection and says how many there were.
    pub(crate) fn drop_subs(&mut self, slot: u32) -> u32 {
        let Some(conn) = self.conns.get_mut(slot) else { return 0 };
        let subs = std::mem::take(&mut conn.subs);
        for &number in subs.values() {
            self.remove_sub(number);
        }
        subs.len() as u32
    }

    /// Removes those of `subs` that their user may not have any more, and tells the client.
    pub(crate) fn recheck_subs(&mut self, slot: u32, subs: &[u32]) -> Vec<String> {
        let mut removed = Vec::new();
        for &number in subs {
            let Some(conn) = self.conns.get(slot) else { break };
            let permit = conn.admission.permit.clone();
            let Some(sub) = self.subs.get_mut(number) else { continue };
            let Some(permit) = permit else {
                sub.filtered = false;
                continue;
            };
            if permit.can_subscribe(&sub.subject, sub.queue.as_deref()) {
                sub.filtered = permit.delivery_filter_needed(&sub.subject);
                continue;
            }
            let mut text = violation(&sub.subject, sub.queue.as_deref());
            errors::push_violation_sid(&mut text, &sub.sid);
            removed.push(format!(
                "{:?} (sid {:?})",
                String::from_utf8_lossy(&sub.subject),
                String::from_utf8_lossy(&sub.sid)
            ));
            self.remove_sub(number);
            self.send_err(slot, &text);
        }
        removed
    }

    /// Closes a connection whose subscription limit was lowered below what it has.
    pub fn close_if_over_subs(&mut self, cid: u64) {
        let Some(slot) = self.slot_of(cid) else { return };
        let over = self.conns.get(slot).is_some_and(|c| c.subs.len() > c.admission.subs_max as usize);
        if over {
            let text = errors::MAXIMUM_SUBSCRIPTIONS_EXCEEDED;
            self.close_now(slot, CloseReason::MaximumSubscriptionsExceeded, Some(text), "");
        }
    }
}

fn violation(subject: &[u8], queue: Option<&[u8]>) -> Vec<u8> {
    let mut text = Vec::new();
    errors::push_permissions_violation_for_subscription(&mut text, subject);
    if let Some(queue) = queue {
        errors::push_violation_using_queue(&mut text, queue);
    }
    text
}
