//! Subjects: tokens separated by dots, and what the wildcards mean (reference: wire protocol 1.8).
//!
//! Everything here is a pure function over bytes. A subject is not text: any byte but space, tab, LF, CR and FF may
//! appear in a token.

/// Longest subject, in tokens, that matching walks. Longer ones are refused where they enter.
pub const TOKENS_MAX: usize = 8192;

/// Whether `b` may not appear in a subject at all.
#[inline]
pub const fn is_forbidden(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

/// Iterates over the tokens of a subject, empty ones included.
#[inline]
pub fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    subject.split(|&b| b == b'.')
}

/// True when no token is empty and no byte is forbidden; wildcards are allowed anywhere as tokens,
/// but `>` only as the last one.
pub fn is_valid(subject: &[u8]) -> bool {
    if subject.is_empty() {
        return false;
    }
    let mut full_seen = false;
    for token in tokens(subject) {
        if token.is_empty() || full_seen || token.iter().copied().any(is_forbidden) {
            return false;
        }
        full_seen = token == b">";
    }
    true
}

/// True for a valid subject without wildcard tokens: one that may be published to.
pub fn is_valid_literal(subject: &[u8]) -> bool {
    is_valid(subject) && !has_wildcard(subject)
}

/// True when the tokens are fit for matching as they stand: none is empty. Wildcard tokens count as literals.
#[inline]
pub fn has_no_empty_token(subject: &[u8]) -> bool {
    let mut previous_dot = true;
    for &b in subject {
        let dot = b == b'.';
        if dot && previous_dot {
            return false;
        }
        previous_dot = dot;
    }
    !previous_dot
}

/// True when some whole token is `*` or `>`.
pub fn has_wildcard(subject: &[u8]) -> bool {
    if memchr::memchr2(b'*', b'>', subject).is_none() {
        return false;
    }
    tokens(subject).any(|t| t == b"*" || t == b">")
}

/// Does the published `subject` (taken literally) match `pattern`?
pub fn matches(pattern: &[u8], subject: &[u8]) -> bool {
    let mut want = tokens(pattern);
    let mut have = tokens(subject);
    loop {
        match (want.next(), have.next()) {
            (Some(b">"), Some(_)) => return true,
            (Some(b"*"), Some(_)) => {}
            (Some(w), Some(h)) if w == h => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Does `pattern` match everything that `other` does, when wildcards in `other` keep their meaning? Unlike in
/// [`matches`], `*` does not stand for a `>` of `other`, nor for an empty token.
pub fn covers(pattern: &[u8], other: &[u8]) -> bool {
    let mut want = tokens(pattern);
    let mut have = tokens(other);
    loop {
        match (want.next(), have.next()) {
            (Some(b">"), Some(_)) => return true,
            (Some(b"*"), Some(h)) if !h.is_empty() && h != b">" => {}
            (Some(w), Some(h)) if w == h => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Could some literal subject match both `a` and `b`?
pub fn overlap(a: &[u8], b: &[u8]) -> bool {
    let mut left = tokens(a);
    let mut right = tokens(b);
    loop {
        match (left.next(), right.next()) {
            (Some(b">"), Some(_)) | (Some(_), Some(b">")) => return true,
            (Some(b"*"), Some(_)) | (Some(_), Some(b"*")) => {}
            (Some(l), Some(r)) if l == r => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// The pattern that matches what both `a` and `b` match, if anything does.
pub fn intersection(a: &[u8], b: &[u8]) -> Option<Vec<u8>> {
    let mut left = tokens(a);
    let mut right = tokens(b);
    let mut common: Vec<&[u8]> = Vec::new();
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Some(common.join(&b'.')),
            (Some(b">"), Some(token)) => {
                common.push(token);
                common.extend(right);
                return Some(common.join(&b'.'));
            }
            (Some(token), Some(b">")) => {
                common.push(token);
                common.extend(left);
                return Some(common.join(&b'.'));
            }
            (Some(b"*"), Some(token)) | (Some(token), Some(b"*")) => common.push(token),
            (Some(l), Some(r)) if l == r => common.push(l),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_a_pattern_in_common_or_nothing() {
        for (a, b, want) in [
            ("a.b", "a.b", Some("a.b")),
            ("a.*", "*.b", Some("a.b")),
            ("a.>", "*.b.*", Some("a.b.*")),
            ("a.>", ">", Some("a.>")),
            ("a.*", "a.>", Some("a.*")),
            ("a.b", "a.c", None),
            ("a", "a.>", None),
        ] {
            for (a, b) in [(a, b), (b, a)] {
                assert_eq!(intersection(a.as_bytes(), b.as_bytes()).as_deref(), want.map(str::as_bytes), "{a} {b}");
                assert_eq!(overlap(a.as_bytes(), b.as_bytes()), want.is_some());
            }
        }
    }

    #[test]
    fn validity_follows_the_reference() {
        for good in ["a", "a.b", "foo*", "a>b", "*", ">", "a.*.c", "a.>", "\u{00e9}.x"] {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
        for bad in ["", ".", "a..b", ".a", "a.", "a.>.b", "a b", "a\tb", "a\x0cb"] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
        assert!(is_valid_literal(b"foo*.a>b"));
        assert!(!is_valid_literal(b"foo.*"));
        assert!(has_no_empty_token(b"a.b") && !has_no_empty_token(b"a..b"));
        assert!(!has_no_empty_token(b"") && !has_no_empty_token(b".a") && !has_no_empty_token(b"a."));
    }

    #[test]
    fn wildcards_match_whole_tokens() {
        assert!(matches(b"a.*", b"a.b") && !matches(b"a.*", b"a") && !matches(b"a.*", b"a.b.c"));
        assert!(matches(b"a.>", b"a.b.c") && !matches(b"a.>", b"a"));
        assert!(matches(b"foo.*", b"foo.*") && matches(b">", b"x"));
        assert!(covers(b"a.*", b"a.*") && covers(b"a.>", b"a.*") && covers(b"a.>", b"a.>") && covers(b"a.*", b"a.b"));
        assert!(!covers(b"a.*", b"a.>") && !covers(b"a.b", b"a.*") && !covers(b"a.*", b"a."));
        assert!(overlap(b"a.*", b"*.b") && overlap(b"a.>", b"a.b.c") && !overlap(b"a.b", b"a.c"));
    }
}
