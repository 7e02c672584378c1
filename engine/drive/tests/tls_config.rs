//! Configurations that cannot be built, and the words an operator reads.

mod tls_kit;

use std::path::PathBuf;

use natsfleet_drive::tls::{parse_pin, MinVersion, TlsConfigError, TlsServer, TlsServerSpec};
use rcgen::{ExtendedKeyUsagePurpose, KeyPair};
use tls_kit::{der_of, pem_of, Authority};

fn refusal(spec: &TlsServerSpec) -> String {
    TlsServer::build(spec).unwrap_err().to_string()
}

fn pair(cert: PathBuf, key: PathBuf) -> TlsServerSpec {
    TlsServerSpec { certificates: vec![(cert, key)], ..TlsServerSpec::default() }
}

#[test]
fn files_that_are_missing_or_unfit_are_named() {
    let authority = Authority::new();
    let (cert, key) = authority.server("localhost");
    let nowhere = authority.folder.path("nope");
    let garbage = authority.folder.write("garbage", "garbage\n");
    let prefix = "error parsing X509 certificate/key pair: ";
    let missing = format!("{prefix}open {}: no such file or directory", nowhere.display());
    assert_eq!(refusal(&pair(nowhere.clone(), key.clone())), missing);
    assert_eq!(refusal(&pair(cert.clone(), nowhere)), missing);
    let no_certificate = format!("{prefix}tls: failed to find any PEM data in certificate input");
    assert_eq!(refusal(&pair(garbage.clone(), key.clone())), no_certificate);
    assert_eq!(refusal(&pair(cert.clone(), garbage)), format!("{prefix}tls: failed to find any PEM data in key input"));
    assert_eq!(
        refusal(&pair(cert.clone(), cert.clone())),
        format!("{prefix}tls: found a certificate rather than a key in the PEM for the private key")
    );
    let folder = cert.parent().unwrap().to_path_buf();
    assert_eq!(refusal(&pair(folder.clone(), key)), format!("{prefix}read {}: is a directory", folder.display()));
    let encrypted = authority
        .folder
        .write("encrypted", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n");
    assert_eq!(refusal(&pair(cert, encrypted)), format!("{prefix}tls: failed to parse private key"));
}

#[test]
fn a_key_that_belongs_to_another_certificate_is_refused() {
    let authority = Authority::new();
    let (cert, key) = authority.server("a.example");
    let (_, other) = authority.server("b.example");
    assert_eq!(
        refusal(&pair(cert.clone(), other.clone())),
        "error parsing X509 certificate/key pair: tls: private key does not match public key"
    );
    let spec = TlsServerSpec { certificates: vec![(cert.clone(), key), (cert, other)], ..TlsServerSpec::default() };
    assert_eq!(
        refusal(&spec),
        "error parsing X509 certificate/key pair 2/2: tls: private key does not match public key"
    );
}

#[test]
fn a_certificate_that_is_not_one_is_refused() {
    let authority = Authority::new();
    let (_, key) = authority.server("localhost");
    let cert = authority.folder.write("bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_eq!(refusal(&pair(cert, key)), "error parsing X509 certificate/key pair: x509: malformed certificate");
}

#[test]
fn roots_are_checked_even_when_nobody_is_verified() {
    let authority = Authority::new();
    let garbage = authority.folder.write("garbage", "garbage\n");
    let nowhere = authority.folder.path("nope");
    for verify in [false, true] {
        let spec = TlsServerSpec { verify, ca_pem: Some(garbage.clone()), ..authority.spec() };
        assert_eq!(refusal(&spec), "failed to parse root ca certificate");
        let spec = TlsServerSpec { verify, ca_pem: Some(nowhere.clone()), ..authority.spec() };
        assert_eq!(refusal(&spec), format!("open {}: no such file or directory", nowhere.display()));
    }
    assert_eq!(refusal(&TlsServerSpec::default()), "missing 'cert_file' in TLS configuration");
}

#[test]
fn names_of_suites_and_curves_are_checked() {
    let authority = Authority::new();
    let suites = |name: &str| refusal(&TlsServerSpec { cipher_suites: vec![name.into()], ..authority.spec() });
    assert_eq!(suites("FOO"), "unrecognized cipher FOO");
    assert_eq!(
        suites("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
        "cipher suite TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA is not supported: wanted an ECDHE suite with AES-GCM or \
         CHACHA20-POLY1305, or a TLS 1.3 suite"
    );
    let curves = |name: &str| {
        let curves = vec!["X25519".into(), name.into()];
        refusal(&TlsServerSpec { curves, ..authority.spec() })
    };
    assert_eq!(curves("P256"), "unrecognized curve preference P256");
    for name in ["X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024", "CurveP521"] {
        assert_eq!(
            curves(name),
            format!("curve preference {name} is not supported: wanted X25519, CurveP256 or CurveP384")
        );
    }
}

#[test]
fn versions_and_pins_are_checked() {
    assert_eq!(MinVersion::parse("1.2"), Ok(MinVersion::Tls12));
    assert_eq!(MinVersion::parse("1.3"), Ok(MinVersion::Tls13));
    assert_eq!(MinVersion::parse("1.1").unwrap_err().to_string(), "unsupported TLS version: TLS 1.1");
    assert_eq!(MinVersion::parse("2").unwrap_err().to_string(), "unknown version: 2");
    assert!(parse_pin(&"aB".repeat(32)).is_ok());
    for bad in ["", "ab", &"ab".repeat(33), &"zz".repeat(32), &"é".repeat(32), &"+f".repeat(32)] {
        assert_eq!(parse_pin(bad), Err(TlsConfigError::BadPin(bad.to_owned())));
    }
}

#[test]
fn ed25519_and_p384_keys_serve() {
    let authority = Authority::new();
    for algorithm in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let (cert, key) = authority.issue("localhost", &key, ExtendedKeyUsagePurpose::ServerAuth);
        assert!(TlsServer::build(&pair(cert, key)).is_ok());
    }
}

/// Splits the first DER element off: tag, content, rest.
fn element(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (start, length) = match der[1] {
        short @ 0..=0x7f => (2, usize::from(short)),
        0x81 => (3, usize::from(der[2])),
        _ => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
    };
    (der[0], &der[start..start + length], &der[start + length..])
}

fn sequence(content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut der = match length {
        0..=0x7f => vec![0x30, length as u8],
        0x80..=0xff => vec![0x30, 0x81, length as u8],
        _ => vec![0x30, 0x82, (length >> 8) as u8, length as u8],
    };
    der.extend_from_slice(content);
    der
}

/// The certificate without version and extensions, as `openssl x509 -req` makes them. Nobody checks its signature here.
fn version_1(der: &[u8]) -> Vec<u8> {
    let (_, outer, _) = element(der);
    let (_, mut fields, signature) = element(outer);
    let mut kept = Vec::new();
    while !fields.is_empty() {
        let (tag, _, rest) = element(fields);
        if !matches!(tag, 0xa0 | 0xa3) {
            kept.extend_from_slice(&fields[..fields.len() - rest.len()]);
        }
        fields = rest;
    }
    sequence(&[sequence(&kept), signature.to_vec()].concat())
}

#[test]
fn certificates_of_version_1_serve_with_their_own_key_only() {
    let authority = Authority::new();
    let (modern, key) = authority.server("localhost");
    let cert = authority.folder.write("v1.pem", &pem_of(&version_1(&der_of(&modern))));
    assert!(TlsServer::build(&pair(cert.clone(), key)).is_ok());
    let (_, other) = authority.server("elsewhere");
    assert_eq!(
        refusal(&pair(cert, other)),
        "error parsing X509 certificate/key pair: tls: private key does not match public key"
    );
}
