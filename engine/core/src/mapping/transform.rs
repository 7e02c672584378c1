//! Turns a subject that matches a source pattern into another one (reference: wire protocol 1.18).
//!
//! Account mappings use it, and so do imports and streams. A transform is compiled once and applied per message; it knows
//! neither weights nor accounts. Its output may be no valid subject (`split` of a token that consists of separators
//! leaves an empty token); such a subject matches nothing.
//!
//! Deliberately absent: the meaning of an empty source (`>`) or destination (no transform) in stream configurations.

use std::fmt;

use super::function::{self, Cut, Function};
use crate::subject::{self, TOKENS_MAX};

/// Why a transform did not compile. The texts are nats-server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransformError {
    /// The source is no subject, the destination has a `*`, or only one of both has a `>`.
    BadSubject,
    /// A destination token that may not stand there; without it when there is nothing to show.
    BadToken(Option<Vec<u8>>),
    /// No function of that name.
    UnknownFunction(Vec<u8>),
    /// The source has no such wildcard; the number is absent when it has none at all.
    IndexOutOfRange(Vec<u8>, Option<i64>),
    /// A function wants more.
    NotEnoughArguments(Vec<u8>),
    /// A function wants fewer.
    TooManyArguments(Vec<u8>),
    /// An argument is no number, too large, or no separator.
    BadArgument(Vec<u8>),
}

impl fmt::Display for TransformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, token) = match self {
            Self::BadSubject => return f.write_str("invalid subject"),
            Self::BadToken(None) => return f.write_str("invalid mapping destination: invalid transform"),
            Self::BadToken(Some(token)) => ("invalid transform", token),
            Self::UnknownFunction(token) => ("unknown function", token),
            Self::IndexOutOfRange(token, _) => ("wildcard index out of range", token),
            Self::NotEnoughArguments(token) => ("not enough arguments passed to the function", token),
            Self::TooManyArguments(token) => ("too many arguments passed to the function", token),
            Self::BadArgument(token) => ("function argument is invalid or in the wrong format", token),
        };
        write!(f, "invalid mapping destination: {what} in {}", String::from_utf8_lossy(token))?;
        match self {
            Self::IndexOutOfRange(_, Some(index)) => write!(f, ": [{index}]"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for TransformError {}

/// One piece of the output. Numbers of tokens count from 0 in the subject.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    Token(usize),
    /// All tokens from here on.
    Rest(usize),
    /// Hash of these tokens, or of the whole subject, modulo the number.
    Partition(u32, Option<Vec<usize>>),
    Random(u32),
    Split(usize, Vec<u8>),
    Cut(usize, Cut, usize),
}

/// A compiled source and destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transform {
    source: Vec<u8>,
    pieces: Vec<Piece>,
}

impl Transform {
    /// Compiles, or says what is wrong with the destination.
    pub fn compile(source: &[u8], destination: &[u8]) -> Result<Self, TransformError> {
        check_destination(destination)?;
        let ends_full = |pattern: &[u8]| subject::tokens(pattern).last() == Some(b">");
        if !subject::is_valid(source)
            || subject::tokens(source).nth(TOKENS_MAX).is_some()
            || subject::tokens(destination).any(|token| token == b"*")
            || ends_full(source) != ends_full(destination)
        {
            return Err(TransformError::BadSubject);
        }
        let places = Places::of(source);
        let mut pieces = Vec::new();
        for (at, token) in subject::tokens(destination).enumerate() {
            if at > 0 {
                push_bytes(&mut pieces, b".");
            }
            match places.piece(token)? {
                Piece::Bytes(bytes) => push_bytes(&mut pieces, &bytes),
                piece => pieces.push(piece),
            }
        }
        Ok(Self { source: source.to_vec(), pieces })
    }

    /// The source pattern.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Does the transform apply to `subject`? A `>` token in it is matched by a `>` of the source only.
    pub fn matches(&self, subject: &[u8]) -> bool {
        subject::has_no_empty_token(subject) && subject::covers(&self.source, subject)
    }

    /// Writes to `out` what becomes of `subject`, which must match the source. `random(n)` gives 0 to n-1.
    pub fn apply(&self, subject: &[u8], random: &mut dyn FnMut(u32) -> u32, out: &mut Vec<u8>) {
        out.clear();
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(bytes) => out.extend_from_slice(bytes),
                Piece::Token(at) => out.extend_from_slice(token_at(subject, *at)),
                Piece::Rest(at) => out.extend_from_slice(rest_from(subject, *at)),
                Piece::Partition(parts, None) => write_number(partition(*parts, [subject].into_iter()), out),
                Piece::Partition(parts, Some(tokens)) => {
                    write_number(partition(*parts, tokens.iter().map(|&at| token_at(subject, at))), out);
                }
                Piece::Random(n) => write_number(if *n == 0 { 0 } else { random(*n) }, out),
                Piece::Split(at, separator) => write_split(token_at(subject, *at), separator, out),
                Piece::Cut(at, cut, size) => write_cut(token_at(subject, *at), *cut, *size, out),
            }
        }
    }

    /// What the destination looks like as a subscription: `*` for each token that depends on the subject. None when a
    /// function may write a varying number of tokens.
    pub fn destination_pattern(&self) -> Option<Vec<u8>> {
        let mut pattern = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(bytes) => pattern.extend_from_slice(bytes),
                Piece::Token(_) | Piece::Partition(..) | Piece::Random(_) => pattern.push(b'*'),
                Piece::Cut(_, Cut::Left | Cut::Right, _) => pattern.push(b'*'),
                Piece::Rest(_) => pattern.push(b'>'),
                Piece::Split(..) | Piece::Cut(..) => return None,
            }
        }
        Some(pattern)
    }

    /// The transform that undoes this one. None unless the destination uses every wildcard of the source exactly once and
    /// no function but `wildcard`, as imports demand.
    pub fn reversed(&self) -> Option<Self> {
        let mut wildcards = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Token(at) => wildcards.push(*at),
                Piece::Bytes(_) | Piece::Rest(_) => {}
                _ => return None,
            }
        }
        let mut used = 0;
        let mut back = Vec::new();
        for (at, token) in subject::tokens(&self.source).enumerate() {
            if at > 0 {
                back.push(b'.');
            }
            if token == b"*" {
                let place = wildcards.iter().position(|&wildcard| wildcard == at)?;
                back.extend_from_slice(format!("${}", place + 1).as_bytes());
                used += 1;
            } else {
                back.extend_from_slice(token);
            }
        }
        if used != wildcards.len() {
            return None;
        }
        Self::compile(&self.destination_pattern()?, &back).ok()
    }
}

/// The checks that look at the destination alone.
fn check_destination(destination: &[u8]) -> Result<(), TransformError> {
    let mut full_seen = false;
    for (at, token) in subject::tokens(destination).enumerate() {
        if token.is_empty() {
            return Err(TransformError::BadToken(None));
        }
        if full_seen || at >= TOKENS_MAX {
            return Err(TransformError::BadToken(Some(token.to_vec())));
        }
        if function::is_braced(token) {
            if !function::names_known_function(token) {
                return Err(TransformError::UnknownFunction(token.to_vec()));
            }
        } else if token.iter().copied().any(subject::is_forbidden) {
            return Err(TransformError::BadToken(None));
        }
        full_seen = token == b">";
    }
    Ok(())
}

/// Where the wildcards of a source stand.
struct Places {
    stars: Vec<usize>,
    full: Option<usize>,
}

impl Places {
    fn of(source: &[u8]) -> Self {
        let mut places = Self { stars: Vec::new(), full: None };
        for (at, token) in subject::tokens(source).enumerate() {
            match token {
                b"*" => places.stars.push(at),
                b">" => places.full = Some(at),
                _ => {}
            }
        }
        places
    }

    fn is_literal(&self) -> bool {
        self.stars.is_empty() && self.full.is_none()
    }

    /// The token that wildcard `index` stands for. As in nats-server, numbers below 1 mean the first token of all.
    fn find(&self, index: i64, token: &[u8]) -> Result<usize, TransformError> {
        let out_of_range = |index| Err(TransformError::IndexOutOfRange(token.to_vec(), index));
        if self.is_literal() {
            return out_of_range(None);
        }
        match usize::try_from(index) {
            Ok(0) | Err(_) => Ok(0),
            Ok(n) => self.stars.get(n - 1).copied().map_or_else(|| out_of_range(Some(index)), Ok),
        }
    }

    fn piece(&self, token: &[u8]) -> Result<Piece, TransformError> {
        if token == b">" {
            return Ok(self.full.map_or_else(|| Piece::Bytes(token.to_vec()), Piece::Rest));
        }
        Ok(match function::parse_token(token)? {
            Function::Literal => Piece::Bytes(token.to_vec()),
            Function::Wildcard(index) => Piece::Token(self.find(index, token)?),
            // nats-server hashes nothing when the source has no wildcard; peers must agree on the partition.
            Function::Partition(parts, _) if self.is_literal() => Piece::Partition(parts, Some(Vec::new())),
            Function::Partition(parts, indexes) if indexes.is_empty() => Piece::Partition(parts, None),
            Function::Partition(parts, indexes) => {
                let tokens = indexes.iter().map(|&index| self.find(index, token)).collect::<Result<_, _>>()?;
                Piece::Partition(parts, Some(tokens))
            }
            Function::Random(n) => Piece::Random(n),
            Function::Split(index, separator) => Piece::Split(self.find(index, token)?, separator.to_vec()),
            Function::Cut(index, cut, size) => Piece::Cut(self.find(index, token)?, cut, size),
        })
    }
}

/// Neighbouring literals become one piece.
fn push_bytes(pieces: &mut Vec<Piece>, bytes: &[u8]) {
    match pieces.last_mut() {
        Some(Piece::Bytes(last)) => last.extend_from_slice(bytes),
        _ => pieces.push(Piece::Bytes(bytes.to_vec())),
    }
}

fn rest_from(subject: &[u8], at: usize) -> &[u8] {
    let mut rest = subject;
    for _ in 0..at {
        match memchr::memchr(b'.', rest).and_then(|dot| rest.get(dot + 1..)) {
            Some(tail) => rest = tail,
            None => return &[],
        }
    }
    rest
}

fn token_at(subject: &[u8], at: usize) -> &[u8] {
    let rest = rest_from(subject, at);
    rest.split(|&b| b == b'.').next().unwrap_or(rest)
}

/// FNV-1a of the parts one after another, modulo `parts`.
fn partition<'a>(parts: u32, tokens: impl Iterator<Item = &'a [u8]>) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    for &b in tokens.flatten() {
        hash = (hash ^ u32::from(b)).wrapping_mul(0x0100_0193);
    }
    hash.checked_rem(parts).unwrap_or(0)
}

fn write_number(mut n: u32, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        out.push(b'0' + (n % 10) as u8);
        n /= 10;
        if n == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

/// Writes the non-empty parts with dots between them.
fn write_parts<'a>(parts: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    let mut first = true;
    for part in parts.filter(|part| !part.is_empty()) {
        if !first {
            out.push(b'.');
        }
        out.extend_from_slice(part);
        first = false;
    }
}

fn write_split(token: &[u8], separator: &[u8], out: &mut Vec<u8>) {
    if separator.is_empty() {
        return write_parts(characters(token), out);
    }
    let mut starts = memchr::memmem::find_iter(token, separator);
    let mut from = Some(0);
    let parts = std::iter::from_fn(|| {
        let start = from?;
        let end = starts.next();
        from = end.map(|end| end + separator.len());
        token.get(start..end.unwrap_or(token.len()))
    });
    write_parts(parts, out);
}

/// The UTF-8 characters of a token; what is none is cut into bytes.
fn characters(token: &[u8]) -> impl Iterator<Item = &[u8]> {
    token.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid();
        let characters = valid.char_indices().filter_map(|(at, c)| valid.as_bytes().get(at..at + c.len_utf8()));
        characters.chain(chunk.invalid().chunks(1))
    })
}

/// Sizes of 0 and of the whole token or more leave the token as it is.
fn write_cut(token: &[u8], cut: Cut, size: usize, out: &mut Vec<u8>) {
    if size == 0 || size >= token.len() {
        return out.extend_from_slice(token);
    }
    let (before, after) = token.split_at(size);
    let (before_last, last) = token.split_at(token.len() - size);
    match cut {
        Cut::SplitFromLeft => write_parts([before, after].into_iter(), out),
        Cut::SplitFromRight => write_parts([before_last, last].into_iter(), out),
        Cut::SliceFromLeft => write_parts(token.chunks(size), out),
        Cut::SliceFromRight => {
            let (odd, even) = token.split_at(token.len() % size);
            write_parts(std::iter::once(odd).chain(even.chunks(size)), out);
        }
        Cut::Left => out.extend_from_slice(before),
        Cut::Right => out.extend_from_slice(last),
    }
}
