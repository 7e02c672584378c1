//! What a user may do, judged by reading the lists from the start every time.

use std::sync::Arc;

use natsfleet_core::permit::{Permit, PermitSpec, ResponseSpec};
use natsfleet_core::subject;

use crate::chance::Chance;
use crate::operations::pattern;

type Entry = (Vec<u8>, Option<Vec<u8>>);

/// The lists. An allow list of `None` allows everything.
#[derive(Debug, Clone)]
pub struct Rights {
    publish_allow: Option<Vec<Vec<u8>>>,
    publish_deny: Vec<Vec<u8>>,
    subscribe_allow: Option<Vec<Entry>>,
    subscribe_deny: Vec<Entry>,
    /// Answers to a request, and nanoseconds to give them; negative is unlimited.
    pub responses: Option<(i64, i64)>,
}

fn matches(entry: &[u8], subject: &[u8]) -> bool {
    subject::has_no_empty_token(subject) && subject::matches(entry, subject)
}

fn covers(entry: &Entry, subject: &[u8], queue: Option<&[u8]>) -> bool {
    let fits = |wanted: &Vec<u8>| queue.is_some_and(|queue| subject::covers(wanted, queue));
    matches(&entry.0, subject) && entry.1.as_ref().is_none_or(fits)
}

impl Rights {
    /// Some rights, mostly wide ones.
    pub fn random(chance: &mut Chance) -> Self {
        let mut subjects =
            |most: usize| -> Vec<Vec<u8>> { (0..chance.below(most + 1)).map(|_| pattern(chance)).collect() };
        let (publish_allow, publish_deny) = (subjects(4), subjects(2));
        let mut entries = |most: usize| -> Vec<Entry> {
            let count = chance.below(most + 1);
            (0..count)
                .map(|_| {
                    (pattern(chance), chance.percent(30).then(|| chance.pick(&["q1", "q2", "*"]).as_bytes().to_vec()))
                })
                .collect()
        };
        let (subscribe_allow, subscribe_deny) = (entries(4), entries(2));
        let responses = [(1, 0), (2, 5_000_000_000), (-1, -1)][chance.below(3)];
        Self {
            publish_allow: chance.percent(40).then(|| [publish_allow, vec![b"a.>".to_vec()]].concat()),
            publish_deny,
            subscribe_allow: chance.percent(40).then(|| [subscribe_allow, vec![(b"a.>".to_vec(), None)]].concat()),
            subscribe_deny,
            responses: chance.percent(40).then_some(responses),
        }
    }

    /// The same, as the engine has it.
    pub fn compile(&self) -> Arc<Permit> {
        let text = |(subject, queue): &Entry| match queue {
            Some(queue) => [subject, b" ".as_slice(), queue].concat(),
            None => subject.clone(),
        };
        let spec = PermitSpec {
            publish_allow: self.publish_allow.clone(),
            publish_deny: self.publish_deny.clone(),
            subscribe_allow: self.subscribe_allow.as_ref().map(|list| list.iter().map(text).collect()),
            subscribe_deny: self.subscribe_deny.iter().map(text).collect(),
            responses: self.responses.map(|(max_msgs, expires_ns)| ResponseSpec { max_msgs, expires_ns }),
        };
        Arc::new(Permit::compile(&spec).unwrap_or_else(|error| panic!("{error} in {spec:?}")))
    }

    pub fn can_publish(&self, subject: &[u8]) -> bool {
        let any = |list: &[Vec<u8>]| list.iter().any(|entry| matches(entry, subject));
        let allowed = match &self.publish_allow {
            Some(list) => any(list),
            None => self.responses.is_none(),
        };
        allowed && !any(&self.publish_deny)
    }

    pub fn can_subscribe(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        let allowed = self.subscribe_allow.as_ref().is_none_or(|list| {
            let about_queues = queue.is_some() && list.iter().any(|e| e.1.is_some() && matches(&e.0, subject));
            list.iter().any(|e| e.1.is_some() == about_queues && covers(e, subject, queue))
        });
        allowed && !self.denies(subject, queue)
    }

    /// Is this subject denied to subscriptions, in that queue group?
    pub fn denies(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        self.subscribe_deny.iter().any(|entry| covers(entry, subject, queue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::literal_subject;

    #[test]
    fn the_lists_agree_with_the_compiled_permit() {
        let mut chance = Chance::new(1);
        for _ in 0..2000 {
            let rights = Rights::random(&mut chance);
            let permit = rights.compile();
            for _ in 0..20 {
                let (literal, pattern) = (literal_subject(&mut chance), pattern(&mut chance));
                let queue = chance.percent(50).then_some(&b"q1"[..]);
                assert_eq!(rights.can_publish(&literal), permit.can_publish(&literal), "{rights:?} {literal:?}");
                assert_eq!(rights.can_subscribe(&pattern, queue), permit.can_subscribe(&pattern, queue), "{rights:?}");
            }
        }
    }
}
