//! The subscriptions of one account by subject: a table for literal subjects, a tree of tokens for wildcards.
//!
//! Values are subscription numbers. Each list position is known to its owner (`Place`), so that removal does not search;
//! a removal moves the last entry of the list, which the caller is told about.

use super::patterns::Patterns;
use crate::hash::{seeded, BytesMap};
use crate::slab::Slab;
use crate::subject;

/// Where a subscription sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    list: u32,
    at: u32,
}

#[derive(Debug, Default)]
struct List {
    subs: Vec<u32>,
}

/// Subscriptions by subject.
#[derive(Debug)]
pub struct Interest {
    literals: BytesMap<u32>,
    lists: Slab<List>,
    patterns: Patterns,
    count: usize,
    inserts: u64,
}

impl Interest {
    /// Nobody wants anything yet.
    pub fn new(seed: u64) -> Self {
        let hash = seeded(seed);
        let literals = BytesMap::with_hasher(hash.clone());
        Self { literals, lists: Slab::default(), patterns: Patterns::new(hash), count: 0, inserts: 0 }
    }

    /// How many subscriptions there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// How many subscriptions were ever added.
    pub fn inserts(&self) -> u64 {
        self.inserts
    }

    /// True when nobody wants anything.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds `sub` under a valid subject.
    pub fn insert(&mut self, subject: &[u8], sub: u32) -> Place {
        self.count += 1;
        self.inserts += 1;
        let list = if subject::has_wildcard(subject) {
            self.patterns.list_of(subject, || self.lists.insert(List::default()))
        } else {
            match self.literals.get(subject) {
                Some(&list) => list,
                None => {
                    let list = self.lists.insert(List::default());
                    self.literals.insert(subject.into(), list);
                    list
                }
            }
        };
        let at = match self.lists.get_mut(list) {
            Some(entry) => {
                entry.subs.push(sub);
                entry.subs.len() - 1
            }
            None => 0,
        };
        Place { list, at: at as u32 }
    }

    /// Replaces the subscription at `place`.
    pub fn set(&mut self, place: Place, sub: u32) {
        if let Some(entry) = self.lists.get_mut(place.list).and_then(|list| list.subs.get_mut(place.at as usize)) {
            *entry = sub;
        }
    }

    /// Removes what `insert` put at `place`. Returns the subscription that now sits there instead, if one moved.
    pub fn remove(&mut self, subject: &[u8], place: Place) -> Option<u32> {
        let list = self.lists.get_mut(place.list)?;
        if place.at as usize >= list.subs.len() {
            return None;
        }
        list.subs.swap_remove(place.at as usize);
        self.count -= 1;
        let moved = list.subs.get(place.at as usize).copied();
        if list.subs.is_empty() {
            self.lists.remove(place.list);
            if subject::has_wildcard(subject) {
                self.patterns.remove(subject);
            } else {
                self.literals.remove(subject);
            }
        }
        moved
    }

    /// Calls `found` with every list of subscriptions that a published subject reaches. Its tokens are taken literally.
    pub fn matching(&self, subject: &[u8], mut found: impl FnMut(&[u32])) {
        if let Some(&list) = self.literals.get(subject) {
            self.report(list, &mut found);
        }
        self.patterns.matching(subject, &mut |list| self.report(list, &mut found));
    }

    fn report(&self, list: u32, found: &mut impl FnMut(&[u32])) {
        if let Some(list) = self.lists.get(list) {
            found(&list.subs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(interest: &Interest, subject: &str) -> Vec<u32> {
        let mut all = Vec::new();
        interest.matching(subject.as_bytes(), |subs| all.extend_from_slice(subs));
        all.sort_unstable();
        all
    }

    #[test]
    fn literals_and_wildcards_meet() {
        let mut interest = Interest::new(1);
        for (sub, subject) in ["a.b", "a.*", "a.>", ">", "*.b", "a", "foo.*", "*"].iter().enumerate() {
            interest.insert(subject.as_bytes(), sub as u32);
        }
        assert_eq!(found(&interest, "a.b"), [0, 1, 2, 3, 4]);
        assert_eq!(found(&interest, "a"), [3, 5, 7]);
        assert_eq!(found(&interest, "foo.*"), [3, 6]);
        assert_eq!(found(&interest, "a.b.c"), [2, 3]);
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_match(
            patterns in prop::collection::vec("[ab*](\\.[ab*]){0,3}(\\.>)?", 1..30),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
            subject in "[abc*](\\.[abc]){0,4}",
        ) {
            let mut interest = Interest::new(7);
            let mut places: Vec<Option<Place>> = Vec::new();
            for (sub, pattern) in patterns.iter().enumerate() {
                places.push(Some(interest.insert(pattern.as_bytes(), sub as u32)));
            }
            for index in removed {
                let sub = index.index(patterns.len());
                if let Some(place) = places[sub].take() {
                    if let Some(moved) = interest.remove(patterns[sub].as_bytes(), place) {
                        places[moved as usize] = Some(place);
                    }
                }
            }
            let naive: Vec<u32> = patterns.iter().enumerate()
                .filter(|(sub, pattern)| places[*sub].is_some() && subject::matches(pattern.as_bytes(), subject.as_bytes()))
                .map(|(sub, _)| sub as u32).collect();
            prop_assert_eq!(found(&interest, &subject), naive);
            for (sub, place) in places.clone().into_iter().enumerate() {
                // Removing everything leaves nothing behind.
                if place.is_some() {
                    let place = places[sub].take().unwrap();
                    if let Some(moved) = interest.remove(patterns[sub].as_bytes(), place) {
                        places[moved as usize] = Some(place);
                    }
                }
            }
            prop_assert!(interest.is_empty());
            prop_assert_eq!(interest.patterns.nodes(), 1);
            prop_assert_eq!(interest.lists.len(), 0);
        }
    }
}
