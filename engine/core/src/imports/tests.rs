//! Two and three accounts, imports between them, and what each client sees.

use super::*;
use crate::conn::{Admission, Wishes};
use crate::engine::{Engine, Settings};
use crate::event::{Event, Step};
use proptest::prelude::*;
use std::sync::Arc;

struct World {
    engine: Engine,
    next_cid: u64,
    now_ns: u64,
}

impl World {
    fn new(accounts: u32) -> Self {
        let mut engine = Engine::new(Settings::default(), 7);
        (0..accounts).for_each(|account| engine.install_account(account, None));
        Self { engine, next_cid: 5, now_ns: 1 }
    }

    fn client(&mut self, account: u32) -> u32 {
        let wishes = Wishes { verbose: false, pedantic: false, echo: true, headers: true, no_responders: true };
        self.next_cid += 1;
        let admission = Admission { cid: self.next_cid, account, wishes, ..Admission::default() };
        self.engine.open(admission, self.now_ns)
    }

    fn say(&mut self, client: u32, text: &str) {
        let fed = self.engine.feed(client, text.as_bytes(), 0, self.now_ns);
        assert_eq!(fed.used, text.len(), "{text:?}");
        let mut touched = Vec::new();
        self.engine.take_touched(&mut touched);
        for slot in touched {
            self.engine.flushed(slot, text.as_bytes(), self.now_ns);
        }
    }

    fn heard(&mut self, client: u32) -> String {
        let out = self.engine.conn(client).unwrap().out();
        let mut bytes = Vec::new();
        out.chunks(&[], |chunk| {
            bytes.extend_from_slice(chunk);
            true
        });
        let count = bytes.len();
        self.engine.wrote(client, count);
        String::from_utf8(bytes).unwrap()
    }

    fn imports(&mut self, account: u32, streams: &[(u32, &str, &str)], services: &[(u32, &str, &str, Answers)]) {
        let imports = compiled(account, streams, services).unwrap();
        self.engine.install_imports(vec![(account, Arc::new(imports))]);
    }

    /// Publishes with a request for a trace, and returns how many receivers it names.
    fn traced(&mut self, client: u32, subject: &str, only: bool) -> usize {
        let only = if only { "Nats-Trace-Only: true\r\n" } else { "" };
        let header = format!("NATS/1.0\r\nNats-Trace-Dest: t\r\n{only}\r\n");
        self.say(client, &format!("HPUB {subject} {0} {0}\r\n{header}\r\n", header.len()));
        let events = std::iter::from_fn(|| self.engine.events().pop());
        let traces: Vec<usize> = events
            .filter_map(|event| match event {
                Event::Traced { steps, .. } => {
                    Some(steps.iter().filter(|step| matches!(step, Step::Received { .. })).count())
                }
                _ => None,
            })
            .collect();
        assert_eq!(traces.len(), 1);
        traces[0]
    }

    /// The reply subject of the one message that a client heard.
    fn reply(&mut self, client: u32) -> String {
        let heard = self.heard(client);
        let reply = heard.split(' ').find(|word| word.starts_with("_R_."));
        reply.unwrap_or_else(|| panic!("no reply subject in {heard:?}")).to_string()
    }
}

fn compiled(
    account: u32,
    streams: &[(u32, &str, &str)],
    services: &[(u32, &str, &str, Answers)],
) -> Result<Imports, ImportError> {
    let streams = streams
        .iter()
        .map(|&(exporter, subject, to)| StreamSpec {
            exporter,
            subject: subject.into(),
            to: to.into(),
            allow_trace: false,
        })
        .collect();
    let services = services
        .iter()
        .map(|&(exporter, subject, to, answers)| ServiceSpec {
            exporter,
            subject: subject.into(),
            to: to.into(),
            answers,
            threshold_ns: 1000,
            share: false,
            latency: None,
            allow_trace: false,
        })
        .collect();
    Imports::compile(format!("\"A{account}\"").as_bytes(), b"\"N\"", streams, services)
}

const E: u32 = 0;
const I: u32 = 1;

#[test]
fn a_stream_import_delivers_under_its_local_subject() {
    let mut world = World::new(2);
    world.imports(I, &[(E, "pub.*.*", "local.$2.$1")], &[]);
    let (e, i) = (world.client(E), world.client(I));
    world.say(i, "SUB local.> 1\r\nSUB local.b.a 2\r\nSUB pub.> 3\r\n");
    world.say(e, "PUB pub.a.b r 2\r\nhi\r\n");
    let heard = world.heard(i);
    assert!(heard.contains("MSG local.b.a 1 r 2\r\nhi\r\n") && heard.contains("MSG local.b.a 2 r 2\r\nhi\r\n"));
    assert!(!heard.contains("pub."));
    // Publishing there stays there.
    world.say(e, "SUB > 9\r\n");
    world.say(i, "PUB local.b.a 0\r\n\r\n");
    assert_eq!(world.heard(e), "");
}

#[test]
fn routes_follow_the_interest_of_importers() {
    let mut world = World::new(2);
    world.imports(I, &[(E, "s.>", "x.s.>")], &[]);
    let (e, i) = (world.client(E), world.client(I));
    for (said, heard) in [
        ("PING\r\n", ""),
        ("SUB x.s.a 1\r\n", "MSG x.s.a 1 0\r\n\r\n"),
        ("UNSUB 1\r\n", ""),
        ("SUB x.*.a 2\r\n", "MSG x.s.a 2 0\r\n\r\n"),
        ("UNSUB 2\r\n", ""),
        ("SUB > 3\r\nUNSUB 3 2\r\n", "MSG x.s.a 3 0\r\n\r\n"),
        ("PING\r\n", "MSG x.s.a 3 0\r\n\r\n"),
        ("PING\r\n", ""),
    ] {
        world.say(i, said);
        world.heard(i);
        world.say(e, "PUB s.a 0\r\n\r\n");
        assert_eq!(world.heard(i), heard, "after {said:?}");
    }
    world.say(i, "SUB > 4\r\n");
    world.imports(I, &[], &[]);
    world.say(e, "PUB s.a 0\r\n\r\n");
    assert_eq!(world.heard(i), "");
    world.imports(I, &[(E, "s.a", "y")], &[]);
    world.say(e, "PUB s.a 0\r\n\r\n");
    assert_eq!(world.heard(i), "MSG y 4 0\r\n\r\n");
}

#[test]
fn imports_may_be_taken_away_in_any_order() {
    let mut world = World::new(4);
    for importer in 1..4 {
        world.imports(importer, &[(E, "s", "s"), (E, "t", "t")], &[]);
    }
    let clients: Vec<u32> = (1..4).map(|account| world.client(account)).collect();
    let e = world.client(E);
    clients.iter().for_each(|&client| world.say(client, "SUB > 1\r\n"));
    for (gone, still) in [(1, vec![2, 3]), (3, vec![2]), (2, vec![])] {
        world.imports(gone, &[], &[]);
        world.say(e, "PUB s 0\r\n\r\nPUB t 0\r\n\r\n");
        for (&client, account) in clients.iter().zip(1..) {
            let heard = world.heard(client);
            assert_eq!(heard.matches("MSG").count(), if still.contains(&account) { 2 } else { 0 });
        }
    }
    // The same subject twice, under two names.
    world.imports(1, &[(E, "s", "s"), (E, "s", "u"), (E, "s", "v")], &[]);
    world.imports(2, &[(E, "s", "s")], &[]);
    world.say(e, "PUB s 0\r\n\r\n");
    assert_eq!(world.heard(clients[0]).matches("MSG").count(), 3);
    assert_eq!(world.heard(clients[1]), "MSG s 1 0\r\n\r\n");
    world.imports(1, &[], &[]);
    world.say(e, "PUB s 0\r\n\r\n");
    assert_eq!(world.heard(clients[0]), "");
    assert_eq!(world.heard(clients[1]), "MSG s 1 0\r\n\r\n");
    world.imports(2, &[], &[]);
    assert!(world.engine.accounts.iter().all(|account| account.importers.is_none() && account.imported.is_none()));
}

#[test]
fn a_request_crosses_and_its_answer_comes_back_once() {
    let mut world = World::new(2);
    world.imports(I, &[], &[(E, "svc.*", "local.$1", Answers::Single)]);
    let (e, i) = (world.client(E), world.client(I));
    world.say(e, "SUB svc.> 1\r\n");
    world.say(i, "SUB inbox 2\r\n");
    world.say(i, "PUB local.a inbox 2\r\nhi\r\n");
    let heard = world.heard(e);
    assert!(
        heard.starts_with("HMSG svc.a 1 _R_.") && heard.ends_with("Nats-Request-Info: {\"acc\":\"A1\"}\r\n\r\nhi\r\n"),
        "{heard}"
    );
    let reply = heard.split(' ').nth(3).unwrap();
    for _ in 0..2 {
        world.say(e, &format!("PUB {reply} 2\r\nok\r\n"));
    }
    assert_eq!(world.heard(i), "MSG inbox 2 2\r\nok\r\n");
    assert_eq!(world.heard(e), "", "nobody is told that it was not open any more");
    assert_eq!(world.engine.crossings.responses.len(), 0);
}

#[test]
fn answers_stream_until_an_empty_one_or_too_long_a_pause() {
    let mut world = World::new(2);
    world.imports(I, &[], &[(E, "many", "many", Answers::Stream)]);
    let (e, i) = (world.client(E), world.client(I));
    world.say(e, "SUB many 1\r\n");
    world.say(i, "SUB in in\r\nPUB many in 0\r\n\r\n");
    let reply = world.reply(e);
    for (pause_ns, payload, heard) in
        [(999, "1", "1\r\n1\r\n"), (999, "2", "1\r\n2\r\n"), (0, "", "0\r\n\r\n"), (0, "3", "")]
    {
        world.now_ns += pause_ns;
        world.say(e, &format!("PUB {reply} {}\r\n{payload}\r\n", payload.len()));
        assert_eq!(world.heard(i).trim_start_matches("MSG in in "), heard);
    }
    world.say(i, "PUB many in 0\r\n\r\n");
    let reply = world.reply(e);
    world.now_ns += 1000;
    world.say(e, &format!("PUB {reply} 1\r\nx\r\n"));
    assert_eq!(world.heard(i), "");
}

#[test]
fn a_request_that_nobody_hears_is_answered_under_its_own_subject() {
    let mut world = World::new(3);
    world.imports(I, &[], &[(E, "svc", "a", Answers::Single)]);
    world.imports(2, &[], &[(I, "a", "b", Answers::Single)]);
    for (account, subject) in [(I, "a"), (2, "b")] {
        let client = world.client(account);
        world.say(client, &format!("SUB in in\r\nPUB {subject} in 0\r\n\r\n"));
        assert_eq!(
            world.heard(client),
            format!("HMSG in in 33 33\r\nNATS/1.0 503\r\nNats-Subject: {subject}\r\n\r\n\r\n")
        );
    }
    assert_eq!(world.engine.crossings.responses.len(), 0);
}

#[test]
fn requests_and_answers_pass_through_accounts_in_between() {
    let mut world = World::new(3);
    world.imports(I, &[], &[(E, "svc", "a", Answers::Single)]);
    world.imports(2, &[], &[(I, "a", "b", Answers::Single)]);
    let (e, c) = (world.client(E), world.client(2));
    world.say(e, "SUB svc 1\r\nSUB more more\r\n");
    world.say(c, "SUB in in\r\nPUB b in 0\r\n\r\n");
    let heard = world.heard(e);
    assert!(heard.contains("{\"acc\":\"A2\",\"svc\":\"A1\"}"), "{heard}");
    let reply = heard.split(' ').nth(3).unwrap();
    // An answer may want an answer itself.
    world.say(e, &format!("PUB {reply} more 2\r\nok\r\n"));
    let back = world.reply(c);
    world.say(c, &format!("PUB {back} 3\r\nthx\r\n"));
    assert_eq!(world.heard(e), "MSG more more 3\r\nthx\r\n");
}

#[test]
fn imports_that_chase_each_other_end() {
    let mut world = World::new(3);
    for account in 0..3 {
        let other = (account + 1) % 3;
        world.imports(
            account,
            &[],
            &[(other, ">", ">", Answers::Stream), ((account + 2) % 3, ">", ">", Answers::Single)],
        );
    }
    let client = world.client(0);
    world.say(client, "SUB in in\r\nPUB a in 0\r\n\r\nPING\r\n");
    assert!(world.heard(client).ends_with("PONG\r\n"));
}

#[test]
fn a_trace_ends_at_the_border_of_its_account() {
    let mut world = World::new(2);
    world.imports(I, &[(E, "s", "s")], &[(E, "svc", "a", Answers::Single)]);
    let (e, i) = (world.client(E), world.client(I));
    world.say(e, "SUB svc 1\r\nSUB s 2\r\n");
    world.say(i, "SUB in in\r\nSUB s s\r\n");
    assert_eq!(world.traced(e, "s", true), 1);
    assert_eq!(world.heard(e) + &world.heard(i), "");
    assert_eq!(world.traced(e, "s", false), 1);
    assert!(world.heard(e).contains("HMSG s 2") && world.heard(i).contains("HMSG s s"));
    assert_eq!(world.traced(i, "a", true), 0);
    assert_eq!(world.heard(e), "");
    assert_eq!(world.traced(i, "a", false), 0);
    assert!(world.heard(e).contains("HMSG svc 1"));
    // Answers likewise; one that is only traced leaves the request open.
    world.say(i, "PUB a in 0\r\n\r\n");
    let reply = world.reply(e);
    assert_eq!(world.traced(e, &reply, true), 0);
    assert_eq!(world.heard(i), "");
    assert_eq!(world.traced(e, &reply, false), 0);
    assert!(world.heard(i).contains("HMSG in in"));
}

#[test]
fn one_request_crosses_a_bounded_number_of_borders() {
    let mut world = World::new(3);
    // Every crossing leads to two more.
    for account in 0..3 {
        let others = [(account + 1) % 3, (account + 2) % 3];
        let services: Vec<_> = others.iter().map(|&other| (other, "a", "a", Answers::Single)).collect();
        world.imports(account, &[], &services);
    }
    let client = world.client(0);
    world.say(client, "SUB a 1\r\nSUB in in\r\nPUB a in 0\r\n\r\n");
    let copies = world.heard(client).matches("MSG a 1").count();
    assert!((2..=1025).contains(&copies), "{copies}");
}

#[test]
fn changed_imports_keep_the_requests_of_those_that_stay() {
    let mut world = World::new(2);
    let (stays, goes) = ((E, "a", "a", Answers::Single), (E, "b", "b", Answers::Single));
    world.imports(I, &[], &[stays, goes]);
    let (e, i) = (world.client(E), world.client(I));
    world.say(e, "SUB * 1\r\n");
    world.say(i, "SUB in in\r\nPUB a in 0\r\n\r\n");
    let a = world.reply(e);
    world.say(i, "PUB b in 0\r\n\r\n");
    let b = world.reply(e);
    world.imports(I, &[], &[stays]);
    world.say(e, &format!("PUB {b} 1\r\nb\r\nPUB {a} 1\r\na\r\n"));
    assert_eq!(world.heard(i), "MSG in in 1\r\na\r\n");
}

#[test]
fn subjects_that_do_not_fit_are_refused() {
    for (subject, to) in [("a.*", "b"), ("a.*", "b.$1.$1"), ("a.*", "b.$2"), ("a.>", "b"), ("a", "b.>"), ("a..b", "c")]
    {
        assert!(compiled(I, &[(E, subject, to)], &[]).is_err(), "{subject} {to}");
    }
    for (subject, to) in [("a.*", "b"), ("a.*.*", "b.$1"), ("a.$1.*", "b.$1"), ("a..b", "c"), ("a", "b..c")] {
        assert!(compiled(I, &[], &[(E, subject, to, Answers::Single)]).is_err(), "{subject} {to}");
    }
    let constant = compiled(I, &[], &[(E, "a", "b.>", Answers::Single)]).unwrap();
    let mut remote = Vec::new();
    constant.services[0].remote(b"b.c.d", &mut remote);
    assert_eq!(remote, b"a");
}

proptest! {
    /// Every request that somebody hears is answered once, to who asked, and nothing of it is left.
    #[test]
    fn requests_come_back_to_who_asked(
        imports in prop::collection::vec(("[ab](\\.[ab])?", "[ab*](\\.[ab*])?"), 1..6),
        responds in "[ab*](\\.[ab*])?",
        asked in prop::collection::vec("[ab](\\.[ab])?", 1..6),
    ) {
        let mut world = World::new(2);
        let services: Vec<(u32, &str, &str, Answers)> =
            imports.iter().map(|(subject, to)| (E, subject.as_str(), to.as_str(), Answers::Single)).collect();
        world.imports(I, &[], &services);
        let (e, i, other) = (world.client(E), world.client(I), world.client(I));
        world.say(e, &format!("SUB {responds} 1\r\n"));
        world.say(i, "SUB r.in.* in\r\n");
        world.say(other, "SUB in in\r\n");
        for (number, subject) in asked.iter().enumerate() {
            world.say(i, &format!("PUB {subject} r.in.{number} 0\r\n\r\n"));
            let crossed = services.iter().filter(|(_, remote, local, _)| {
                let (local, remote) = (local.as_bytes(), remote.as_bytes());
                crate::subject::matches(local, subject.as_bytes()) && crate::subject::matches(responds.as_bytes(), remote)
            });
            let crossed = crossed.count();
            let heard = world.heard(e);
            let replies: Vec<&str> = heard.split([' ', '\n']).filter(|word| word.starts_with("_R_.")).collect();
            prop_assert_eq!(replies.len(), crossed);
            for reply in replies {
                world.say(e, &format!("PUB {reply} 2\r\nok\r\nPUB {reply} 2\r\nok\r\n"));
            }
            let wanted = match crossed {
                0 => {
                    let header = format!("NATS/1.0 503\r\nNats-Subject: {subject}\r\n\r\n");
                    format!("HMSG r.in.{number} in {0} {0}\r\n{header}\r\n", header.len())
                }
                _ => format!("MSG r.in.{number} in 2\r\nok\r\n").repeat(crossed),
            };
            prop_assert_eq!(world.heard(i), wanted);
        }
        prop_assert_eq!(world.heard(e) + &world.heard(other), "");
        prop_assert_eq!(world.engine.crossings.responses.len(), 0);
    }

    /// Who subscribes at home to what a stream import brings hears exactly what a naive reading says.
    #[test]
    fn stream_imports_agree_with_the_naive_reading(
        subject in "[ab*]\\.[ab*](\\.>)?",
        reorder in any::<bool>(),
        subs in prop::collection::vec("([xab*](\\.[ab*]){0,3}(\\.>)?|>)", 1..8),
        published in "[ab](\\.[ab]){1,3}",
    ) {
        let stars = subject.matches('*').count();
        let mut to = "x".to_string();
        for star in 0..stars {
            to += &format!(".${}", if reorder { stars - star } else { star + 1 });
        }
        if subject.ends_with('>') {
            to += ".>";
        }
        let mut world = World::new(2);
        world.imports(I, &[(E, &subject, &to)], &[]);
        let (e, i) = (world.client(E), world.client(I));
        for (sid, sub) in subs.iter().enumerate() {
            world.say(i, &format!("SUB {sub} {sid}\r\n"));
            // Routes are remembered in between, and must be forgotten.
            world.say(e, &format!("PUB {published} 0\r\n\r\n"));
        }
        world.heard(i);
        world.say(e, &format!("PUB {published} 0\r\n\r\n"));
        let mut heard: Vec<String> = world.heard(i).split_terminator("\r\n\r\n").map(Into::into).collect();
        heard.sort();
        let mut wanted = Vec::new();
        if crate::subject::matches(subject.as_bytes(), published.as_bytes()) {
            let mut local = Vec::new();
            Transform::compile(subject.as_bytes(), to.as_bytes()).unwrap().apply(published.as_bytes(), &mut |_| 0, &mut local);
            for (sid, sub) in subs.iter().enumerate() {
                if crate::subject::matches(sub.as_bytes(), &local) {
                    wanted.push(format!("MSG {} {sid} 0", String::from_utf8_lossy(&local)));
                }
            }
        }
        wanted.sort();
        prop_assert_eq!(heard, wanted);
    }
}
