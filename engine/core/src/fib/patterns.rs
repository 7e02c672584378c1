//! Subjects with wildcards as a tree of tokens, where tokens that do not branch share an edge.
//!
//! So a pattern costs about its own length, however many tokens it has, and a look-up visits no more nodes than there
//! are patterns, twice over.

use crate::hash::{BytesMap, Seeded};
use crate::slab::Slab;
use crate::subject;

#[derive(Debug, Default)]
struct Node {
    /// The tokens from the parent to here.
    label: Box<[u8]>,
    /// Nodes whose label starts with a literal token, by that token.
    children: Option<Box<BytesMap<u32>>>,
    /// The node whose label starts with `*`.
    any: Option<u32>,
    /// The list of the pattern that ends here.
    here: Option<u32>,
    /// The list of the pattern that ends here with `>`.
    below: Option<u32>,
}

impl Node {
    fn child(&self, token: &[u8]) -> Option<u32> {
        if token == b"*" {
            return self.any;
        }
        self.children.as_ref().and_then(|children| children.get(token).copied())
    }

    fn set_child(&mut self, token: &[u8], child: u32, hash: &Seeded) {
        if token == b"*" {
            self.any = Some(child);
        } else {
            let children = self.children.get_or_insert_with(|| Box::new(BytesMap::with_hasher(hash.clone())));
            children.insert(token.into(), child);
        }
    }

    fn remove_child(&mut self, token: &[u8]) {
        if token == b"*" {
            self.any = None;
        } else if let Some(children) = &mut self.children {
            children.remove(token);
            if children.is_empty() {
                self.children = None;
            }
        }
    }

    fn has_list(&self) -> bool {
        self.here.is_some() || self.below.is_some()
    }

    /// The child, if there is exactly one.
    fn only_child(&self) -> Option<u32> {
        let children = self.children.as_ref().map_or(0, |children| children.len());
        match (self.any, children) {
            (Some(child), 0) => Some(child),
            (None, 1) => self.children.as_ref().and_then(|children| children.values().next().copied()),
            _ => None,
        }
    }

    fn is_leaf(&self) -> bool {
        self.any.is_none() && self.children.is_none()
    }

    fn list(&mut self, below: bool) -> &mut Option<u32> {
        if below {
            &mut self.below
        } else {
            &mut self.here
        }
    }
}

/// Patterns, each with the number of a list.
#[derive(Debug)]
pub(super) struct Patterns {
    nodes: Slab<Node>,
    root: u32,
    hash: Seeded,
}

/// A pattern without its final `>`, and whether it had one.
fn split_full(pattern: &[u8]) -> (&[u8], bool) {
    match pattern {
        b">" => (&[], true),
        [path @ .., b'.', b'>'] => (path, true),
        path => (path, false),
    }
}

fn first_token(path: &[u8]) -> &[u8] {
    path.split(|&b| b == b'.').next().unwrap_or(&[])
}

/// What follows `length` bytes of whole tokens.
fn after(path: &[u8], length: usize) -> &[u8] {
    path.get(length + 1..).unwrap_or(&[])
}

/// Bytes of the tokens that both start with.
fn shared_tokens(a: &[u8], b: &[u8]) -> usize {
    let mut shared = 0;
    for (left, right) in subject::tokens(a).zip(subject::tokens(b)) {
        if left != right {
            break;
        }
        shared += left.len() + 1;
    }
    shared.saturating_sub(1)
}

/// What of a published subject is left after the tokens of a label; `None` when they do not match.
fn after_label<'a>(label: &[u8], mut subject: Option<&'a [u8]>) -> Option<Option<&'a [u8]>> {
    for want in subject::tokens(label) {
        let (have, rest) = split_token(subject?);
        if want != b"*" && want != have {
            return None;
        }
        subject = rest;
    }
    Some(subject)
}

#[inline]
fn split_token(subject: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'.', subject) {
        Some(dot) => (subject.get(..dot).unwrap_or(&[]), subject.get(dot + 1..)),
        None => (subject, None),
    }
}

impl Patterns {
    pub fn new(hash: Seeded) -> Self {
        let mut nodes = Slab::default();
        let root = nodes.insert(Node::default());
        Self { nodes, root, hash }
    }

    /// The list of a valid pattern; `new` makes one if there is none yet.
    pub fn list_of(&mut self, pattern: &[u8], new: impl FnOnce() -> u32) -> u32 {
        let (mut rest, below) = split_full(pattern);
        let mut node = self.root;
        while !rest.is_empty() {
            let token = first_token(rest);
            let Some(child) = self.nodes.get(node).and_then(|n| n.child(token)) else {
                node = self.add_leaf(node, rest);
                break;
            };
            let label = self.nodes.get(child).map_or(&[][..], |n| &n.label);
            let (shared, whole) = (shared_tokens(label, rest), label.len());
            node = if shared == whole { child } else { self.split(node, child, shared) };
            rest = after(rest, shared);
        }
        match self.nodes.get_mut(node) {
            Some(n) => *n.list(below).get_or_insert_with(new),
            None => new(),
        }
    }

    fn add_leaf(&mut self, parent: u32, label: &[u8]) -> u32 {
        let leaf = self.nodes.insert(Node { label: label.into(), ..Node::default() });
        self.attach(parent, leaf);
        leaf
    }

    fn attach(&mut self, parent: u32, child: u32) {
        let token: Box<[u8]> = self.nodes.get(child).map_or(&[][..], |n| first_token(&n.label)).into();
        if let Some(n) = self.nodes.get_mut(parent) {
            n.set_child(&token, child, &self.hash);
        }
    }

    /// Puts a node into the edge to `child`, after `length` bytes of its label.
    fn split(&mut self, parent: u32, child: u32, length: usize) -> u32 {
        let Some(n) = self.nodes.get_mut(child) else { return parent };
        let label = std::mem::take(&mut n.label);
        n.label = after(&label, length).into();
        let middle = self.nodes.insert(Node { label: label.get(..length).unwrap_or(&[]).into(), ..Node::default() });
        self.attach(middle, child);
        self.attach(parent, middle);
        middle
    }

    /// Forgets the list of a pattern, and every node that is not needed any more.
    pub fn remove(&mut self, pattern: &[u8]) {
        let (mut rest, below) = split_full(pattern);
        let mut path = vec![self.root];
        while let (false, Some(&node)) = (rest.is_empty(), path.last()) {
            let Some(child) = self.nodes.get(node).and_then(|n| n.child(first_token(rest))) else { return };
            let label = self.nodes.get(child).map_or(&[][..], |n| &n.label);
            if shared_tokens(label, rest) != label.len() {
                return;
            }
            rest = after(rest, label.len());
            path.push(child);
        }
        if let Some(n) = path.last().and_then(|&node| self.nodes.get_mut(node)) {
            *n.list(below) = None;
        }
        self.prune(path);
    }

    /// Takes the last node of a path away if nothing ends or branches there, then perhaps the one before it.
    fn prune(&mut self, mut path: Vec<u32>) {
        while let (Some(node), Some(&parent)) = (path.pop(), path.last()) {
            let Some(n) = self.nodes.get(node).filter(|n| !n.has_list()) else { return };
            if n.is_leaf() {
                let token: Box<[u8]> = first_token(&n.label).into();
                self.nodes.remove(node);
                if let Some(p) = self.nodes.get_mut(parent) {
                    p.remove_child(&token);
                }
            } else {
                if let Some(child) = n.only_child() {
                    self.join(parent, node, child);
                }
                return;
            }
        }
    }

    /// Makes one edge of the two around `node`.
    fn join(&mut self, parent: u32, node: u32, child: u32) {
        let Some(n) = self.nodes.remove(node) else { return };
        if let Some(c) = self.nodes.get_mut(child) {
            c.label = [&n.label[..], b".", &c.label].concat().into();
        }
        self.attach(parent, child);
    }

    /// Calls `found` with the list of every pattern that a published subject matches. Its tokens are taken literally.
    #[inline]
    pub fn matching(&self, subject: &[u8], found: &mut impl FnMut(u32)) {
        if self.nodes.len() == 1 && self.nodes.get(self.root).is_some_and(|n| n.below.is_none()) {
            return;
        }
        self.walk(self.root, Some(subject), found);
    }

    /// `rest` is what of the subject is still to be matched below `node`. Recursion is as deep as nodes are nested, which
    /// the tokens that a subscription may have bound.
    fn walk(&self, node: u32, rest: Option<&[u8]>, found: &mut impl FnMut(u32)) {
        let Some(n) = self.nodes.get(node) else { return };
        let Some(rest) = rest else {
            n.here.into_iter().for_each(found);
            return;
        };
        if let Some(list) = n.below {
            found(list);
        }
        if n.is_leaf() {
            return;
        }
        let (token, _) = split_token(rest);
        let literal = n.children.as_ref().and_then(|children| children.get(token).copied());
        for child in [literal, n.any].into_iter().flatten() {
            let label = self.nodes.get(child).map_or(&[][..], |c| &c.label);
            if let Some(rest) = after_label(label, Some(rest)) {
                self.walk(child, rest, found);
            }
        }
    }

    #[cfg(test)]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::seeded;

    fn found(patterns: &Patterns, subject: &str) -> Vec<u32> {
        let mut all = Vec::new();
        patterns.matching(subject.as_bytes(), &mut |list| all.push(list));
        all.sort_unstable();
        all
    }

    #[test]
    fn patterns_that_part_late_share_what_they_have_in_common() {
        let mut patterns = Patterns::new(seeded(1));
        let long = "a.".repeat(1000);
        for (list, end) in ["*", ">", "x.*", "y.>"].iter().enumerate() {
            patterns.list_of(format!("{long}{end}").as_bytes(), || list as u32);
        }
        assert_eq!(patterns.nodes(), 1 + 1 + 3);
        assert_eq!(found(&patterns, &format!("{long}x")), [0, 1]);
        assert_eq!(found(&patterns, &format!("{long}x.y")), [1, 2]);
        assert_eq!(found(&patterns, &format!("{long}y.y.y")), [1, 3]);
        assert!(found(&patterns, long.trim_end_matches('.')).is_empty());
        for end in ["*", "x.*", ">", "y.>"] {
            patterns.remove(format!("{long}{end}").as_bytes());
        }
        assert_eq!(patterns.nodes(), 1);
    }

    #[test]
    fn a_pattern_may_end_within_another() {
        let mut patterns = Patterns::new(seeded(1));
        for (list, pattern) in ["a.*.c.*.e", "a.*", "a.*.c", "*", ">", "a.*.>"].iter().enumerate() {
            assert_eq!(patterns.list_of(pattern.as_bytes(), || list as u32), list as u32);
        }
        assert_eq!(patterns.list_of(b"a.*.c", || 99), 2);
        assert_eq!(found(&patterns, "a.b.c"), [2, 4, 5]);
        patterns.remove(b"a.*.c");
        patterns.remove(b"a.*");
        assert_eq!(found(&patterns, "a.b.c"), [4, 5]);
        assert_eq!(found(&patterns, "a.b.c.d.e"), [0, 4, 5]);
        assert_eq!(found(&patterns, "a.b"), [4]);
    }
}
