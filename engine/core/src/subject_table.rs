//! Values filed under subjects with wildcards, for lists that are compiled once and asked per message: literal subjects
//! in a hash table, the others in a token trie.
//!
//! A look-up visits what matches, the most specific first: the literal subject, then, token by token from the left, a
//! literal before `*` before `>`. Subjects asked about are taken literally; one with an empty token matches nothing.
//!
//! Deliberately absent: removal. Interest changes all the time and has its own structure.

use std::collections::HashMap;

use crate::subject::{self, TOKENS_MAX};

/// Keys come from a configuration, not from the network, so that no secret seed is needed.
type Keyed<V> = HashMap<Box<[u8]>, V, foldhash::fast::FixedState>;

/// One token position of the subjects with wildcards.
#[derive(Debug)]
struct Node<V> {
    literal: Keyed<Node<V>>,
    star: Option<Box<Node<V>>>,
    /// Of the subject that ends here with `>`.
    full: Option<V>,
    /// Of the subject that ends here.
    here: Option<V>,
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { literal: Keyed::default(), star: None, full: None, here: None }
    }
}

impl<V> Node<V> {
    /// The place of the value of a valid `pattern`.
    fn place(&mut self, pattern: &[u8]) -> &mut Option<V> {
        let mut node = self;
        for token in subject::tokens(pattern) {
            node = match token {
                b">" => return &mut node.full,
                b"*" => node.star.get_or_insert_default(),
                _ => node.literal.entry(token.into()).or_default(),
            };
        }
        &mut node.here
    }

    /// Recurses at most [`TOKENS_MAX`] deep, since patterns are no longer than that.
    fn visit<'a>(&'a self, rest: &[u8], visit: &mut impl FnMut(&'a V) -> bool) -> bool {
        let (token, tail) = match memchr::memchr(b'.', rest) {
            Some(dot) => rest.split_at(dot),
            None => (rest, &[][..]),
        };
        for child in [self.literal.get(token), self.star.as_deref()].into_iter().flatten() {
            let done = match tail.split_first() {
                Some((_, tail)) => child.visit(tail, visit),
                None => child.here.as_ref().is_some_and(&mut *visit),
            };
            if done {
                return true;
            }
        }
        self.full.as_ref().is_some_and(&mut *visit)
    }
}

/// Values by subject; see the module's description.
#[derive(Debug)]
pub(crate) struct SubjectTable<V> {
    literal: Keyed<V>,
    wild: Node<V>,
    wild_len: usize,
}

impl<V> Default for SubjectTable<V> {
    fn default() -> Self {
        Self { literal: Keyed::default(), wild: Node::default(), wild_len: 0 }
    }
}

impl<V> SubjectTable<V> {
    /// The value of exactly this subject, made when missing; None when it is not valid or has more than [`TOKENS_MAX`]
    /// tokens.
    pub fn entry(&mut self, pattern: &[u8], make: impl FnOnce() -> V) -> Option<&mut V> {
        if !subject::is_valid(pattern) || subject::tokens(pattern).nth(TOKENS_MAX).is_some() {
            return None;
        }
        if !subject::has_wildcard(pattern) {
            return Some(self.literal.entry(pattern.into()).or_insert_with(make));
        }
        let place = self.wild.place(pattern);
        self.wild_len += usize::from(place.is_none());
        Some(place.get_or_insert_with(make))
    }

    /// How many subjects have a value.
    pub fn len(&self) -> usize {
        self.literal.len() + self.wild_len
    }

    /// Calls `visit` for each value whose subject matches, the most specific first, until it returns true; returns
    /// whether it did.
    #[inline]
    pub fn visit<'a>(&'a self, subject: &[u8], mut visit: impl FnMut(&'a V) -> bool) -> bool {
        if !self.literal.is_empty() && self.literal.get(subject).is_some_and(&mut visit) {
            return true;
        }
        self.wild_len > 0 && subject::has_no_empty_token(subject) && self.wild.visit(subject, &mut visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{rows, truth};

    #[test]
    fn subjects_relate_as_recorded() {
        for row in rows(include_str!("../../../spec/subjects/subjects.txt"), 4) {
            let [question, one, other, want] = row[..] else { unreachable!() };
            let (one, other) = (one.as_bytes(), other.as_bytes());
            let have = match question {
                "valid" => subject::is_valid(one),
                "literal" => subject::is_valid_literal(one),
                "matches" => subject::matches(one, other),
                "covers" => subject::covers(one, other),
                "overlap" => subject::overlap(one, other),
                unknown => panic!("no question {unknown}"),
            };
            assert_eq!(have, truth(want), "{row:?}");
            if question == "matches" && subject::is_valid(one) {
                let mut table = SubjectTable::default();
                table.entry(one, || ()).unwrap();
                assert_eq!(table.visit(other, |()| true), truth(want), "{row:?}");
            }
        }
    }

    fn visited(patterns: &[&str], subject: &str) -> Vec<String> {
        let mut table = SubjectTable::default();
        for pattern in patterns {
            table.entry(pattern.as_bytes(), || (*pattern).to_string()).unwrap();
        }
        assert_eq!(table.len(), patterns.len());
        let mut seen = Vec::new();
        table.visit(subject.as_bytes(), |pattern| {
            seen.push(pattern.clone());
            false
        });
        seen
    }

    #[test]
    fn the_most_specific_is_visited_first() {
        let patterns = [">", "a.>", "a.*", "*.*", "*.b", "a.b", "*.>", "a.b.c", "a.*.c"];
        assert_eq!(visited(&patterns, "a.b"), ["a.b", "a.*", "a.>", "*.b", "*.*", "*.>", ">"]);
        assert_eq!(visited(&patterns, "a.b.c"), ["a.b.c", "a.*.c", "a.>", "*.>", ">"]);
        assert_eq!(visited(&patterns, "a"), [">"]);
        assert!(visited(&patterns, "a..b").is_empty() && visited(&patterns, "").is_empty());
    }

    #[test]
    fn a_visit_ends_when_told() {
        let mut table = SubjectTable::default();
        for pattern in ["a", "*", ">"] {
            table.entry(pattern.as_bytes(), || pattern).unwrap();
        }
        let mut first = None;
        assert!(table.visit(b"a", |pattern| first.replace(*pattern).is_none()));
        assert_eq!(first, Some("a"));
    }

    #[test]
    fn invalid_and_overlong_subjects_are_refused() {
        let mut table = SubjectTable::default();
        let long = vec!["*"; TOKENS_MAX + 1].join(".");
        for pattern in ["", "a..b", "a.>.b", "a b", &long] {
            assert!(table.entry(pattern.as_bytes(), || ()).is_none());
        }
        let longest = vec!["*"; TOKENS_MAX].join(".");
        assert!(table.entry(longest.as_bytes(), || ()).is_some() && table.visit(longest.as_bytes(), |()| true));
        assert_eq!(table.len(), 1);
    }
}
