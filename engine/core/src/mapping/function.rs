//! One token of a mapping destination: a literal, `$n`, or a function in braces (reference: wire protocol 1.18).

use super::transform::TransformError;

/// What a destination token asks for, before wildcard numbers are looked up in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Function<'a> {
    /// The token as it stands.
    Literal,
    /// `$n` or `{{wildcard(n)}}`.
    Wildcard(i64),
    /// `{{partition(n, i...)}}`.
    Partition(u32, Vec<i64>),
    /// `{{random(n)}}`.
    Random(u32),
    /// `{{split(n, separator)}}`.
    Split(i64, &'a [u8]),
    /// `{{left(n, k)}}` and the like; the size is 0 when it leaves tokens as they are.
    Cut(i64, Cut, usize),
}

/// How to cut a token at a distance from one of its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    SplitFromLeft,
    SplitFromRight,
    SliceFromLeft,
    SliceFromRight,
    Left,
    Right,
}

#[derive(Debug, Clone, Copy)]
enum Name {
    Wildcard,
    Partition,
    Random,
    Split,
    Cut(Cut),
}

/// Words of each name; each word may begin with a capital.
const NAMES: [(&[&str], Name); 10] = [
    (&["wildcard"], Name::Wildcard),
    (&["partition"], Name::Partition),
    (&["random"], Name::Random),
    (&["split", "from", "left"], Name::Cut(Cut::SplitFromLeft)),
    (&["split", "from", "right"], Name::Cut(Cut::SplitFromRight)),
    (&["slice", "from", "left"], Name::Cut(Cut::SliceFromLeft)),
    (&["slice", "from", "right"], Name::Cut(Cut::SliceFromRight)),
    (&["split"], Name::Split),
    (&["left"], Name::Cut(Cut::Left)),
    (&["right"], Name::Cut(Cut::Right)),
];

/// True for a token that must name a known function.
pub(super) fn is_braced(token: &[u8]) -> bool {
    token.len() > 4 && token.starts_with(b"{{") && token.ends_with(b"}}")
}

/// Is `token` a call of a known function, whatever its arguments?
pub(super) fn names_known_function(token: &[u8]) -> bool {
    find_call(token).is_some()
}

/// Reads one token that was found well-formed.
pub(super) fn parse_token(token: &[u8]) -> Result<Function<'_>, TransformError> {
    if let Some(digits) = token.strip_prefix(b"$") {
        return Ok(integer(digits).map_or(Function::Literal, Function::Wildcard));
    }
    if !is_braced(token) {
        return Ok(Function::Literal);
    }
    let Some((name, arguments)) = find_call(token) else {
        return Err(TransformError::UnknownFunction(token.to_vec()));
    };
    let arguments = split_arguments(arguments);
    let arguments = arguments.as_slice();
    let bad = || TransformError::BadArgument(token.to_vec());
    let few = || TransformError::NotEnoughArguments(token.to_vec());
    let many = || TransformError::TooManyArguments(token.to_vec());
    let index = |text: &[u8]| integer(text.trim_ascii()).ok_or_else(bad);
    let number = |text: &[u8]| index(text).and_then(|n| if n > i64::from(i32::MAX) { Err(bad()) } else { Ok(n) });
    let size = |text: &[u8]| index(text).and_then(|n| i32::try_from(n).map_err(|_| bad()));
    match (name, arguments) {
        (Name::Wildcard, [b""]) => Err(few()),
        (Name::Wildcard, [n]) => Ok(Function::Wildcard(index(n)?)),
        (Name::Partition, [n, tokens @ ..]) => {
            let tokens = tokens.iter().map(|text| index(text)).collect::<Result<_, _>>()?;
            // Negative numbers count as the unsigned ones of the same 32 bits.
            Ok(Function::Partition(number(n)? as u32, tokens))
        }
        (Name::Random, [n]) => Ok(Function::Random(number(n)?.max(0) as u32)),
        // nats-server says this for too many as well.
        (Name::Random, _) => Err(few()),
        (Name::Split | Name::Cut(_), [] | [_]) => Err(few()),
        (Name::Split, [n, separator]) => {
            let n = index(n)?;
            if separator.iter().any(|b| matches!(b, b' ' | b'.')) {
                return Err(bad());
            }
            Ok(Function::Split(n, separator))
        }
        (Name::Cut(cut), [n, k]) => Ok(Function::Cut(index(n)?, cut, usize::try_from(size(k)?).unwrap_or(0))),
        (Name::Partition, []) => Err(few()),
        (Name::Wildcard | Name::Split | Name::Cut(_), _) => Err(many()),
    }
}

/// A decimal integer with an optional sign.
fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Splits at commas; white space after a comma belongs to it.
fn split_arguments(arguments: &[u8]) -> Vec<&[u8]> {
    let mut parts = arguments.split(|&b| b == b',');
    let first = parts.next().into_iter();
    first.chain(parts.map(<[u8]>::trim_ascii_start)).collect()
}

/// Finds `{{ name ( arguments ) }}` of a known name in `token`; the arguments reach to the last fitting parenthesis.
fn find_call(token: &[u8]) -> Option<(Name, &[u8])> {
    NAMES.iter().find_map(|&(words, name)| {
        let arguments = (0..token.len()).find_map(|start| {
            let rest = token.get(start..)?.strip_prefix(b"{{")?.trim_ascii_start();
            let rest = strip_words(rest, words)?.trim_ascii_start().strip_prefix(b"(")?;
            let arguments = (0..rest.len()).rev().find_map(|end| {
                let (head, tail) = rest.split_at(end);
                tail.strip_prefix(b")")?.trim_ascii_start().strip_prefix(b"}}").and(Some(head))
            })?;
            (!arguments.contains(&b'\n')).then_some(arguments)
        })?;
        Some((name, arguments))
    })
}

fn strip_words<'a>(text: &'a [u8], words: &[&str]) -> Option<&'a [u8]> {
    words.iter().try_fold(text, |text, word| {
        let (initial, others) = word.as_bytes().split_first()?;
        let (have, rest) = text.split_first()?;
        have.eq_ignore_ascii_case(initial).then_some(rest)?.strip_prefix(others)
    })
}
