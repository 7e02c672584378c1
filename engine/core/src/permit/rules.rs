//! A list of permission entries, arranged for look-up: literal subjects in a hash table, the others in a token trie.

use std::collections::HashMap;

use super::PermitError;
use crate::subject::{self, TOKENS_MAX};

/// What is said about one entry subject.
#[derive(Debug, Default)]
struct Rule {
    /// Said without a queue.
    plain: bool,
    /// Queue patterns it was said for.
    queues: Vec<Box<[u8]>>,
}

/// One token position of the entries with wildcards.
#[derive(Debug, Default)]
struct Node {
    /// Sorted by token.
    literal: Vec<(Box<[u8]>, Node)>,
    star: Option<Box<Node>>,
    /// Of the entry that ends here with `>`.
    full: Option<Rule>,
    /// Of the entry that ends here.
    here: Option<Rule>,
}

impl Node {
    fn child(&self, token: &[u8]) -> Option<&Node> {
        let at = self
            .literal
            .binary_search_by(|(have, _)| (**have).cmp(token))
            .ok()?;
        self.literal.get(at).map(|(_, node)| node)
    }

    fn child_mut(&mut self, token: &[u8]) -> Option<&mut Node> {
        let at = match self
            .literal
            .binary_search_by(|(have, _)| (**have).cmp(token))
        {
            Ok(at) => at,
            Err(at) => {
                self.literal.insert(at, (token.into(), Node::default()));
                at
            }
        };
        self.literal.get_mut(at).map(|(_, node)| node)
    }

    /// The rule of a valid `entry`, made when missing.
    fn rule_mut(&mut self, entry: &[u8]) -> Option<&mut Rule> {
        let mut node = self;
        for token in subject::tokens(entry) {
            node = match token {
                b">" => return Some(node.full.get_or_insert_default()),
                b"*" => node.star.get_or_insert_default(),
                _ => node.child_mut(token)?,
            };
        }
        Some(node.here.get_or_insert_default())
    }

    /// Calls `visit` for each rule matching `rest` until it returns true; returns whether it did. Recurses at most
    /// [`TOKENS_MAX`] deep, since entries are no longer than that.
    fn visit<'a>(&'a self, rest: &[u8], visit: &mut impl FnMut(&'a Rule) -> bool) -> bool {
        if self.full.as_ref().is_some_and(&mut *visit) {
            return true;
        }
        let (token, tail) = match memchr::memchr(b'.', rest) {
            Some(dot) => rest.split_at(dot),
            None => (rest, &[][..]),
        };
        let children = [self.child(token), self.star.as_deref()];
        children
            .into_iter()
            .flatten()
            .any(|child| match tail.split_first() {
                Some((_, tail)) => child.visit(tail, visit),
                None => child.here.as_ref().is_some_and(&mut *visit),
            })
    }
}

/// What the entries say about a subject and a queue.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Some entry without a queue matches the subject.
    pub plain: bool,
    /// Some entry with a queue matches the subject, whatever its queue.
    pub queue_rules: bool,
    /// Some entry with a queue matches the subject and the queue asked about.
    pub queue: bool,
}

/// The entries of one allow or deny list.
#[derive(Debug, Default)]
pub(super) struct Rules {
    literal: HashMap<Box<[u8]>, Rule>,
    wild: Node,
    wild_len: usize,
    subjects: Vec<Box<[u8]>>,
}

impl Rules {
    /// Entries that are subjects.
    pub fn of_subjects(entries: &[Vec<u8>]) -> Result<Self, PermitError> {
        let mut rules = Self::default();
        for entry in entries {
            rules.insert(entry, None)?;
        }
        Ok(rules)
    }

    /// Entries that are `subject` or `subject queue`.
    pub fn of_subscriptions(entries: &[Vec<u8>]) -> Result<Self, PermitError> {
        let mut rules = Self::default();
        for entry in entries {
            let mut fields = entry
                .split(u8::is_ascii_whitespace)
                .filter(|field| !field.is_empty());
            match (fields.next(), fields.next(), fields.next()) {
                (Some(subject), Some(queue), None) => rules.insert(subject, Some(queue))?,
                _ => rules.insert(entry, None)?,
            }
        }
        Ok(rules)
    }

    fn insert(&mut self, entry: &[u8], queue: Option<&[u8]>) -> Result<(), PermitError> {
        if !subject::is_valid(entry) || subject::tokens(entry).count() > TOKENS_MAX {
            return Err(PermitError::Subject(entry.to_vec()));
        }
        if let Some(queue) = queue.filter(|queue| !subject::is_valid(queue)) {
            return Err(PermitError::Queue(queue.to_vec()));
        }
        let rule = if subject::has_wildcard(entry) {
            self.wild_len += 1;
            self.wild.rule_mut(entry)
        } else {
            Some(self.literal.entry(entry.into()).or_default())
        };
        match (rule, queue) {
            (Some(rule), Some(queue)) => rule.queues.push(queue.into()),
            (Some(rule), None) => rule.plain = true,
            (None, _) => return Err(PermitError::Subject(entry.to_vec())),
        }
        self.subjects.push(entry.into());
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// Does some entry without a queue match?
    #[inline]
    pub fn has(&self, subject: &[u8]) -> bool {
        self.visit(subject, |rule| rule.plain)
    }

    /// What the entries say about a subscription or a delivery.
    #[inline]
    pub fn find(&self, subject: &[u8], queue: Option<&[u8]>) -> Found {
        let mut found = Found::default();
        self.visit(subject, |rule| {
            found.plain |= rule.plain;
            found.queue_rules |= !rule.queues.is_empty();
            if let Some(queue) = queue {
                found.queue |= rule
                    .queues
                    .iter()
                    .any(|pattern| queue_matches(pattern, queue));
            }
            false
        });
        found
    }

    /// Could some entry match a subject that the subscription `pattern` matches too?
    pub fn overlaps(&self, pattern: &[u8]) -> bool {
        self.subjects
            .iter()
            .any(|entry| subject::overlap(entry, pattern))
    }

    #[inline]
    fn visit<'a>(&'a self, subject: &[u8], mut visit: impl FnMut(&'a Rule) -> bool) -> bool {
        if !self.literal.is_empty() && self.literal.get(subject).is_some_and(&mut visit) {
            return true;
        }
        self.wild_len > 0
            && subject::has_no_empty_token(subject)
            && self.wild.visit(subject, &mut visit)
    }
}

/// Does a queue name match the queue pattern of an entry? Unlike in subjects, a `>` in the name is not a token that `*`
/// stands for, and an empty token is matched by `>` only.
pub(super) fn queue_matches(pattern: &[u8], queue: &[u8]) -> bool {
    let mut want = subject::tokens(pattern);
    let mut have = subject::tokens(queue);
    loop {
        match (want.next(), have.next()) {
            (Some(b">"), Some(_)) => return true,
            (Some(b"*"), Some(token)) if !token.is_empty() && token != b">" => {}
            (Some(want), Some(token)) if want == token => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}
