//! Behaviour of permissions, row by row, and agreement with a naive reading of the lists.

use proptest::prelude::*;

use super::*;
use crate::vectors::{items, rows, truth};

fn list(entries: &[&str]) -> Vec<Vec<u8>> {
    entries.iter().map(|entry| entry.as_bytes().to_vec()).collect()
}

fn publish(allow: Option<&[&str]>, deny: &[&str]) -> Permit {
    let spec = PermitSpec { publish_allow: allow.map(list), publish_deny: list(deny), ..PermitSpec::default() };
    Permit::compile(&spec).unwrap()
}

fn subscribe(allow: Option<&[&str]>, deny: &[&str]) -> Permit {
    let spec = PermitSpec { subscribe_allow: allow.map(list), subscribe_deny: list(deny), ..PermitSpec::default() };
    Permit::compile(&spec).unwrap()
}

fn subscribes(permit: &Permit, request: &str) -> bool {
    let mut fields = request.split(' ');
    permit.can_subscribe(fields.next().unwrap().as_bytes(), fields.next().map(str::as_bytes))
}

#[track_caller]
fn expect_publish(permit: &Permit, yes: &[&str], no: &[&str]) {
    for subject in yes {
        assert!(permit.can_publish(subject.as_bytes()), "{subject} should be allowed");
    }
    for subject in no {
        assert!(!permit.can_publish(subject.as_bytes()), "{subject} should be refused");
    }
}

#[track_caller]
fn expect_subscribe(permit: &Permit, yes: &[&str], no: &[&str]) {
    for request in yes {
        assert!(subscribes(permit, request), "{request} should be allowed");
    }
    for request in no {
        assert!(!subscribes(permit, request), "{request} should be refused");
    }
}

#[test]
fn requests_are_judged_as_recorded() {
    for row in rows(include_str!("../../../../spec/subjects/permits.txt"), 5) {
        let [direction, allow, deny, request, want] = row[..] else { unreachable!() };
        let allow = (allow != "-").then(|| items(allow));
        let deny = items(deny);
        let mut spec = PermitSpec::default();
        let allowed = match direction {
            "publish" => {
                (spec.publish_allow, spec.publish_deny) = (allow, deny);
                Permit::compile(&spec).unwrap().can_publish(request.as_bytes())
            }
            "subscribe" => {
                (spec.subscribe_allow, spec.subscribe_deny) = (allow, deny);
                subscribes(&Permit::compile(&spec).unwrap(), request)
            }
            other => panic!("no direction {other}"),
        };
        assert_eq!(allowed, truth(want), "{row:?}");
    }
}

#[test]
fn no_lists_mean_no_restriction() {
    let permit = Permit::compile(&PermitSpec::default()).unwrap();
    assert!(permit.unrestricted_publish() && permit.unrestricted_subscribe() && permit.responses().is_none());
    expect_publish(&permit, &["a", "a..b", ">"], &[]);
    expect_subscribe(&permit, &["a", ">", "a q"], &[]);
}

#[test]
fn publish_needs_an_allow_entry_and_no_deny_entry() {
    let permit = publish(Some(&["a.>", "b"]), &["a.x", "a.y.>"]);
    expect_publish(
        &permit,
        &["a.1", "b", "a.y", "a.>", "a.*"],
        &["c", "a.x", "a.y.1", "a..b", ">", "*", "a.", "a", ""],
    );
    assert!(!permit.unrestricted_publish() && permit.unrestricted_subscribe());
}

#[test]
fn publish_deny_alone_allows_the_rest() {
    expect_publish(&publish(None, &["a.>", "*"]), &["c.d", "a..b", "b..c"], &["a.1", "b", "a.>", "a"]);
}

#[test]
fn an_empty_allow_list_allows_nothing() {
    expect_publish(&publish(Some(&[]), &[]), &[], &["a", "b.c"]);
    expect_subscribe(&subscribe(Some(&[]), &[]), &[], &["a", "b q"]);
}

#[test]
fn a_subscription_is_matched_literally_with_full_wildcard_as_one_token() {
    expect_subscribe(&subscribe(Some(&["a.*"]), &[]), &["a.b", "a.*", "a.>", "a.b q"], &[">", "*.b", "a.*.c"]);
    expect_subscribe(&subscribe(Some(&["*"]), &[]), &[">", "*"], &["a.b"]);
    expect_subscribe(&subscribe(Some(&["z.b"]), &[]), &["z.b"], &["z.*"]);
    expect_subscribe(&subscribe(None, &["a.*"]), &[">", "a.*.c"], &["a.>", "a.b"]);
}

#[test]
fn queue_entries_of_allow_narrow_queue_subscriptions() {
    let allow = ["q dev", "q v2.*", "p", "r", "r only", "w *", "z >", "zz a.>"];
    expect_subscribe(
        &subscribe(Some(&allow), &[]),
        &["q dev", "q v2.1", "p", "p x", "r", "r only", "w a", "z a.b", "zz a.b.c", "zz a.>", "q v2.*", "w *"],
        &["q", "q prod", "q v2.1.2", "q v2", "r other", "w", "w a.b", "zz a", "q v2.>", "w >", "w a."],
    );
    expect_subscribe(&subscribe(Some(&["s.> q"]), &[]), &["s.a q", "s.> q"], &["s.a", "s.a p"]);
}

#[test]
fn queue_entries_of_deny_refuse_only_their_queues() {
    let permit = subscribe(None, &["q dev", "q v2.*", "p", "p only", "r >", "w.> dq", "t *", "u a.*"]);
    expect_subscribe(
        &permit,
        &["q", "q prod", "r", "w.a", "w.a x", "> dq", "t >", "t a.b", "t a..b", "u a.>", "u a."],
        &["q dev", "q v2.1", "p", "p x", "p only", "r x", "r >", "r a..b", "w.a dq", "w.> dq", "t a", "t *", "u a.b"],
    );
}

#[test]
fn a_broader_subscription_is_filtered_at_delivery() {
    let permit = subscribe(None, &["w.secret", "*.hidden", "w.q dev"]);
    expect_subscribe(&permit, &["w.>", "w.*", "x.*"], &["w.secret", "w.hidden"]);
    assert!(permit.delivery_filter_needed(b"w.>") && permit.delivery_filter_needed(b"x.*"));
    assert!(!permit.delivery_filter_needed(b"w.other") && !permit.delivery_filter_needed(b"x.*.y"));
    assert!(permit.denies_delivery(b"w.secret", None) && permit.denies_delivery(b"w.secret", Some(b"any")));
    assert!(permit.denies_delivery(b"x.hidden", None) && !permit.denies_delivery(b"w.ok", None));
    assert!(permit.denies_delivery(b"w.q", Some(b"dev")) && !permit.denies_delivery(b"w.q", None));
    assert!(!permit.denies_delivery(b"w.q", Some(b"prod")));
}

#[test]
fn invalid_entries_are_named() {
    let text = |publish: &[&str], subscribe: &[&str]| {
        let spec =
            PermitSpec { publish_deny: list(publish), subscribe_allow: Some(list(subscribe)), ..PermitSpec::default() };
        Permit::compile(&spec).map(drop).map_err(|error| error.to_string())
    };
    let subject = |entry: &str| Err(format!("subject \"{entry}\" is not a valid subject"));
    for entry in ["a q", "a..b", "", "a "] {
        assert_eq!(text(&[entry], &[]), subject(entry));
    }
    for entry in ["a b c", "a..b", "", "a ", " a", "a.>.b"] {
        assert_eq!(text(&[], &[entry]), subject(entry));
    }
    assert_eq!(text(&[], &["a..b q"]), subject("a..b"));
    assert_eq!(text(&[], &["a.>.b q"]), subject("a.>.b"));
    assert_eq!(text(&["a\tq r"], &[]), subject("a\\tq r"));
    assert_eq!(text(&[], &["a q..x"]), Err("queue \"q..x\" is not a valid queue".into()));
    assert_eq!(text(&["foo*"], &["a  q", "a.> q.>"]), Ok(()));
    let long = vec!["a"; subject::TOKENS_MAX + 1].join(".");
    assert!(text(&[&long], &[]).is_err());
}

#[test]
fn responses_without_publish_allow_refuse_everything_else() {
    let responses = Some(ResponseSpec { max_msgs: 0, expires_ns: 0 });
    let spec = PermitSpec { responses, publish_deny: list(&["x"]), ..PermitSpec::default() };
    let permit = Permit::compile(&spec).unwrap();
    expect_publish(&permit, &[], &["a", "x"]);
    assert!(!permit.unrestricted_publish());
    let filled = ResponseSpec { max_msgs: RESPONSES_MAX_DEFAULT, expires_ns: RESPONSES_EXPIRES_NS_DEFAULT };
    assert_eq!(permit.responses(), Some(filled));
    let spec = PermitSpec { publish_allow: Some(list(&["a"])), ..spec };
    expect_publish(&Permit::compile(&spec).unwrap(), &["a"], &["b"]);
}

#[test]
fn a_reply_is_used_up_by_its_publishes() {
    let spec = ResponseSpec { max_msgs: 2, expires_ns: 100 };
    let mut replies = Replies::default();
    assert!(!replies.take(b"r", 0));
    replies.note(b"r", spec, 0);
    assert!(replies.take(b"r", 1) && replies.take(b"r", 2) && !replies.take(b"r", 3));
    assert!(replies.is_empty());
    replies.note(b"r", spec, 3);
    assert!(replies.take(b"r", 4));
}

#[test]
fn a_reply_expires() {
    let spec = ResponseSpec { max_msgs: -1, expires_ns: 100 };
    let mut replies = Replies::default();
    replies.note(b"r", spec, 0);
    assert!((0..50).all(|_| replies.take(b"r", 99)));
    assert!(!replies.take(b"r", 100));
    replies.note(b"r", spec, 200);
    replies.note(b"r", spec, 250);
    assert!(replies.take(b"r", 320), "a second request prolongs it");
    for n in 0..100 {
        replies.note(format!("other.{n}").as_bytes(), spec, 1_000 + n);
    }
    assert_eq!(replies.len(), 100, "the expired one is forgotten");
}

#[test]
fn a_negative_expiry_never_ends() {
    let mut replies = Replies::default();
    replies.note(b"r", ResponseSpec { max_msgs: -1, expires_ns: -1 }, 0);
    assert!((0..3).all(|_| replies.take(b"r", i64::MAX)));
}

#[test]
fn every_request_adds_its_answers() {
    let spec = ResponseSpec { max_msgs: 1, expires_ns: 100 };
    let mut replies = Replies::default();
    replies.note(b"r", spec, 0);
    replies.note(b"r", spec, 0);
    assert!(replies.take(b"r", 1) && replies.take(b"r", 1) && !replies.take(b"r", 1));
    replies.note(b"r", spec, 0);
    replies.note(b"r", spec, 200);
    assert!(replies.take(b"r", 201) && !replies.take(b"r", 201), "an expired grant is not added to");
}

#[test]
fn replies_are_bounded_and_the_oldest_goes() {
    let spec = ResponseSpec { max_msgs: 1, expires_ns: -1 };
    let mut replies = Replies::default();
    for n in 0..=REPLIES_MAX {
        replies.note(format!("r.{n}").as_bytes(), spec, 0);
    }
    assert_eq!(replies.len(), REPLIES_MAX);
    assert!(!replies.take(b"r.0", 0) && replies.take(b"r.1", 0));
    let mut replies = Replies::default();
    for n in 0..2_000_u32 {
        let mut long = vec![b'x'; 4_096];
        long.extend(n.to_string().as_bytes());
        replies.note(&long, spec, 0);
    }
    assert!(replies.len() < REPLIES_BYTES_MAX / 4_096 && replies.len() > REPLIES_BYTES_MAX / 4_200);
    for _ in 0..10_000 {
        replies.note(&[b'y'; 4_096], spec, 0);
    }
    assert!(replies.places().1 <= 2 * REPLIES_BYTES_MAX + 4_096);
}

#[test]
fn a_long_lived_reply_does_not_keep_used_ones_forever() {
    let mut replies = Replies::default();
    replies.note(b"eternal", ResponseSpec { max_msgs: -1, expires_ns: -1 }, 0);
    for n in 0..3 * REPLIES_MAX {
        let reply = format!("r.{n}");
        replies.note(reply.as_bytes(), ResponseSpec { max_msgs: 1, expires_ns: 10 }, 0);
        assert!(replies.take(reply.as_bytes(), 0));
    }
    assert_eq!(replies.len(), 1);
    assert!(replies.places().0 < 200);
    assert!(replies.take(b"eternal", 0));
}

fn token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "ab", "*", ">"])
}

fn subject_text() -> impl Strategy<Value = String> {
    prop::collection::vec(token(), 1..5).prop_map(|tokens| tokens.join("."))
}

fn entry() -> impl Strategy<Value = (String, Option<String>)> {
    let pattern = subject_text().prop_filter("valid", |text| subject::is_valid(text.as_bytes()));
    let queue = subject_text().prop_filter("valid", |text| subject::is_valid(text.as_bytes()));
    (pattern, prop::option::of(queue))
}

type Entries = Vec<(String, Option<String>)>;

fn texts(entries: &Entries) -> Vec<Vec<u8>> {
    let text = |(subject, queue): &(String, Option<String>)| match queue {
        Some(queue) => format!("{subject} {queue}").into_bytes(),
        None => subject.clone().into_bytes(),
    };
    entries.iter().map(text).collect()
}

fn naive_plain(entries: &Entries, subject: &str) -> bool {
    entries.iter().any(|(entry, queue)| queue.is_none() && subject::matches(entry.as_bytes(), subject.as_bytes()))
}

fn naive_queue(entries: &Entries, subject: &str, queue: &str) -> bool {
    entries.iter().any(|(entry, pattern)| {
        subject::matches(entry.as_bytes(), subject.as_bytes())
            && pattern.as_ref().is_some_and(|pattern| subject::covers(pattern.as_bytes(), queue.as_bytes()))
    })
}

fn naive_has_queue_rule(entries: &Entries, subject: &str) -> bool {
    entries.iter().any(|(entry, queue)| queue.is_some() && subject::matches(entry.as_bytes(), subject.as_bytes()))
}

proptest! {
    #[test]
    fn publish_agrees_with_reading_the_lists(
        allow in prop::option::of(prop::collection::vec(entry(), 0..8)),
        deny in prop::collection::vec(entry(), 0..4),
        subject in subject_text(),
    ) {
        let plain = |entries: &Entries| -> Entries { entries.iter().map(|(s, _)| (s.clone(), None)).collect() };
        let (allow, deny) = (allow.as_ref().map(plain), plain(&deny));
        let spec = PermitSpec {
            publish_allow: allow.as_ref().map(texts),
            publish_deny: texts(&deny),
            ..PermitSpec::default()
        };
        let want = allow.as_ref().is_none_or(|allow| naive_plain(allow, &subject)) && !naive_plain(&deny, &subject);
        prop_assert_eq!(Permit::compile(&spec).unwrap().can_publish(subject.as_bytes()), want);
    }

    #[test]
    fn subscribe_agrees_with_reading_the_lists(
        allow in prop::option::of(prop::collection::vec(entry(), 0..8)),
        deny in prop::collection::vec(entry(), 0..4),
        subject in subject_text(),
        queue in prop::option::of(subject_text()),
    ) {
        let spec = PermitSpec {
            subscribe_allow: allow.as_ref().map(texts),
            subscribe_deny: texts(&deny),
            ..PermitSpec::default()
        };
        let permit = Permit::compile(&spec).unwrap();
        let allowed = allow.as_ref().is_none_or(|allow| match &queue {
            Some(queue) if naive_has_queue_rule(allow, &subject) => naive_queue(allow, &subject, queue),
            _ => naive_plain(allow, &subject),
        });
        let denied = naive_plain(&deny, &subject)
            || queue.as_ref().is_some_and(|queue| naive_queue(&deny, &subject, queue));
        prop_assert_eq!(permit.can_subscribe(subject.as_bytes(), queue.as_ref().map(|q| q.as_bytes())), allowed && !denied);
        prop_assert_eq!(permit.denies_delivery(subject.as_bytes(), queue.as_ref().map(|q| q.as_bytes())), denied);
    }

    #[test]
    fn a_subscription_that_needs_no_filter_never_meets_a_denied_message(
        deny in prop::collection::vec(entry(), 0..4),
        subscription in subject_text(),
        message in subject_text(),
        queue in prop::option::of(subject_text()),
    ) {
        let spec = PermitSpec { subscribe_deny: texts(&deny), ..PermitSpec::default() };
        let permit = Permit::compile(&spec).unwrap();
        let queue = queue.as_ref().map(|q| q.as_bytes());
        if permit.can_subscribe(subscription.as_bytes(), queue)
            && !permit.delivery_filter_needed(subscription.as_bytes())
            && subject::matches(subscription.as_bytes(), message.as_bytes())
            && !subject::has_wildcard(message.as_bytes())
        {
            prop_assert!(!permit.denies_delivery(message.as_bytes(), queue));
        }
    }

    #[test]
    fn nothing_panics_on_any_bytes(entry in prop::collection::vec(any::<u8>(), 0..40), subject in prop::collection::vec(any::<u8>(), 0..40)) {
        let entries = vec![entry];
        let spec = PermitSpec { subscribe_deny: entries.clone(), publish_allow: Some(entries), ..PermitSpec::default() };
        if let Ok(permit) = Permit::compile(&spec) {
            permit.can_publish(&subject);
            permit.can_subscribe(&subject, Some(&subject));
            permit.delivery_filter_needed(&subject);
        }
    }
}
