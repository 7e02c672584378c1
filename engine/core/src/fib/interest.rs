//! The subscriptions of one account by subject: a table for literal subjects, a trie of tokens for wildcards.
//!
//! Values are subscription numbers. Each list position is known to its owner (`Place`), so that removal does not search;
//! a removal moves the last entry of the list, which the caller is told about.

use crate::hash::{seeded, BytesMap, Seeded};
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

#[derive(Debug)]
struct Node {
    children: BytesMap<u32>,
    any: Option<u32>,
    here: Option<u32>,
    below: Option<u32>,
}

impl Node {
    fn new(hash: Seeded) -> Self {
        Self { children: BytesMap::with_hasher(hash), any: None, here: None, below: None }
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.any.is_none() && self.here.is_none() && self.below.is_none()
    }
}

/// Subscriptions by subject.
#[derive(Debug)]
pub struct Interest {
    literals: BytesMap<u32>,
    lists: Slab<List>,
    nodes: Slab<Node>,
    root: u32,
    hash: Seeded,
    count: usize,
    inserts: u64,
}

impl Interest {
    /// Nobody wants anything yet.
    pub fn new(seed: u64) -> Self {
        let hash = seeded(seed);
        let mut nodes = Slab::default();
        let root = nodes.insert(Node::new(hash.clone()));
        Self {
            literals: BytesMap::with_hasher(hash.clone()),
            lists: Slab::default(),
            nodes,
            root,
            hash,
            count: 0,
            inserts: 0,
        }
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
            self.wildcard_list(subject)
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

    fn wildcard_list(&mut self, subject: &[u8]) -> u32 {
        let mut node = self.root;
        for token in subject::tokens(subject) {
            if token == b">" {
                return self.list_of(node, true);
            }
            node = self.child_of(node, token);
        }
        self.list_of(node, false)
    }

    fn child_of(&mut self, node: u32, token: &[u8]) -> u32 {
        let known =
            self.nodes.get(node).and_then(|n| if token == b"*" { n.any } else { n.children.get(token).copied() });
        if let Some(child) = known {
            return child;
        }
        let child = self.nodes.insert(Node::new(self.hash.clone()));
        if let Some(n) = self.nodes.get_mut(node) {
            if token == b"*" {
                n.any = Some(child);
            } else {
                n.children.insert(token.into(), child);
            }
        }
        child
    }

    fn list_of(&mut self, node: u32, below: bool) -> u32 {
        let known = self.nodes.get(node).and_then(|n| if below { n.below } else { n.here });
        if let Some(list) = known {
            return list;
        }
        let list = self.lists.insert(List::default());
        if let Some(n) = self.nodes.get_mut(node) {
            *(if below { &mut n.below } else { &mut n.here }) = Some(list);
        }
        list
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
                self.prune(subject, place.list);
            } else {
                self.literals.remove(subject);
            }
        }
        moved
    }

    /// Takes an emptied list, and every node that became empty with it, out of the trie.
    fn prune(&mut self, subject: &[u8], list: u32) {
        let mut path = vec![(self.root, &b""[..])];
        let mut node = self.root;
        for token in subject::tokens(subject) {
            if token == b">" {
                break;
            }
            let Some(n) = self.nodes.get(node) else { return };
            let Some(child) = (if token == b"*" { n.any } else { n.children.get(token).copied() }) else { return };
            path.push((child, token));
            node = child;
        }
        if let Some(n) = self.nodes.get_mut(node) {
            if n.below == Some(list) {
                n.below = None;
            } else if n.here == Some(list) {
                n.here = None;
            }
        }
        while let Some((node, token)) = path.pop() {
            let Some(&(parent, _)) = path.last() else { return };
            if !self.nodes.get(node).is_some_and(Node::is_empty) {
                return;
            }
            self.nodes.remove(node);
            if let Some(p) = self.nodes.get_mut(parent) {
                if token == b"*" {
                    p.any = None;
                } else {
                    p.children.remove(token);
                }
            }
        }
    }

    /// Calls `found` with every list of subscriptions that a published subject reaches. Its tokens are taken literally.
    pub fn matching(&self, subject: &[u8], mut found: impl FnMut(&[u32])) {
        if let Some(&list) = self.literals.get(subject) {
            self.report(list, &mut found);
        }
        if self.nodes.len() == 1 && self.nodes.get(self.root).is_some_and(|n| n.below.is_none()) {
            return;
        }
        self.walk(self.root, Some(subject), &mut found);
    }

    fn report(&self, list: u32, found: &mut impl FnMut(&[u32])) {
        if let Some(list) = self.lists.get(list) {
            found(&list.subs);
        }
    }

    /// `rest` is what of the subject is still to be matched below `node`; recursion is as deep as the pattern, bounded by
    /// the tokens that a subscription may have.
    fn walk(&self, node: u32, rest: Option<&[u8]>, found: &mut impl FnMut(&[u32])) {
        let Some(n) = self.nodes.get(node) else { return };
        let Some(rest) = rest else {
            if let Some(list) = n.here {
                self.report(list, found);
            }
            return;
        };
        if let Some(list) = n.below {
            self.report(list, found);
        }
        let (token, rest) = match memchr::memchr(b'.', rest) {
            Some(dot) => (&rest[..dot], Some(&rest[dot + 1..])),
            None => (rest, None),
        };
        if let Some(&child) = n.children.get(token) {
            self.walk(child, rest, found);
        }
        if let Some(child) = n.any {
            self.walk(child, rest, found);
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
            prop_assert_eq!(interest.nodes.len(), 1);
            prop_assert_eq!(interest.lists.len(), 0);
        }
    }
}
