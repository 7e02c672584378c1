//! Settling a plain CONNECT on an open listener, by the control plane's rule (`OpenRule`).

use std::sync::Arc;

use crate::codec::connect::{self, push_json_string, Connect};
use crate::conn::{Arrival, Conn, OpenRule};
use crate::engine::Engine;
use crate::event::Event;

impl Engine {
    /// What newcomers through a door are told has changed. Those who came through it before and have not said CONNECT yet
    /// are settled by the new rule, too: nobody else would tell them.
    pub fn change_open_rule(&mut self, door: u32, rule: &Arc<OpenRule>) {
        let waits = |conn: &Conn| {
            conn.admission.open_rule.is_some() && conn.arrival.as_ref().is_some_and(|arrival| arrival.door == door)
        };
        let waiting: Vec<_> = self.conns.iter().filter(|(_, conn)| waits(conn)).map(|(slot, _)| slot).collect();
        for slot in waiting {
            if let Some(conn) = self.conns.get_mut(slot) {
                conn.admission.open_rule = Some(rule.clone());
            }
        }
    }

    /// True when the CONNECT was settled here; false leaves it to the control plane.
    pub(crate) fn settle_plain(&mut self, slot: u32, json: &[u8], now_ns: u64) -> bool {
        let Some(conn) = self.conns.get_mut(slot) else { return false };
        let (Some(rule), Some(arrival)) = (&conn.admission.open_rule, &conn.arrival) else { return false };
        let Some(asked) = connect::read(json, rule.headers) else { return false };
        let info = if asked.protocol >= 1 { info(rule, conn.admission.cid, &arrival.ip) } else { Vec::new() };
        conn.admission.about = about(rule, arrival, &asked).into();
        conn.admission.first_pong_info = info.into();
        conn.admission.wishes = asked.wishes;
        conn.admission.open_rule = None;
        conn.arrival = None;
        let (cid, account, verbose) = (conn.admission.cid, conn.admission.account, asked.wishes.verbose);
        self.drop_subs(slot);
        self.events.push(Event::Admitted { cid, account });
        if verbose {
            self.send(slot, b"+OK\r\n");
        }
        self.start_timers(slot, now_ns);
        true
    }
}

fn info(rule: &OpenRule, cid: u64, ip: &str) -> Vec<u8> {
    let [head, rest] = &rule.info;
    let mut line = Vec::with_capacity(head.len() + rest.len() + 64);
    line.extend_from_slice(head);
    line.extend_from_slice(format!("{cid},\"client_ip\":\"{ip}\"").as_bytes());
    line.extend_from_slice(rest);
    line
}

/// The note about the connection; `services/router/newcomers.py` has the same members.
fn about(rule: &OpenRule, arrival: &Arrival, asked: &Connect<'_>) -> Vec<u8> {
    let mut note = Vec::with_capacity(256);
    let Arrival { ip, port, at_ns, .. } = arrival;
    let protocol = asked.protocol;
    note.extend_from_slice(
        format!("{{\"ip\":\"{ip}\",\"port\":{port},\"start\":{at_ns},\"proto\":{protocol},").as_bytes(),
    );
    note.extend_from_slice(&rule.about);
    for (member, text) in [("name", &asked.name), ("lang", &asked.lang), ("version", &asked.version)] {
        if !text.is_empty() {
            note.extend_from_slice(format!(",\"{member}\":").as_bytes());
            push_json_string(&mut note, text);
        }
    }
    if !arrival.nonce.is_empty() {
        note.extend_from_slice(b",\"nonce\":\"");
        note.extend_from_slice(&arrival.nonce);
        note.push(b'"');
    }
    let wishes = asked.wishes;
    let flags = [
        ('v', wishes.verbose),
        ('p', wishes.pedantic),
        ('e', wishes.echo),
        ('h', wishes.headers),
        ('n', wishes.no_responders),
    ];
    note.extend_from_slice(b",\"flags\":\"");
    note.extend(flags.iter().filter(|(_, given)| *given).map(|(mark, _)| *mark as u8));
    note.extend_from_slice(b"\"}");
    note
}
