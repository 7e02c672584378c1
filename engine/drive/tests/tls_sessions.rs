//! Sessions against a rustls client in memory: handshakes, and data both ways.

mod tls_kit;

use natsfleet_drive::tls::{encrypt_batch, parse_pin, spki_sha256, MinVersion, TlsError, TlsServer, TlsServerSpec};
use rcgen::{ExtendedKeyUsagePurpose, KeyPair};
use rustls::HandshakeKind;
use tls_kit::*;

fn both_versions() -> [ClientSpec; 2] {
    [ClientSpec::new(&TLS12), ClientSpec::new(&TLS13)]
}

#[test]
fn handshake_names_version_and_suite_as_nats_server_does() {
    let authority = Authority::new();
    let (_, session) = connected(&authority, &authority.spec(), &ClientSpec::new(&TLS13)).unwrap();
    assert!(!session.is_handshaking());
    assert_eq!((session.version(), session.cipher()), (Some("1.3"), Some("TLS_AES_128_GCM_SHA256")));
    let (_, session) = connected(&authority, &authority.spec(), &ClientSpec::new(&TLS12)).unwrap();
    assert_eq!((session.version(), session.cipher()), (Some("1.2"), Some("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")));
    assert_eq!(session.peer_certificate_der(), None);
}

#[test]
fn data_arrives_whole_however_the_wire_is_cut() {
    let authority = Authority::new();
    for client in both_versions() {
        for (record, read) in [(16_384, 65_536), (16_384, 1_000), (700, 4_096), (16, 65_536), (90, 1)] {
            let (mut client, mut session) = connected(&authority, &authority.spec(), &client).unwrap();
            let data = pattern(if read == 1 { 2_000 } else { 150_000 });
            let mut wire = client_encrypts(&mut client, &data, record);
            let mut plain = Vec::new();
            for piece in wire.chunks_mut(read) {
                session.decrypt(piece, &mut plain).unwrap();
            }
            assert!(plain == data, "records of {record}, reads of {read}");
            assert_eq!(session.buffered_bytes(), 0, "an idle session owns no buffer");
        }
    }
}

#[test]
fn session_data_reaches_the_client() {
    let authority = Authority::new();
    for client in both_versions() {
        let (mut client, mut session) = connected(&authority, &authority.spec(), &client).unwrap();
        let data = pattern(200_000);
        session.write_plain(b"INFO {}\r\n").unwrap();
        session.write_plain(&data).unwrap();
        let mut wire = session_output(&mut session);
        session.encrypt(b"tail", &mut wire).unwrap();
        let plain = client_input(&mut client, &wire).unwrap();
        assert!(plain.starts_with(b"INFO {}\r\n") && plain.ends_with(b"tail"));
        assert!(plain[9..plain.len() - 4] == data);
    }
}

#[test]
fn a_caller_with_too_little_room_is_told_how_much_it_takes() {
    let authority = Authority::new();
    for client in both_versions() {
        let (mut client, mut session) = connected(&authority, &authority.spec(), &client).unwrap();
        let data = pattern(40_000);
        let mut room = vec![0; session.wire_bytes(data.len())];
        let Err(TlsError::OutputTooSmall { need }) = session.encrypt_into(&data, &mut room[..40_000]) else {
            panic!("40,000 bytes cannot hold the records");
        };
        assert!(need > 40_000 && need <= room.len());
        let written = session.encrypt_into(&data, &mut room[..need]).unwrap();
        assert_eq!(client_input(&mut client, &room[..written]).unwrap(), data);
    }
}

#[test]
fn a_batch_fills_records() {
    let authority = Authority::new();
    let (mut client, mut session) = connected(&authority, &authority.spec(), &ClientSpec::new(&TLS13)).unwrap();
    let data = pattern(100_000);
    let pieces = [&data[..10], &data[10..40], &data[40..65_600], &data[65_600..65_602], &data[65_602..]];
    let (mut staging, mut wire) = (Vec::new(), Vec::new());
    encrypt_batch(&mut session, pieces, &mut staging, &mut wire).unwrap();
    assert_eq!(wire.len(), data.len() + data.len().div_ceil(16_384) * 22, "seven records");
    assert!(client_input(&mut client, &wire).unwrap() == data);
    assert!(staging.is_empty());
}

#[test]
fn data_right_behind_the_handshake_is_not_lost() {
    let authority = Authority::new();
    let mut session = TlsServer::build(&authority.spec()).unwrap().accept().unwrap();
    let mut client = ClientSpec::new(&TLS13).connect(&authority.ca_pem);
    session.receive(&client_output(&mut client)).unwrap();
    client_input(&mut client, &session_output(&mut session)).unwrap();
    let wire = client_encrypts(&mut client, b"CONNECT {}\r\nPING\r\n", 4);
    session.receive(&wire).unwrap();
    let mut plain = Vec::new();
    assert_eq!(session.read_plain(&mut plain), 18);
    assert_eq!(plain, b"CONNECT {}\r\nPING\r\n");
}

#[test]
fn second_session_is_resumed_and_remembers_the_certificate() {
    let authority = Authority::new();
    let identity = authority.client("alice");
    let spec = TlsServerSpec { verify: true, ca_pem: Some(authority.ca_pem.clone()), ..authority.spec() };
    let server = TlsServer::build(&spec).unwrap();
    for versions in [&TLS12, &TLS13] {
        let config =
            ClientSpec { identity: Some(identity.clone()), ..ClientSpec::new(versions) }.config(&authority.ca_pem);
        for wanted in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut client = rustls::ClientConnection::new(config.clone(), "localhost".try_into().unwrap()).unwrap();
            let mut session = server.accept().unwrap();
            handshake(&mut client, &mut session).unwrap();
            assert_eq!(client.handshake_kind(), Some(wanted));
            assert_eq!(session.is_resumed(), wanted == HandshakeKind::Resumed);
            assert_eq!(session.peer_certificate_der().as_deref(), Some(der_of(&identity.0).as_ref()));
        }
    }
}

#[test]
fn verify_demands_a_certificate_that_the_roots_vouch_for() {
    let authority = Authority::new();
    let elsewhere = Authority::new();
    let stranger = elsewhere.client("mallory");
    let spec = TlsServerSpec { verify: true, ca_pem: Some(authority.ca_pem.clone()), ..authority.spec() };
    for client in both_versions() {
        let error = connected(&authority, &spec, &client).unwrap_err();
        assert_eq!(error.to_string(), "tls: client didn't provide a certificate");
        let known = ClientSpec { identity: Some(authority.client("alice")), ..client.clone() };
        let (_, session) = connected(&authority, &spec, &known).unwrap();
        assert_eq!(session.peer_certificates_der().len(), 1);
        let unknown = ClientSpec { identity: Some(stranger.clone()), ..client.clone() };
        let error = connected(&authority, &spec, &unknown).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        );
        let misused = ClientSpec { identity: Some(authority.server("server-only")), ..client };
        let error = connected(&authority, &spec, &misused).unwrap_err();
        assert!(error.to_string().ends_with("x509: certificate specifies an incompatible key usage"), "{error}");
    }
}

#[test]
fn peer_is_told_why_it_was_refused() {
    let authority = Authority::new();
    let spec = TlsServerSpec { verify: true, ca_pem: Some(authority.ca_pem.clone()), ..authority.spec() };
    let mut session = TlsServer::build(&spec).unwrap().accept().unwrap();
    let mut client = ClientSpec::new(&TLS13).connect(&authority.ca_pem);
    session.receive(&client_output(&mut client)).unwrap();
    client_input(&mut client, &session_output(&mut session)).unwrap();
    session.receive(&client_output(&mut client)).unwrap_err();
    let alert = session_output(&mut session);
    let seen = client_input(&mut client, &alert).unwrap_err();
    assert_eq!(seen, rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired));
}

#[test]
fn only_pinned_keys_pass() {
    let authority = Authority::new();
    let (alice, bob) = (authority.client("alice"), authority.client("bob"));
    let pin = spki_sha256(&der_of(&alice.0)).unwrap();
    let hex: String = pin.iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(parse_pin(&hex).unwrap(), pin);
    let spec = TlsServerSpec {
        verify: true,
        ca_pem: Some(authority.ca_pem.clone()),
        pinned_sha256: vec![pin],
        ..authority.spec()
    };
    for client in both_versions() {
        let pinned = ClientSpec { identity: Some(alice.clone()), ..client.clone() };
        assert!(connected(&authority, &spec, &pinned).is_ok());
        let other = ClientSpec { identity: Some(bob.clone()), ..client };
        let error = connected(&authority, &spec, &other).unwrap_err();
        assert_eq!(error.to_string(), "certificate not pinned");
    }
}

#[test]
fn data_from_a_peer_that_is_not_pinned_is_withheld() {
    let authority = Authority::new();
    let spec = TlsServerSpec { pinned_sha256: vec![[7; 32]], ..authority.spec() };
    let mut session = TlsServer::build(&spec).unwrap().accept().unwrap();
    let mut client = ClientSpec::new(&TLS13).connect(&authority.ca_pem);
    session.receive(&client_output(&mut client)).unwrap();
    client_input(&mut client, &session_output(&mut session)).unwrap();
    let wire = client_encrypts(&mut client, b"PUB x 0\r\n\r\n", 100);
    assert_eq!(session.receive(&wire), Err(TlsError::NotPinned));
    assert_eq!(session.read_plain(&mut Vec::new()), 0);
    assert!(session.is_handshaking());
    assert_eq!(session.write_plain(b"INFO"), Err(TlsError::NotOpen));
}

#[test]
fn minimum_version_refuses_older_clients() {
    let authority = Authority::new();
    let spec = TlsServerSpec { min_version: MinVersion::Tls13, ..authority.spec() };
    assert!(connected(&authority, &spec, &ClientSpec::new(&TLS13)).is_ok());
    let error = connected(&authority, &spec, &ClientSpec::new(&TLS12)).unwrap_err();
    assert_eq!(error.to_string(), "tls: client offered only unsupported versions");
}

#[test]
fn cipher_suites_restrict_tls12_only() {
    let authority = Authority::new();
    let named = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
    let spec = TlsServerSpec { cipher_suites: vec![named.into()], ..authority.spec() };
    let (_, session) = connected(&authority, &spec, &ClientSpec::new(&TLS12)).unwrap();
    assert_eq!(session.cipher(), Some(named));
    let (_, session) = connected(&authority, &spec, &ClientSpec::new(&TLS13)).unwrap();
    assert_eq!(session.cipher(), Some("TLS_AES_128_GCM_SHA256"));
    let spec = TlsServerSpec { cipher_suites: vec!["TLS_AES_256_GCM_SHA384".into()], ..authority.spec() };
    connected(&authority, &spec, &ClientSpec::new(&TLS12)).unwrap_err();
}

#[test]
fn curves_restrict_key_exchange() {
    let authority = Authority::new();
    let spec = TlsServerSpec { curves: vec!["CurveP384".into()], ..authority.spec() };
    for client in both_versions() {
        let (client, _) = connected(&authority, &spec, &client).unwrap();
        let group = client.negotiated_key_exchange_group().map(|group| group.name());
        assert_eq!(group, Some(rustls::NamedGroup::secp384r1));
    }
}

#[test]
fn the_first_certificate_that_fits_is_shown() {
    let authority = Authority::new();
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let certificates = vec![
        authority.server("a.example"),
        authority.server("b.example"),
        authority.issue("c.example", &ed25519, ExtendedKeyUsagePurpose::ServerAuth),
    ];
    let spec = TlsServerSpec { certificates: certificates.clone(), ..TlsServerSpec::default() };
    for versions in [&TLS12, &TLS13] {
        for (index, server_name) in ["a.example", "b.example", "c.example"].into_iter().enumerate() {
            let (client, _) =
                connected(&authority, &spec, &ClientSpec { server_name, ..ClientSpec::new(versions) }).unwrap();
            assert_eq!(client.peer_certificates().unwrap()[0], der_of(&certificates[index].0));
        }
        let stranger = ClientSpec { server_name: "z.example", ..ClientSpec::new(versions) };
        let mut session = TlsServer::build(&spec).unwrap().accept().unwrap();
        let mut client = stranger.connect(&authority.ca_pem);
        session.receive(&client_output(&mut client)).unwrap();
        let seen = client_input(&mut client, &session_output(&mut session)).unwrap_err();
        assert!(format!("{seen:?}").contains("a.example"), "shown the first, refused by the client: {seen:?}");
    }
}

#[test]
fn closing_is_seen_on_both_sides() {
    let authority = Authority::new();
    for client in both_versions() {
        let (mut client, mut session) = connected(&authority, &authority.spec(), &client).unwrap();
        let mut wire = client_encrypts(&mut client, b"last words", 100);
        client.send_close_notify();
        wire.extend(client_output(&mut client));
        wire.extend_from_slice(b"ignored");
        let mut plain = Vec::new();
        session.decrypt(&mut wire, &mut plain).unwrap();
        assert!(session.is_peer_closed());
        assert_eq!(plain, b"last words");
        session.decrypt(&mut [1, 2, 3], &mut plain).unwrap();
        assert_eq!(plain, b"last words");
        session.write_plain(b"half-closed, still heard").unwrap();
        session.close_notify();
        session.close_notify();
        assert_eq!(session.write_plain(b"no"), Err(TlsError::NotOpen));
        let wire = session_output(&mut session);
        assert_eq!(client_input(&mut client, &wire).unwrap(), b"half-closed, still heard");
        assert!(client.process_new_packets().unwrap().peer_has_closed());
        assert_eq!(session.buffered_bytes(), 0);
    }
}

#[test]
fn key_updates_of_the_peer_are_followed_and_answered() {
    let authority = Authority::new();
    let (mut client, mut session) = connected(&authority, &authority.spec(), &ClientSpec::new(&TLS13)).unwrap();
    for round in 0..5 {
        client.refresh_traffic_keys().unwrap();
        let mut wire = client_encrypts(&mut client, b"after", 100);
        let mut plain = Vec::new();
        session.decrypt(&mut wire, &mut plain).unwrap();
        assert_eq!(plain, b"after", "round {round}");
        let mut answer = Vec::new();
        session.encrypt(b"reply", &mut answer).unwrap();
        assert_eq!(client_input(&mut client, &answer).unwrap(), b"reply");
    }
}

#[test]
fn unread_plaintext_and_untaken_output_are_bounded() {
    let authority = Authority::new();
    let (mut client, mut session) = connected(&authority, &authority.spec(), &ClientSpec::new(&TLS13)).unwrap();
    session.set_buffer_limit(10_000);
    let wire = client_encrypts(&mut client, &pattern(8_000), 4_000);
    session.receive(&wire).unwrap();
    let more = client_encrypts(&mut client, &pattern(8_000), 4_000);
    assert!(matches!(session.receive(&more), Err(TlsError::Backlog { .. })));
    session.read_plain(&mut Vec::new());
    session.receive(&more).unwrap();
    session.write_plain(&pattern(9_000)).unwrap();
    assert!(matches!(session.write_plain(&pattern(9_000)), Err(TlsError::Backlog { .. })));
    assert_eq!(client_input(&mut client, &session_output(&mut session)).unwrap(), pattern(9_000));
}
