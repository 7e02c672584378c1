//! Sessions that are dialled, against sessions that are accepted: who may be on the other side, and data both ways.

mod tls_kit;

use natsfleet_drive::tls::{
    parse_pin, spki_sha256, MinVersion, TlsClient, TlsClientSpec, TlsError, TlsServer, TlsServerSpec, TlsSession,
};
use proptest::prelude::*;
use rcgen::{ExtendedKeyUsagePurpose, KeyPair};
use tls_kit::*;

fn client_spec(authority: &Authority) -> TlsClientSpec {
    TlsClientSpec { ca_pem: Some(authority.ca_pem.clone()), ..TlsClientSpec::default() }
}

/// Passes flights back and forth; says what either side thinks of it.
fn meet(
    server: &TlsServerSpec,
    client: &TlsClientSpec,
    host: &str,
) -> (Both, Result<(), TlsError>, Result<(), TlsError>) {
    let mut both = Both {
        accepted: TlsServer::build(server).unwrap().accept().unwrap(),
        dialled: TlsClient::build(client).unwrap().dial(host).unwrap(),
    };
    let (mut theirs, mut ours) = (Ok(()), Ok(()));
    loop {
        let (hello, reply) = (session_output(&mut both.dialled), session_output(&mut both.accepted));
        if hello.is_empty() && reply.is_empty() {
            return (both, theirs, ours);
        }
        theirs = theirs.and(both.accepted.receive(&hello));
        ours = ours.and(both.dialled.receive(&reply));
    }
}

struct Both {
    accepted: TlsSession,
    dialled: TlsSession,
}

fn text(outcome: Result<(), TlsError>) -> String {
    outcome.map_or_else(|error| error.to_string(), |()| "no error".to_owned())
}

#[test]
fn both_sides_see_each_others_certificates() {
    let authority = Authority::new();
    let server = TlsServerSpec { verify: true, ca_pem: Some(authority.ca_pem.clone()), ..authority.spec() };
    let client = TlsClientSpec { certificates: vec![authority.client("route")], ..client_spec(&authority) };
    for min_version in [MinVersion::Tls12, MinVersion::Tls13] {
        let (both, theirs, ours) = meet(&server, &TlsClientSpec { min_version, ..client.clone() }, "localhost");
        assert_eq!((theirs, ours), (Ok(()), Ok(())));
        assert!(!both.accepted.is_handshaking() && !both.dialled.is_handshaking());
        assert_eq!(both.dialled.version(), Some("1.3"));
        assert_eq!(both.dialled.cipher(), both.accepted.cipher());
        assert_eq!(both.accepted.peer_certificate_der().unwrap(), der_of(&client.certificates[0].0).to_vec());
        assert_eq!(both.dialled.peer_certificate_der().unwrap(), der_of(&server.certificates[0].0).to_vec());
        assert_eq!((both.dialled.buffered_bytes(), both.dialled.is_resumed()), (0, false));
    }
}

#[test]
fn data_goes_both_ways_however_it_is_cut() {
    let authority = Authority::new();
    let (mut both, ..) = meet(&authority.spec(), &client_spec(&authority), "localhost");
    let data = pattern(100_000);
    for forth in [true, false] {
        let (from, to) = match forth {
            true => (&mut both.dialled, &mut both.accepted),
            false => (&mut both.accepted, &mut both.dialled),
        };
        let (mut wire, mut plain) = (Vec::new(), Vec::new());
        from.encrypt(&data, &mut wire).unwrap();
        for piece in wire.chunks_mut(777) {
            to.decrypt(piece, &mut plain).unwrap();
        }
        assert!(plain == data);
    }
    both.dialled.close_notify();
    let goodbye = session_output(&mut both.dialled);
    both.accepted.receive(&goodbye).unwrap();
    assert!(both.accepted.is_peer_closed());
}

#[test]
fn a_certificate_must_be_for_the_host_that_was_dialled() {
    let authority = Authority::new();
    let server = TlsServerSpec { certificates: vec![authority.server("127.0.0.1")], ..TlsServerSpec::default() };
    for (host, fits) in [("127.0.0.1", true), ("127.0.0.2", false), ("localhost", false)] {
        let (_, theirs, ours) = meet(&server, &client_spec(&authority), host);
        assert_eq!(ours.is_ok(), fits, "{host}");
        let (theirs, ours) = (text(theirs), text(ours));
        assert_eq!(fits, !ours.contains("x509: "), "{host}: {ours}");
        assert_eq!(fits, !theirs.contains("remote error: tls: "), "{host}: {theirs}");
    }
    assert!(TlsClient::build(&client_spec(&authority)).unwrap().dial("no name").is_err());
}

#[test]
fn a_stranger_is_refused_unless_anybody_will_do() {
    let (authority, strangers) = (Authority::new(), Authority::new());
    let client = client_spec(&authority);
    let (_, theirs, ours) = meet(&strangers.spec(), &client, "localhost");
    assert_eq!(text(ours), "tls: failed to verify certificate: x509: certificate signed by unknown authority");
    assert!(text(theirs).starts_with("remote error: tls: "));
    let (both, _, ours) = meet(&strangers.spec(), &TlsClientSpec { insecure: true, ..client }, "elsewhere");
    assert_eq!((ours, both.dialled.is_handshaking()), (Ok(()), false));
}

#[test]
fn a_certificate_for_servers_only_is_none_for_whoever_dials() {
    let authority = Authority::new();
    let server = TlsServerSpec { verify: true, ca_pem: Some(authority.ca_pem.clone()), ..authority.spec() };
    let key = KeyPair::generate().unwrap();
    for (pair, fault) in [
        (None, "tls: client didn't provide a certificate"),
        (
            Some(authority.issue("route", &key, ExtendedKeyUsagePurpose::ServerAuth)),
            "tls: failed to verify certificate: x509: certificate specifies an incompatible key usage",
        ),
    ] {
        let client = TlsClientSpec { certificates: pair.into_iter().collect(), ..client_spec(&authority) };
        let (_, theirs, _) = meet(&server, &client, "localhost");
        assert_eq!(text(theirs), fault);
    }
}

#[test]
fn only_a_pinned_key_will_do_where_some_are_pinned() {
    let authority = Authority::new();
    let server = authority.spec();
    let own = spki_sha256(&der_of(&server.certificates[0].0)).unwrap();
    let other = parse_pin(&"ab".repeat(32)).unwrap();
    for (pins, fits) in [(vec![other, own], true), (vec![other], false)] {
        let client = TlsClientSpec { pinned_sha256: pins, ..client_spec(&authority) };
        let (_, _, ours) = meet(&server, &client, "localhost");
        assert_eq!(ours, if fits { Ok(()) } else { Err(TlsError::NotPinned) });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_answer_makes_whoever_dials_panic(cut in 0usize..2000, noise in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let authority = Authority::new();
        let mut dialled = TlsClient::build(&client_spec(&authority)).unwrap().dial("localhost").unwrap();
        let mut accepted = TlsServer::build(&authority.spec()).unwrap().accept().unwrap();
        accepted.receive(&session_output(&mut dialled)).unwrap();
        let mut answer = session_output(&mut accepted);
        answer.truncate(cut.min(answer.len()));
        if !answer.is_empty() {
            let at = at.index(answer.len());
            answer[at] ^= 1 << bit;
        }
        answer.extend(noise);
        for piece in answer.chunks(61) {
            let _ = dialled.receive(piece);
        }
        session_output(&mut dialled);
        let _ = dialled.write_plain(b"PING\r\n");
        dialled.close_notify();
    }
}
