//! Certificates on disk and a client in memory, for the tests of TLS.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use natsfleet_drive::tls::{TlsError, TlsServer, TlsServerSpec, TlsSession};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use ring::aead::{Aad, LessSafeKey, Nonce, UnboundKey, AES_128_GCM};
use rustls::client::ClientConnection;
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, ConnectionTrafficSecrets, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A folder of its own, removed with the value.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("natsfleet-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An authority with its certificate at `ca.pem`, and leaves it issued.
pub struct Authority {
    pub folder: Folder,
    pub ca_pem: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// Certificate and key of a leaf, as paths.
pub type Pair = (PathBuf, PathBuf);

impl Authority {
    pub fn new() -> Self {
        let folder = Folder::new();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let ca_pem = folder.write("ca.pem", &certificate.pem());
        Self { folder, ca_pem, issuer: Issuer::new(params, key) }
    }

    pub fn issue(&self, name: &str, key: &KeyPair, usage: ExtendedKeyUsagePurpose) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        let stem = format!("{name}-{:?}", key.algorithm()).replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let cert = self.folder.write(&format!("{stem}.pem"), &certificate.pem());
        (cert, self.folder.write(&format!("{stem}.key"), &key.serialize_pem()))
    }

    pub fn server(&self, name: &str) -> Pair {
        self.issue(name, &KeyPair::generate().unwrap(), ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub fn client(&self, name: &str) -> Pair {
        self.issue(name, &KeyPair::generate().unwrap(), ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A specification with one certificate for `localhost`.
    pub fn spec(&self) -> TlsServerSpec {
        TlsServerSpec { certificates: vec![self.server("localhost")], ..TlsServerSpec::default() }
    }
}

/// The DER of the first certificate in a PEM file.
pub fn der_of(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

/// A certificate as PEM.
pub fn pem_of(der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for three in der.chunks(3) {
        let bits = three.iter().chain([0, 0].iter()).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        for place in 0..4 {
            let digit = if place <= three.len() { char::from(DIGITS[bits >> (18 - 6 * place) & 63]) } else { '=' };
            text.push(digit);
        }
    }
    text + "\n-----END CERTIFICATE-----\n"
}

/// What a test's client is like.
#[derive(Clone)]
pub struct ClientSpec {
    pub versions: &'static [&'static rustls::SupportedProtocolVersion],
    pub identity: Option<Pair>,
    pub server_name: &'static str,
}

pub static TLS12: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
pub static TLS13: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

impl ClientSpec {
    pub fn new(versions: &'static [&'static rustls::SupportedProtocolVersion]) -> Self {
        Self { versions, identity: None, server_name: "localhost" }
    }

    pub fn config(&self, ca_pem: &Path) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(der_of(ca_pem)).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                builder.with_client_auth_cert(vec![der_of(cert)], PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
            }
        };
        config.enable_secret_extraction = true;
        Arc::new(config)
    }

    pub fn connect(&self, ca_pem: &Path) -> ClientConnection {
        let mut client = ClientConnection::new(self.config(ca_pem), self.server_name.try_into().unwrap()).unwrap();
        client.set_buffer_limit(None);
        client
    }
}

/// What the client wants on the wire.
pub fn client_output(client: &mut ClientConnection) -> Vec<u8> {
    let mut wire = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut wire).unwrap();
    }
    wire
}

/// Hands ciphertext to the client and returns the plaintext it makes of it.
pub fn client_input(client: &mut ClientConnection, mut wire: &[u8]) -> Result<Vec<u8>, rustls::Error> {
    let mut plain = Vec::new();
    while !wire.is_empty() {
        client.read_tls(&mut wire).unwrap();
        let state = client.process_new_packets()?;
        let start = plain.len();
        plain.resize(start + state.plaintext_bytes_to_read(), 0);
        client.reader().read_exact(&mut plain[start..]).unwrap();
    }
    Ok(plain)
}

/// The session's output.
pub fn session_output(session: &mut TlsSession) -> Vec<u8> {
    let mut wire = Vec::new();
    session.take_output(&mut wire);
    wire
}

/// Passes flights back and forth until neither side has anything to say.
pub fn handshake(client: &mut ClientConnection, session: &mut TlsSession) -> Result<(), TlsError> {
    loop {
        let hello = client_output(client);
        if hello.is_empty() {
            return Ok(());
        }
        let outcome = session.receive(&hello);
        let reply = session_output(session);
        let seen = client_input(client, &reply);
        outcome?;
        seen.map_err(TlsError::Protocol)?;
    }
}

/// A client and a session that shook hands.
pub fn connected(
    authority: &Authority,
    spec: &TlsServerSpec,
    client: &ClientSpec,
) -> Result<(ClientConnection, TlsSession), TlsError> {
    let mut session = TlsServer::build(spec).unwrap().accept()?;
    let mut client = client.connect(&authority.ca_pem);
    handshake(&mut client, &mut session)?;
    Ok((client, session))
}

/// Lets the client encrypt `data`, one record per `record` bytes.
pub fn client_encrypts(client: &mut ClientConnection, data: &[u8], record: usize) -> Vec<u8> {
    for piece in data.chunks(record) {
        client.writer().write_all(piece).unwrap();
    }
    client_output(client)
}

/// Bytes that are not all alike.
pub fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// A client that went over to sealing its records by hand, to send what no library would.
pub struct RawPeer {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
    tls13: bool,
}

impl RawPeer {
    pub fn take_over(client: ClientConnection) -> Self {
        let tls13 = client.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
        let (sequence, secrets) = client.dangerous_extract_secrets().unwrap().tx;
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else {
            panic!("these tests agree on AES-128-GCM");
        };
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_ref()).unwrap());
        Self { key, iv: iv.as_ref().try_into().unwrap(), sequence, tls13 }
    }

    /// One protected record of `content` type.
    pub fn record(&mut self, content: u8, payload: &[u8]) -> Vec<u8> {
        let sequence = self.sequence.to_be_bytes();
        self.sequence += 1;
        let mut nonce = self.iv;
        let mut body = payload.to_vec();
        if self.tls13 {
            nonce[4..].iter_mut().zip(sequence).for_each(|(byte, other)| *byte ^= other);
            body.push(content);
            let mut record = vec![23, 3, 3];
            record.extend_from_slice(&(body.len() as u16 + 16).to_be_bytes());
            let aad = record.clone();
            self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut body).unwrap();
            record.extend_from_slice(&body);
            return record;
        }
        nonce[4..].copy_from_slice(&sequence);
        let mut aad = sequence.to_vec();
        aad.extend_from_slice(&[content, 3, 3]);
        aad.extend_from_slice(&(body.len() as u16).to_be_bytes());
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut body).unwrap();
        let mut record = vec![content, 3, 3];
        record.extend_from_slice(&(body.len() as u16 + 8).to_be_bytes());
        record.extend_from_slice(&sequence);
        record.extend_from_slice(&body);
        record
    }
}
