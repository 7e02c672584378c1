//! Several connections to one server: over which of them it hears of an account, and what a reload of accounts changes.

use natsfleet_core::conn::{Admission, Carried, Kind, Wishes};
use natsfleet_core::engine::{Engine, Settings};

const SHARED: u32 = 0;
const PINNED: u32 = 1;
const LATER: u32 = 2;

struct Server {
    engine: Engine,
    cid: u64,
}

impl Server {
    fn new() -> Self {
        let mut engine = Engine::new(Settings { routes: true, ..Settings::default() }, 7);
        engine.install_account(LATER, None);
        engine.name_account(SHARED, b"S", false, Some(1));
        engine.name_account(PINNED, b"P", false, None);
        Self { engine, cid: 0 }
    }

    fn open(&mut self, kind: Kind, account: u32, carried: Carried) -> u32 {
        self.cid += 1;
        let wishes = Wishes { verbose: false, pedantic: false, echo: true, headers: true, no_responders: false };
        let admission =
            Admission { cid: self.cid, account, wishes, kind, carried, payload_max: 100, ..Admission::default() };
        self.engine.open(Admission { subs_max: 3, ..admission }, 1)
    }

    fn client(&mut self, account: u32) -> u32 {
        self.open(Kind::Client, account, Carried::All)
    }

    fn route(&mut self, carried: Carried) -> u32 {
        self.open(Kind::Route, PINNED, carried)
    }

    fn say(&mut self, slot: u32, input: &str) {
        self.engine.feed(slot, input.as_bytes(), 0, 2);
    }

    /// What was sent to a connection since the last time, by the line.
    fn told(&mut self, slot: u32) -> Vec<String> {
        let mut output = Vec::new();
        if let Some(conn) = self.engine.conn(slot) {
            conn.out().chunks(&[], |chunk| {
                output.extend_from_slice(chunk);
                true
            });
        }
        self.engine.wrote(slot, output.len());
        self.engine.flushed(slot, &[], 2);
        let text = String::from_utf8(output).unwrap();
        text.split_terminator("\r\n").map(String::from).collect()
    }
}

#[test]
fn a_server_hears_of_an_account_over_one_connection() {
    let mut server = Server::new();
    let [first, second] = [Carried::Slot(0), Carried::Slot(1)].map(|carried| server.route(carried));
    let [own, single] = [Carried::Own, Carried::All].map(|carried| server.route(carried));
    for account in [SHARED, PINNED] {
        let client = server.client(account);
        server.say(client, "SUB a 1\r\nSUB a q 2\r\nUNSUB 1\r\n");
    }
    assert!(server.told(first).is_empty());
    assert_eq!(server.told(second), ["RS+ S a", "RS+ S a q 1", "RS- S a"]);
    assert_eq!(server.told(own), ["RS+ a", "RS+ a q 1", "RS- a"]);
    assert_eq!(server.told(single).len(), 6);
    let late = server.route(Carried::Own);
    assert_eq!(server.told(late), ["RS+ a q 1"]);
}

#[test]
fn a_message_goes_where_the_interest_came_from() {
    let mut server = Server::new();
    let [other, own] = [Carried::Slot(0), Carried::Own].map(|carried| server.route(carried));
    server.say(other, "RS+ S a\r\n");
    server.say(own, "RS+ a\r\nRS+ b q 2\r\n");
    for (account, subject) in [(SHARED, "a"), (PINNED, "a"), (PINNED, "b")] {
        let client = server.client(account);
        server.say(client, &format!("PUB {subject} r 1\r\nx\r\n"));
    }
    assert_eq!(server.told(other), ["RMSG S a r 1", "x"]);
    assert_eq!(server.told(own), ["RMSG a r 1", "x", "RMSG b + r q 1", "x"]);
    server.engine.lost(own, natsfleet_core::errors::CloseReason::ClientClosed, "");
    let client = server.client(SHARED);
    server.say(client, "PUB a 1\r\ny\r\n");
    assert_eq!(server.told(other), ["RMSG S a 1", "y"]);
}

#[test]
fn interest_in_an_account_that_is_not_known_waits_for_it() {
    let mut server = Server::new();
    let peer = server.route(Carried::Slot(2));
    let client = server.client(LATER);
    server.say(peer, "RS+ L a\r\nRS+ L b q 2\r\nRS+ L c\r\nRS- L c\r\n");
    let speak = "PUB a 1\r\nx\r\nPUB b 1\r\nx\r\nPUB c 1\r\nx\r\nSUB d 1\r\n";
    server.say(client, speak);
    assert!(server.told(peer).is_empty());
    server.engine.name_account(LATER, b"L", false, Some(2));
    assert_eq!(server.told(peer), ["RS+ L d"]);
    server.say(client, speak);
    assert_eq!(server.told(peer), ["RMSG L a 1", "x", "RMSG L b | q 1", "x"]);
}

#[test]
fn what_waits_is_bounded_like_what_counts() {
    let mut server = Server::new();
    let peer = server.route(Carried::Slot(1));
    server.say(peer, "RS+ S a\r\nRS+ L a\r\nRS+ L b\r\nRS+ L b\r\n");
    assert!(server.told(peer).is_empty());
    server.say(peer, "RS+ L c\r\n");
    assert_eq!(server.told(peer), ["-ERR 'maximum subscriptions exceeded'"]);
}

#[test]
fn what_is_told_over_another_connection_from_now_on_is_forgotten_here() {
    let mut server = Server::new();
    let [pooled, single] = [Carried::Slot(1), Carried::All].map(|carried| server.route(carried));
    for peer in [pooled, single] {
        server.say(peer, "RS+ S a\r\nRS+ P a\r\nRS+ L a\r\n");
    }
    for account in [&b"S"[..], b"L"] {
        server.engine.forget_interest(1, account);
    }
    server.engine.name_account(LATER, b"L", false, Some(2));
    for account in [SHARED, PINNED, LATER] {
        let client = server.client(account);
        server.say(client, "PUB a 1\r\nx\r\n");
    }
    assert_eq!(server.told(pooled), ["RMSG P a 1", "x"]);
    assert_eq!(server.told(single).len(), 6);
}

#[test]
fn an_account_that_gets_a_connection_of_its_own_leaves_the_pool() {
    let mut server = Server::new();
    let [pooled, single] = [Carried::Slot(1), Carried::All].map(|carried| server.route(carried));
    let client = server.client(SHARED);
    server.say(client, "SUB a 1\r\nSUB a q 2\r\n");
    for peer in [pooled, single] {
        server.told(peer);
    }
    server.engine.name_account(SHARED, b"S", false, None);
    let mut left = server.told(pooled);
    left.sort();
    assert_eq!(left, ["RS- S a", "RS- S a q"]);
    assert!(server.told(single).is_empty());
    server.engine.name_account(SHARED, b"S", false, Some(1));
    assert_eq!(server.told(pooled).len(), 2);
}
