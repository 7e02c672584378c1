//! Receivers that do not read: who is cut, when, and what it costs the others.

use std::sync::Arc;

use natsfleet_core::conn::{Admission, Wishes};
use natsfleet_core::engine::{Engine, Fed, Settings};
use natsfleet_core::errors::CloseReason;
use natsfleet_core::event::Event;
use natsfleet_core::permit::{Permit, PermitSpec};

fn admission(cid: u64) -> Admission {
    let wishes = Wishes { verbose: false, pedantic: false, echo: true, headers: true, no_responders: false };
    Admission { cid, wishes, payload_max: 1 << 20, ..Admission::default() }
}

fn engine(settings: Settings, conns: u64) -> (Engine, Vec<u32>) {
    let mut engine = Engine::new(settings, 1);
    engine.install_account(0, None);
    let slots = (1..=conns).map(|cid| engine.open(admission(cid), 1)).collect();
    (engine, slots)
}

/// Feeds everything; sockets take nothing.
fn feed_to_full_sockets(engine: &mut Engine, slot: u32, input: &[u8]) -> Fed {
    let mut at = 0;
    loop {
        let fed = engine.feed(slot, input, at, 2);
        at += fed.used;
        let mut touched = Vec::new();
        engine.take_touched(&mut touched);
        for slot in touched {
            engine.flushed(slot, input, 2);
        }
        if fed.need != 0 || at == input.len() {
            return Fed { used: at, ..fed };
        }
    }
}

fn cut(engine: &mut Engine) -> Vec<(u64, CloseReason)> {
    let closed = |event| match event {
        Event::Closed { cid, reason, .. } => Some((cid, reason)),
        _ => None,
    };
    std::iter::from_fn(|| engine.events().pop()).filter_map(closed).collect()
}

#[test]
fn who_pings_and_never_reads_the_answers_is_cut() {
    let settings = Settings { pending_max: 10_000, ..Settings::default() };
    let (mut engine, slots) = engine(settings, 1);
    for _ in 0..10_000 / 6 {
        feed_to_full_sockets(&mut engine, slots[0], b"PING\r\n");
    }
    assert_eq!(cut(&mut engine), []);
    feed_to_full_sockets(&mut engine, slots[0], b"PING\r\n");
    assert_eq!(cut(&mut engine), [(1, CloseReason::SlowConsumerPendingBytes)]);
    assert!(engine.conn(slots[0]).is_some_and(|conn| conn.out().is_empty()));
}

#[test]
fn who_is_refused_and_never_reads_it_is_cut() {
    let settings = Settings { pending_max: 10_000, ..Settings::default() };
    let (mut engine, slots) = engine(settings, 1);
    for sid in 0..=10_000 / 24 {
        feed_to_full_sockets(&mut engine, slots[0], format!("SUB a..b {sid}\r\n").as_bytes());
    }
    assert_eq!(cut(&mut engine), [(1, CloseReason::SlowConsumerPendingBytes)]);
}

#[test]
fn an_old_backlog_does_not_make_every_message_a_flush() {
    let (mut engine, slots) = engine(Settings::default(), 2);
    feed_to_full_sockets(&mut engine, slots[0], b"SUB a 1\r\n");
    let large = [b"PUB a 1000000\r\n".as_slice(), &[b'x'; 1_000_000], b"\r\n"].concat();
    for _ in 0..3 {
        feed_to_full_sockets(&mut engine, slots[1], &large);
    }
    let small = b"PUB a 3\r\nxyz\r\n".repeat(1000);
    let fed = engine.feed(slots[1], &small, 0, 3);
    assert_eq!((fed.used, fed.need), (small.len(), 1));
}

#[test]
fn copies_for_many_receivers_are_flushed_before_they_pile_up() {
    let (mut engine, slots) = engine(Settings::default(), 2001);
    for &slot in &slots[1..] {
        feed_to_full_sockets(&mut engine, slot, b"SUB a 1\r\n");
    }
    let input = [b"PUB a 500\r\n".as_slice(), &[b'x'; 500], b"\r\n"].concat().repeat(500);
    let fed = engine.feed(slots[0], &input, 0, 2);
    assert_eq!(fed.need, 0);
    let waiting: usize = slots.iter().filter_map(|&slot| engine.conn(slot)).map(|conn| conn.out().pending()).sum();
    assert!((16 << 20..18 << 20).contains(&waiting), "{waiting} bytes wait");
}

#[test]
fn the_bound_of_all_together_is_about_memory_and_cuts_the_largest() {
    let settings = Settings { pending_total_max: 8 << 20, ..Settings::default() };
    let (mut engine, slots) = engine(settings, 11);
    for (at, &slot) in slots[1..].iter().enumerate() {
        let subject = if at < 9 { "few" } else { "many" };
        feed_to_full_sockets(&mut engine, slot, format!("SUB {subject} 1\r\n").as_bytes());
    }
    let message = |subject: &str| [format!("PUB {subject} 10000\r\n").as_bytes(), &[b'x'; 10_000], b"\r\n"].concat();
    for _ in 0..5 {
        feed_to_full_sockets(&mut engine, slots[0], &message("few"));
    }
    let mut seen = 0;
    for _ in 0..1000 {
        feed_to_full_sockets(&mut engine, slots[0], &message("many"));
        let held: usize = slots.iter().filter_map(|&slot| engine.conn(slot)).map(|conn| conn.out().held()).sum();
        assert!(held <= 8 << 20, "{held} bytes held");
        seen = seen.max(held);
    }
    assert!(seen > 4 << 20);
    assert_eq!(cut(&mut engine), [(11, CloseReason::SlowConsumerPendingBytes)]);
}

#[test]
fn idle_backlogs_go_before_those_that_grow() {
    let settings = Settings { pending_total_max: 8 << 20, ..Settings::default() };
    let (mut engine, slots) = engine(settings, 101);
    for (at, &slot) in slots[1..].iter().enumerate() {
        let subject = if at < 90 { "few" } else { "many" };
        feed_to_full_sockets(&mut engine, slot, format!("SUB {subject} 1\r\n").as_bytes());
    }
    let message = |subject: &str| [format!("PUB {subject} 5000\r\n").as_bytes(), &[b'x'; 5000], b"\r\n"].concat();
    for _ in 0..120 {
        feed_to_full_sockets(&mut engine, slots[0], &message("many"));
    }
    assert_eq!(cut(&mut engine), []);
    for _ in 0..10 {
        feed_to_full_sockets(&mut engine, slots[0], &message("few"));
        assert!(engine.totals().stuck_bytes <= 8 << 20);
    }
    let mut gone: Vec<u64> = cut(&mut engine).into_iter().map(|(cid, _)| cid).collect();
    assert!((3..10).contains(&gone.len()), "{gone:?}");
    gone.sort_unstable();
    assert!(gone.iter().all(|cid| (92..=101).contains(cid)), "{gone:?}");
}

#[test]
fn who_is_told_too_much_by_a_command_is_cut_at_once() {
    let settings = Settings { pending_max: 1_000, ..Settings::default() };
    let (mut engine, slots) = engine(settings, 1);
    for sid in 0..50 {
        feed_to_full_sockets(&mut engine, slots[0], format!("SUB a {sid}\r\n").as_bytes());
    }
    let nothing = PermitSpec { subscribe_allow: Some(Vec::new()), ..PermitSpec::default() };
    let removed = engine.set_permit(1, Permit::compile(&nothing).ok().map(Arc::new));
    assert_eq!(removed.len(), 50);
    assert_eq!(cut(&mut engine), [(1, CloseReason::SlowConsumerPendingBytes)]);
}

#[test]
fn a_receiver_that_takes_too_little_is_late_unless_that_is_forgiven() {
    const SECOND: u64 = 1_000_000_000;
    for (write_retry, told) in [(false, ["Detected", ""]), (true, ["Detected", "State"])] {
        let settings = Settings { write_retry, write_deadline_ns: SECOND, ..Settings::default() };
        let (mut engine, slots) = engine(settings, 1);
        for _ in 0..100 {
            feed_to_full_sockets(&mut engine, slots[0], b"PING\r\n");
        }
        for (second, told) in (1..).zip(told) {
            // It takes a little, which is not enough.
            let half = SECOND * second - SECOND / 2;
            engine.wrote(slots[0], 1);
            engine.flushed(slots[0], &[], half);
            engine.tick(half);
            assert!(engine.events().is_empty());
            engine.tick(SECOND * second + 2);
            let lines: Vec<String> = std::iter::from_fn(|| engine.events().pop())
                .map(|event| match event {
                    Event::Slow { text, .. } => text.into(),
                    Event::Closed { detail, reason: CloseReason::SlowConsumerWriteDeadline, .. } => detail.into(),
                    other => format!("{other:?}"),
                })
                .collect();
            assert_eq!(lines.len(), usize::from(!told.is_empty()), "{lines:?}");
            assert!(lines.iter().all(|line| line.starts_with(&format!("Slow Consumer {told}: "))), "{lines:?}");
            assert_eq!(engine.tries_again(slots[0]), write_retry);
        }
    }
}
