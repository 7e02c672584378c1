//! Peers that are not TLS clients, broken ones, and ones that mean harm: no panic, no unbounded memory.

mod tls_kit;

use natsfleet_drive::tls::{TlsError, TlsServer, TlsServerSpec, TlsSession, HANDSHAKE_BYTES_MAX};
use tls_kit::*;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

fn both_versions() -> [ClientSpec; 2] {
    [ClientSpec::new(&TLS12), ClientSpec::new(&TLS13)]
}

fn fresh(authority: &Authority) -> TlsSession {
    TlsServer::build(&authority.spec()).unwrap().accept().unwrap()
}

#[test]
fn a_peer_that_speaks_something_else_is_told_apart_at_once() {
    let authority = Authority::new();
    for garbage in
        [&b"C"[..], b"CONNECT {}\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x50\x01", b"\x17\x03\x03\x00\x01\x00"]
    {
        let mut session = fresh(&authority);
        let error = session.receive(garbage).unwrap_err();
        assert!(error.is_not_tls(), "{garbage:?}");
        assert_eq!(error.to_string(), "tls: first record does not look like a TLS handshake");
        assert!(!session.has_output(), "not even an alert");
        assert_eq!(session.receive(b"more"), Err(error));
    }
    assert!(fresh(&authority).receive(b"\x16").is_ok());
    assert!(fresh(&authority).receive(b"").is_ok());
}

#[test]
fn oversized_records_are_refused_with_an_alert() {
    let authority = Authority::new();
    let mut session = fresh(&authority);
    let error = session.receive(b"\x16\x03\x01\xff\xff").unwrap_err();
    assert_eq!(error.to_string(), "tls: oversized record received");
    assert_eq!(session_output(&mut session)[0], 21, "an alert");
    let (_, mut session) = connected(&authority, &authority.spec(), &ClientSpec::new(&TLS13)).unwrap();
    let error = session.receive(b"\x17\x03\x03\xff\xff").unwrap_err();
    assert_eq!(error.to_string(), "tls: oversized record received");
}

#[test]
fn an_endless_handshake_message_is_cut_off() {
    let authority = Authority::new();
    let mut session = fresh(&authority);
    let mut record = vec![22, 3, 1, 0x40, 0];
    record.extend_from_slice(&[1, 0xff, 0xff, 0xff]);
    record.resize(5 + 16_384, 0);
    let mut sent = 0;
    while session.receive(&record).is_ok() {
        sent += record.len();
        assert!(sent < HANDSHAKE_BYTES_MAX);
    }
    assert!(session.buffered_bytes() < 1_000, "only an alert is left");
}

#[test]
fn tampered_records_end_the_session_and_keep_what_came_before() {
    let authority = Authority::new();
    for client in both_versions() {
        let (mut client, mut session) = connected(&authority, &authority.spec(), &client).unwrap();
        let mut wire = client_encrypts(&mut client, b"goodbad!", 4);
        if let Some(last) = wire.last_mut() {
            *last ^= 1;
        }
        let mut plain = Vec::new();
        let error = session.decrypt(&mut wire, &mut plain).unwrap_err();
        assert_eq!(error.to_string(), "local error: tls: bad record MAC");
        assert_eq!(plain, b"good");
        assert!(session.has_output());
        assert_eq!(session.write_plain(b"x"), Err(TlsError::NotOpen));
        assert_eq!(session.decrypt(&mut wire, &mut plain), Err(error));
    }
}

#[test]
fn alerts_of_the_peer_are_named() {
    let authority = Authority::new();
    let mut session = fresh(&authority);
    let error = session.receive(&[21, 3, 1, 0, 2, 2, 42]).unwrap_err();
    assert_eq!(error.to_string(), "remote error: tls: bad certificate");
}

#[test]
fn flipping_any_byte_of_a_handshake_never_panics() {
    let authority = Authority::new();
    let identity = authority.client("alice");
    let spec = TlsServerSpec { verify: true, ca_pem: Some(authority.ca_pem.clone()), ..authority.spec() };
    let server = TlsServer::build(&spec).unwrap();
    for versions in [&TLS12, &TLS13] {
        let client_spec = ClientSpec { identity: Some(identity.clone()), ..ClientSpec::new(versions) };
        let config = client_spec.config(&authority.ca_pem);
        for (at, flip) in (0..2_000usize).step_by(5).flat_map(|at| [(at, 0xff), (at, 1 << (at % 8))]) {
            let mut client = rustls::ClientConnection::new(config.clone(), "localhost".try_into().unwrap()).unwrap();
            let mut session = server.accept().unwrap();
            let mut position = 0;
            loop {
                let mut wire = client_output(&mut client);
                if wire.is_empty() {
                    break;
                }
                if let Some(byte) = at.checked_sub(position).and_then(|at| wire.get_mut(at)) {
                    *byte ^= flip;
                }
                position += wire.len();
                let outcome = session.receive(&wire);
                let reply = session_output(&mut session);
                if outcome.is_err() || client_input(&mut client, &reply).is_err() {
                    break;
                }
            }
        }
    }
}

fn raw_peer(versions: &'static [&'static rustls::SupportedProtocolVersion]) -> (RawPeer, TlsSession) {
    let authority = Authority::new();
    let (client, session) = connected(&authority, &authority.spec(), &ClientSpec::new(versions)).unwrap();
    (RawPeer::take_over(client), session)
}

fn plain_of(session: &mut TlsSession, mut wire: Vec<u8>) -> Result<Vec<u8>, TlsError> {
    let mut plain = Vec::new();
    session.decrypt(&mut wire, &mut plain).map(|()| plain)
}

/// Sends something, as a forwarding thread may at any moment.
fn speak(session: &mut TlsSession) -> Result<(), TlsError> {
    session.encrypt(b"PING\r\n", &mut Vec::new())
}

#[test]
fn a_key_update_in_pieces_may_be_waited_for_while_we_speak() {
    let (mut peer, mut session) = raw_peer(&TLS13);
    let key_update = [24, 0, 0, 1, 0];
    for (at, byte) in key_update.iter().enumerate() {
        let wire = peer.record(HANDSHAKE, &[*byte]);
        let (front, back) = wire.split_at(7);
        assert_eq!(plain_of(&mut session, front.to_vec()).unwrap(), b"");
        speak(&mut session).unwrap();
        assert_eq!(plain_of(&mut session, back.to_vec()).unwrap(), b"", "piece {at}");
        speak(&mut session).unwrap();
    }
    assert_eq!(session.buffered_bytes(), 0);
}

#[test]
fn data_between_the_pieces_of_a_message_ends_the_session() {
    let (mut peer, mut session) = raw_peer(&TLS13);
    assert_eq!(plain_of(&mut session, peer.record(HANDSHAKE, &[24, 0])).unwrap(), b"");
    plain_of(&mut session, peer.record(DATA, b"PUB x 0")).unwrap_err();
    session.close_notify();
    assert_eq!(speak(&mut session), Err(TlsError::NotOpen));
}

#[test]
fn an_endless_message_behind_the_handshake_is_cut_off() {
    for versions in [&TLS12, &TLS13] {
        let (mut peer, mut session) = raw_peer(versions);
        let mut sent = 0;
        let mut wire = peer.record(HANDSHAKE, &[24, 0, 0xff, 0x00, 0]);
        while plain_of(&mut session, wire).is_ok() {
            assert!(session.buffered_bytes() < 4 * HANDSHAKE_BYTES_MAX);
            speak(&mut session).unwrap();
            wire = peer.record(HANDSHAKE, &[0; 1_000]);
            sent += wire.len();
            assert!(sent < 2 * HANDSHAKE_BYTES_MAX);
        }
        assert!(session.buffered_bytes() < 1_000);
    }
}

#[test]
fn tiny_pieces_of_a_message_stay_within_the_bound() {
    let (mut peer, mut session) = raw_peer(&TLS13);
    assert!(plain_of(&mut session, peer.record(HANDSHAKE, &[24, 0, 0xff, 0x00])).is_ok());
    let mut records = 0;
    while plain_of(&mut session, peer.record(HANDSHAKE, &[0])).is_ok() {
        assert!(session.buffered_bytes() < 4 * HANDSHAKE_BYTES_MAX);
        records += 1;
        assert!(records < HANDSHAKE_BYTES_MAX);
    }
}

#[test]
fn renegotiation_is_declined_then_ends_the_session() {
    let (mut peer, mut session) = raw_peer(&TLS12);
    let mut hello = vec![1, 0, 0, 41, 3, 3];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0, 2, 0xc0, 0x2b, 1, 0]);
    assert_eq!(hello.len(), 45);
    assert_eq!(plain_of(&mut session, peer.record(HANDSHAKE, &hello)).unwrap(), b"");
    assert_eq!(session_output(&mut session)[0], ALERT, "no renegotiation");
    assert_eq!(plain_of(&mut session, peer.record(DATA, b"still here")).unwrap(), b"still here");
    let outcome = (0..8).find_map(|_| plain_of(&mut session, peer.record(HANDSHAKE, &hello)).err());
    assert!(outcome.is_some(), "asked again and again");
}

#[test]
fn floods_of_records_without_content_end_the_session() {
    for versions in [&TLS12, &TLS13] {
        for (content, payload) in [(DATA, &[][..]), (ALERT, &[1, 90][..]), (HANDSHAKE, &[24, 0, 0, 1, 1][..])] {
            let (mut peer, mut session) = raw_peer(versions);
            let refused = (0..200).any(|_| plain_of(&mut session, peer.record(content, payload)).is_err());
            assert!(refused, "content {content}");
            assert!(session.buffered_bytes() < 64 * 1024);
        }
    }
}

#[test]
fn random_records_and_cuts_never_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for round in 0..600 {
        let (mut peer, mut session) = raw_peer(if round % 2 == 0 { &TLS12 } else { &TLS13 });
        let mut wire = Vec::new();
        for _ in 0..1 + random(6) {
            let content = [DATA, HANDSHAKE, ALERT, 20, 0, 24][random(6)];
            let length = [0, 1, 2, 5, 40, 300, 16_384, 16_385][random(8)];
            let mut payload: Vec<u8> = (0..length).map(|_| random(256) as u8).collect();
            if content == HANDSHAKE && length >= 4 {
                payload[..4].copy_from_slice(&[[24, 1, 4, 20][random(4)], 0, 0, random(8) as u8]);
            }
            wire.extend(peer.record(content, &payload));
            if random(10) == 0 {
                let at = random(wire.len());
                wire[at] ^= 1 << random(8);
            }
        }
        let mut rest = &mut wire[..];
        while !rest.is_empty() {
            let most = [1, 7, 100, 40_000][random(4)];
            let take = 1 + random(rest.len().min(most));
            let (front, back) = rest.split_at_mut(take);
            rest = back;
            let failed = session.decrypt(front, &mut Vec::new()).is_err();
            let _ = speak(&mut session);
            if failed || random(50) == 0 {
                session.close_notify();
            }
            assert!(session.buffered_bytes() < 4 * HANDSHAKE_BYTES_MAX);
        }
        session_output(&mut session);
    }
}
