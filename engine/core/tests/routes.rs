//! Two engines with a route between them: interest settles, and each message arrives as if all were in one.

use natsfleet_core::conn::{Admission, Carried, Kind, Wishes};
use natsfleet_core::engine::{Engine, Settings};
use proptest::prelude::*;

const CLIENTS: usize = 3;

struct Server {
    engine: Engine,
    clients: Vec<u32>,
    route: u32,
}

fn admission(cid: u64, kind: Kind) -> Admission {
    let wishes = Wishes { verbose: false, pedantic: false, echo: true, headers: true, no_responders: false };
    Admission { cid, wishes, kind, payload_max: 1 << 20, ..Admission::default() }
}

impl Server {
    fn new(seed: u64) -> Self {
        let mut engine = Engine::new(Settings { routes: true, ..Settings::default() }, seed);
        engine.install_account(0, None);
        engine.name_account(0, b"A", false, Some(0));
        let clients = (1..=CLIENTS as u64).map(|cid| engine.open(admission(cid, Kind::Client), 1)).collect();
        Self { engine, clients, route: u32::MAX }
    }

    /// What waits for a connection.
    fn take(&mut self, slot: u32, input: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        let Some(conn) = self.engine.conn(slot) else { return output };
        conn.out().chunks(input, |chunk| {
            output.extend_from_slice(chunk);
            true
        });
        self.engine.wrote(slot, output.len());
        self.engine.flushed(slot, input, 2);
        output
    }
}

/// Both servers, and what their clients were sent.
struct Pair {
    servers: [Server; 2],
    heard: Vec<(usize, usize, String)>,
    carried: Carried,
}

impl Pair {
    fn new(carried: Carried) -> Self {
        Self { servers: [Server::new(3), Server::new(4)], heard: Vec::new(), carried }
    }

    fn join(&mut self) {
        for server in &mut self.servers {
            server.route = server.engine.open(Admission { carried: self.carried, ..admission(99, Kind::Route) }, 1);
        }
        for side in 0..2 {
            self.pump(side, &[]);
        }
    }

    fn part(&mut self) {
        for server in &mut self.servers {
            server.engine.lost(server.route, natsfleet_core::errors::CloseReason::ClientClosed, "");
            server.engine.forget(server.route);
            server.route = u32::MAX;
        }
    }

    fn say(&mut self, side: usize, client: usize, input: &str) {
        let slot = self.servers[side].clients[client];
        self.feed(side, slot, input.as_bytes());
    }

    fn feed(&mut self, side: usize, slot: u32, input: &[u8]) {
        let mut at = 0;
        while at < input.len() {
            let fed = self.servers[side].engine.feed(slot, input, at, 2);
            at += fed.used;
            self.pump(side, input);
            assert!(fed.used > 0 || fed.need == 0, "stuck at {:?}", String::from_utf8_lossy(&input[at..]));
        }
        self.pump(side, input);
    }

    /// Moves what waits on one side to whom it is for.
    fn pump(&mut self, side: usize, input: &[u8]) {
        for client in 0..CLIENTS {
            let slot = self.servers[side].clients[client];
            let output = self.servers[side].take(slot, input);
            for line in String::from_utf8_lossy(&output).split("MSG ").filter(|part| !part.is_empty()) {
                self.heard.push((side, client, line.replace("\r\n", "~")));
            }
        }
        let route = self.servers[side].route;
        let output = self.servers[side].take(route, input);
        if !output.is_empty() {
            let other = 1 - side;
            self.feed(other, self.servers[other].route, &output);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Subscribe { side: usize, client: usize, sid: u8, subject: &'static str, queue: Option<&'static str> },
    Unsubscribe { side: usize, client: usize, sid: u8 },
    Publish { side: usize, subject: &'static str, reply: bool },
    Rejoin,
}

fn step() -> impl Strategy<Value = Step> {
    let patterns = prop::sample::select(vec!["a", "a.b", "a.*", ">", "*.b", "c"]);
    let subjects = prop::sample::select(vec!["a", "a.b", "c", "x.b"]);
    let queues = prop::option::of(prop::sample::select(vec!["q", "r"]));
    prop_oneof![
        4 => (0..2usize, 0..CLIENTS, 0..4u8, patterns, queues)
            .prop_map(|(side, client, sid, subject, queue)| Step::Subscribe { side, client, sid, subject, queue }),
        2 => (0..2usize, 0..CLIENTS, 0..4u8).prop_map(|(side, client, sid)| Step::Unsubscribe { side, client, sid }),
        4 => (0..2usize, subjects, any::<bool>())
            .prop_map(|(side, subject, reply)| Step::Publish { side, subject, reply }),
        1 => Just(Step::Rejoin),
    ]
}

type Subs = std::collections::BTreeMap<(usize, usize, u8), (&'static str, Option<&'static str>)>;

proptest! {
    #[test]
    fn two_servers_deliver_like_one(
        steps in prop::collection::vec(step(), 1..60),
        carried in prop::sample::select(vec![Carried::All, Carried::Slot(0), Carried::Own]),
    ) {
        let mut pair = Pair::new(carried);
        pair.join();
        let mut subs = Subs::new();
        for step in steps {
            match step {
                Step::Subscribe { side, client, sid, subject, queue } => {
                    let queued = queue.map_or(String::new(), |queue| format!("{queue} "));
                    pair.say(side, client, &format!("SUB {subject} {queued}{sid}\r\n"));
                    subs.entry((side, client, sid)).or_insert((subject, queue));
                }
                Step::Unsubscribe { side, client, sid } => {
                    pair.say(side, client, &format!("UNSUB {sid}\r\n"));
                    subs.remove(&(side, client, sid));
                }
                Step::Rejoin => {
                    pair.part();
                    pair.join();
                }
                Step::Publish { side, subject, reply } => {
                    pair.heard.clear();
                    let reply = if reply { "re.ply " } else { "" };
                    pair.say(side, 0, &format!("PUB {subject} {reply}2\r\nhi\r\n"));
                    let mut heard = std::mem::take(&mut pair.heard);
                    let matching = |(pattern, _): &&(&'static str, Option<&'static str>)| {
                        natsfleet_core::subject::matches(pattern.as_bytes(), subject.as_bytes())
                    };
                    for ((side, client, sid), _) in subs.iter().filter(|(_, sub)| sub.1.is_none() && matching(sub)) {
                        let wanted = (*side, *client, format!("{subject} {sid} {reply}2~hi~"));
                        let at = heard.iter().position(|got| *got == wanted);
                        prop_assert!(at.is_some(), "{:?} is missing in {:?}", wanted, heard);
                        heard.remove(at.unwrap());
                    }
                    for queue in ["q", "r"] {
                        let members: Vec<_> = subs.iter()
                            .filter(|(_, sub)| sub.1 == Some(queue) && matching(sub))
                            .map(|((side, client, sid), _)| (*side, *client, format!("{subject} {sid} {reply}2~hi~")))
                            .collect();
                        let at = heard.iter().position(|got| members.contains(got));
                        prop_assert_eq!(at.is_some(), !members.is_empty());
                        if let Some(at) = at {
                            heard.remove(at);
                        }
                    }
                    prop_assert!(heard.is_empty(), "too much: {:?}", heard);
                }
            }
        }
        // Without subscriptions the peers know of nothing any more.
        for ((side, client, sid), _) in subs {
            pair.say(side, client, &format!("UNSUB {sid}\r\n"));
        }
        for server in &pair.servers {
            prop_assert_eq!(server.engine.totals().subs, 0);
        }
    }
}
