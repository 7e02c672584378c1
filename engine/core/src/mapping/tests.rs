//! Behaviour of mappings: the recorded tables, what tables cannot say, and agreement with a naive choice.

use proptest::prelude::*;

use super::*;
use crate::vectors::{items, rows};

fn no_chance(_: u32) -> u32 {
    panic!("no chance wanted here")
}

fn spec(source: &str, destinations: &[(&str, u8, &str)]) -> MappingSpec {
    MappingSpec {
        source: source.into(),
        destinations: destinations
            .iter()
            .map(|&(subject, weight, cluster)| DestinationSpec {
                subject: subject.into(),
                weight,
                cluster: cluster.into(),
            })
            .collect(),
    }
}

fn map(mappings: &Mappings, subject: &str, roll: u32) -> (Mapped, String) {
    let mut out = Vec::new();
    let mapped = mappings.apply(subject.as_bytes(), roll, &mut |_| 0, &mut out);
    (mapped, String::from_utf8_lossy(&out).into_owned())
}

fn compile(specs: &[MappingSpec]) -> Mappings {
    Mappings::compile(specs, b"").unwrap()
}

/// The subject after mapping, None when dropped.
fn result(mappings: &Mappings, subject: &str, roll: u32) -> Option<String> {
    match map(mappings, subject, roll) {
        (Mapped::Unchanged, _) => Some(subject.to_string()),
        (Mapped::To, out) => Some(out),
        (Mapped::Dropped, _) => None,
    }
}

#[test]
fn subjects_are_mapped_as_recorded() {
    for row in rows(include_str!("../../../../spec/subjects/mappings.txt"), 4) {
        let [source, destination, published, want] = row[..] else { unreachable!() };
        let mappings = compile(&[spec(source, &[(destination, 100, "")])]);
        assert_eq!(result(&mappings, published, 0).as_deref(), Some(want), "{row:?}");
    }
}

#[test]
fn destinations_are_judged_as_recorded() {
    for row in rows(include_str!("../../../../spec/subjects/mapping_destinations.txt"), 3) {
        let [source, destination, want] = row[..] else { unreachable!() };
        let compiled = Mappings::compile(&[spec(source, &[(destination, 100, "")])], b"");
        assert_eq!(compiled.map_or_else(|error| error.to_string(), |_| String::new()), want, "{row:?}");
    }
}

#[test]
fn weights_share_out_as_recorded() {
    for row in rows(include_str!("../../../../spec/subjects/weights.txt"), 4) {
        let [source, destinations, cluster, outcome] = row[..] else { unreachable!() };
        let listed: Vec<Vec<u8>> = items(destinations);
        let listed: Vec<Vec<&str>> =
            listed.iter().map(|item| std::str::from_utf8(item).unwrap().split(' ').collect()).collect();
        let listed: Vec<(&str, u8, &str)> = listed
            .iter()
            .map(|words| (words[0], words[1].parse().unwrap(), words.get(2).copied().unwrap_or("")))
            .collect();
        let mappings = Mappings::compile(&[spec(source, &listed)], cluster.as_bytes()).unwrap();
        let published = source.replace(['*', '>'], "x");
        let mut have = std::collections::BTreeMap::<String, u32>::new();
        for mapped in (0..100).filter_map(|roll| result(&mappings, &published, roll)) {
            *have.entry(mapped).or_default() += 1;
        }
        let want = items(outcome).into_iter().map(|item| {
            let item = String::from_utf8(item).unwrap().replace(['*', '>'], "x");
            let (subject, share) = item.split_once(' ').unwrap();
            (subject.to_string(), share.parse().unwrap())
        });
        assert_eq!(have, want.collect(), "{row:?}");
    }
}

#[test]
fn without_a_fitting_source_nothing_changes() {
    let none = compile(&[]);
    assert!(none.is_empty());
    assert_eq!(map(&none, "a", 0), (Mapped::Unchanged, String::new()));
    let some = compile(&[spec("a.*", &[("b", 100, "")])]);
    assert!(!some.is_empty() && some.concerns(b"a.x"));
    for subject in ["a", "a.b.c", "a..", "", "A.b", "a.>"] {
        assert_eq!(map(&some, subject, 0).0, Mapped::Unchanged, "{subject}");
        assert!(!some.concerns(subject.as_bytes()));
    }
}

#[test]
fn the_most_specific_source_wins_and_the_result_is_not_mapped_again() {
    let to = |source, destination| spec(source, &[(destination, 100, "")]);
    let mappings = compile(&[
        to(">", "all.>"),
        to("a.>", "full.>"),
        to("a.*", "star.$1"),
        to("*.b", "late.$1"),
        to("a.b", "literal"),
        to("literal", "twice"),
    ]);
    for (subject, want) in [
        ("a.b", "literal"),
        ("a.c", "star.c"),
        ("x.b", "late.x"),
        ("a.b.c", "full.b.c"),
        ("z", "all.z"),
        ("a.>", "full.>"),
        ("a..b", "a..b"),
    ] {
        assert_eq!(result(&mappings, subject, 0).as_deref(), Some(want), "{subject}");
    }
}

#[test]
fn a_source_given_twice_counts_as_given_last() {
    let mappings = compile(&[spec("a", &[("b", 100, "")]), spec("a", &[("c", 100, "")])]);
    assert_eq!(result(&mappings, "a", 0).as_deref(), Some("c"));
}

#[test]
fn errors_of_lists_are_named() {
    let text = |source, destinations| Mappings::compile(&[spec(source, destinations)], b"").unwrap_err().to_string();
    assert_eq!(text("a", &[("b", 60, ""), ("c", 60, "")]), "total weight needs to be <= 100");
    assert_eq!(text("a", &[("b", 60, "X"), ("c", 60, "X")]), "total weight needs to be <= 100");
    assert_eq!(text("a", &[("b", 101, "")]), "individual weights need to be <= 100");
    assert_eq!(text("a", &[("b", 60, ""), ("b", 40, "X")]), "duplicate entry for \"b\"");
    assert_eq!(text("a..b", &[]), "subject \"a..b\" is not a valid subject");
    assert_eq!(text("a.*", &[("b.*", 10, "")]), "invalid subject");
    assert_eq!(text("a", &[("", 10, "")]), "invalid mapping destination: invalid transform");
    assert!(Mappings::compile(&[spec("a", &[("b", 60, "X"), ("c", 60, "")])], b"").is_ok());
}

#[test]
fn random_asks_for_a_number_below_its_bound() {
    let transform = Transform::compile(b"a.*", b"b.{{random(7)}}.$1.{{ Random( 0 ) }}").unwrap();
    let mut out = Vec::new();
    let mut asked = Vec::new();
    transform.apply(
        b"a.x",
        &mut |bound| {
            asked.push(bound);
            bound - 1
        },
        &mut out,
    );
    assert_eq!((out.as_slice(), asked.as_slice()), (&b"b.6.x.0"[..], &[7][..]));
}

#[test]
fn cutting_counts_bytes() {
    let cut = |call: &str| {
        let transform = Transform::compile(b"a.*", format!("{{{{{call}}}}}").as_bytes()).unwrap();
        let mut out = Vec::new();
        transform.apply("a.é!".as_bytes(), &mut no_chance, &mut out);
        out
    };
    assert_eq!(cut("left(1,1)"), b"\xc3");
    assert_eq!(cut("right(1,2)"), b"\xa9!");
    assert_eq!(cut("slicefromleft(1,1)"), b"\xc3.\xa9.!");
    assert_eq!(cut("split(1,)"), "é.!".as_bytes());
}

#[test]
fn an_overlong_result_is_dropped() {
    let slices = vec!["{{slicefromleft(1,1)}}"; 200].join(".");
    let mappings = compile(&[spec("a.*", &[(&slices, 100, "")])]);
    assert_eq!(map(&mappings, "a.xyz", 0).0, Mapped::To);
    assert_eq!(map(&mappings, &format!("a.{}", "x".repeat(4_000)), 0).0, Mapped::Dropped);
    let long = vec!["x"; subject::TOKENS_MAX + 1].join(".");
    assert!(Transform::compile(b"a", long.as_bytes()).is_err() && Transform::compile(long.as_bytes(), b"a").is_err());
}

#[test]
fn a_transform_that_only_moves_wildcards_can_be_reversed() {
    let forth = Transform::compile(b"a.*.b.*.>", b"$2.c.{{wildcard(1)}}.>").unwrap();
    assert!(forth.matches(b"a.x.b.y.z") && !forth.matches(b"a.x.b.y") && !forth.matches(b"a.>.b.y.z"));
    assert_eq!(forth.destination_pattern().as_deref(), Some(&b"*.c.*.>"[..]));
    let back = forth.reversed().unwrap();
    let mut out = Vec::new();
    back.apply(b"y.c.x.z.z", &mut no_chance, &mut out);
    assert_eq!((back.source(), out.as_slice()), (&b"*.c.*.>"[..], &b"a.x.b.y.z.z"[..]));
    for destination in ["b", "b.$1.$1.$2", "b.$1", "b.$1.{{left(2,1)}}", "b.{{random(3)}}.$1.$2", "b.$1.$0"] {
        assert!(Transform::compile(b"a.*.*", destination.as_bytes()).unwrap().reversed().is_none(), "{destination}");
    }
    let split = Transform::compile(b"a.*", b"{{split(1,-)}}").unwrap();
    assert_eq!(split.destination_pattern(), None);
}

fn pattern() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec!["a", "b", "*"]);
    (prop::collection::vec(token, 1..4), any::<bool>()).prop_map(|(tokens, full)| {
        let full = if full { ".>" } else { "" };
        tokens.join(".") + full
    })
}

fn published() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "*", ">", ""]), 1..5).prop_map(|t| t.join("."))
}

/// 0 for a literal token, 1 for `*`, 2 for `>`.
fn ranks(pattern: &str) -> Vec<u8> {
    let rank = |token| match token {
        "*" => 1,
        ">" => 2,
        _ => 0,
    };
    pattern.split('.').map(rank).collect()
}

proptest! {
    #[test]
    fn the_source_is_chosen_as_by_sorting_the_list(
        sources in prop::collection::btree_set(pattern(), 0..8),
        subject in published(),
    ) {
        let sources: Vec<String> = sources.into_iter().collect();
        let specs: Vec<MappingSpec> = sources
            .iter()
            .enumerate()
            .map(|(n, source)| {
                let full = if source.ends_with('>') { ".>" } else { "" };
                spec(source, &[(&format!("to.{n}{full}"), 100, "")])
            })
            .collect();
        let fits = |source: &&String| {
            !subject.split('.').any(str::is_empty) && crate::subject::covers(source.as_bytes(), subject.as_bytes())
        };
        let literal = sources.iter().find(|source| **source == subject && !ranks(source).contains(&1) && !ranks(source).contains(&2));
        let want = literal.or_else(|| sources.iter().filter(fits).min_by_key(|source| ranks(source)));
        let have = map(&compile(&specs), &subject, 0);
        match want {
            None => prop_assert_eq!(have.0, Mapped::Unchanged),
            Some(want) => {
                let n = sources.iter().position(|source| source == want).unwrap().to_string();
                prop_assert_eq!(have.0, Mapped::To);
                prop_assert_eq!(have.1.split('.').nth(1), Some(n.as_str()));
            }
        }
    }

    #[test]
    fn every_roll_falls_to_its_share(weights in prop::collection::vec(0_u8..=25, 0..5), roll in 0_u32..100) {
        let names: Vec<String> = (0..weights.len()).map(|n| format!("to.{n}")).collect();
        let listed: Vec<(&str, u8, &str)> = names.iter().zip(&weights).map(|(name, &weight)| (name.as_str(), weight, "")).collect();
        let total: u32 = weights.iter().map(|&weight| u32::from(weight)).sum();
        prop_assume!(total <= 100);
        let mut places = Vec::new();
        for (n, &weight) in weights.iter().enumerate() {
            places.extend(std::iter::repeat_n(Some(n), weight.into()));
        }
        places.resize(100, None);
        let want = places[roll as usize].map_or("a".to_string(), |n| format!("to.{n}"));
        prop_assert_eq!(result(&compile(&[spec("a", &listed)]), "a", roll), Some(want));
    }

    #[test]
    fn cuts_agree_with_naive_ones(token in "[a-c-]{1,9}", size in 1_usize..10) {
        let run = |call: &str| {
            let transform = Transform::compile(b"*", format!("{{{{{call}}}}}").as_bytes()).unwrap();
            let mut out = Vec::new();
            transform.apply(token.as_bytes(), &mut no_chance, &mut out);
            String::from_utf8(out).unwrap()
        };
        let chunks = |text: &str| -> Vec<String> {
            text.chars().collect::<Vec<_>>().chunks(size).map(|chunk| chunk.iter().collect()).collect()
        };
        let reverse = |text: &str| -> String { text.chars().rev().collect() };
        prop_assert_eq!(run(&format!("slicefromleft(1,{size})")), chunks(&token).join("."));
        prop_assert_eq!(run(&format!("slicefromright(1,{size})")), reverse(&chunks(&reverse(&token)).join(".")));
        let (first, last): (String, String) = (token.chars().take(size).collect(), reverse(&reverse(&token).chars().take(size).collect::<String>()));
        prop_assert_eq!(run(&format!("left(1,{size})")), first);
        prop_assert_eq!(run(&format!("right(1,{size})")), last);
        let parts: Vec<&str> = token.split("-").filter(|part| !part.is_empty()).collect();
        prop_assert_eq!(run("split(1,-)"), parts.join("."));
    }

    #[test]
    fn reversing_gives_back_the_subject(tokens in prop::collection::vec("[a-z*]{1,3}", 3..5)) {
        let forth = Transform::compile(b"*.s.*.>", b"d.$2.$1.>").unwrap();
        let subject = [&tokens[0], "s", &tokens[1], &tokens[2..].join(".")].join(".");
        let (mut there, mut back) = (Vec::new(), Vec::new());
        forth.apply(subject.as_bytes(), &mut no_chance, &mut there);
        forth.reversed().unwrap().apply(&there, &mut no_chance, &mut back);
        prop_assert_eq!(String::from_utf8(back).unwrap(), subject);
    }

    #[test]
    fn nothing_panics_on_any_bytes(
        source in prop::collection::vec(any::<u8>(), 0..20),
        destination in "[$b.{}() a-z0-9,*>]{0,40}",
        subject in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        for source in [source.as_slice(), b"*.>", b"a.*", b"a"] {
            if let Ok(transform) = Transform::compile(source, destination.as_bytes()) {
                let mut out = Vec::new();
                transform.apply(&subject, &mut |_| 0, &mut out);
                transform.matches(&subject);
                transform.reversed();
            }
        }
    }
}
