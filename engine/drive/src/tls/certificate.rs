//! Certificates and keys: read from files, and chosen for a client.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::{verify_server_name, ResolvesClientCert};
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore, SignatureScheme, SupportedCipherSuite};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::error::{PairError, TlsConfigError};

/// Where Linux distributions and BSDs keep their roots, most common first.
const SYSTEM_ROOTS: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
const RSA_ENCRYPTION_OID: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// Reads a chain and its key, and makes sure that they belong together.
pub(crate) fn load_pair(provider: &CryptoProvider, cert: &Path, key: &Path) -> Result<CertifiedKey, PairError> {
    let chain = read_chain(&read_file(cert)?)?;
    let key = read_key(provider, &read_file(key)?)?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(Error::InvalidCertificate(CertificateError::BadEncoding)) => Err(PairError::CertificateUnparsed),
        // The library parses no certificates of version 1, but serves them: look for the key itself.
        Err(Error::InvalidCertificate(_)) if carries_key(&pair) => Ok(pair),
        Err(_) => Err(mismatch(&pair)),
    }
}

fn carries_key(pair: &CertifiedKey) -> bool {
    let (Some(leaf), Some(spki)) = (pair.cert.first(), pair.key.public_key()) else {
        return false;
    };
    leaf.as_ref().windows(spki.as_ref().len()).any(|part| part == spki.as_ref())
}

fn read_file(path: &Path) -> Result<Vec<u8>, PairError> {
    fs::read(path).map_err(|error| PairError::File(Box::new(TlsConfigError::file(path, &error))))
}

fn read_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(PairError::NoCertificatePem),
        Ok(chain) => Ok(chain),
        Err(_) => Err(PairError::CertificateUnparsed),
    }
}

fn read_key(provider: &CryptoProvider, pem: &[u8]) -> Result<Arc<dyn rustls::sign::SigningKey>, PairError> {
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => provider.key_provider.load_private_key(key).map_err(|_| PairError::KeyUnparsed),
        Err(rustls_pki_types::pem::Error::NoItemsFound) => Err(explain_missing_key(pem)),
        Err(_) => Err(PairError::KeyUnparsed),
    }
}

fn explain_missing_key(pem: &[u8]) -> PairError {
    let text = String::from_utf8_lossy(pem);
    if text.contains("-----BEGIN CERTIFICATE-----") {
        PairError::CertificateAsKey
    } else if text.contains("-----BEGIN ") {
        PairError::KeyUnparsed
    } else {
        PairError::NoKeyPem
    }
}

fn mismatch(pair: &CertifiedKey) -> PairError {
    let is_rsa = |spki: &[u8]| spki.windows(RSA_ENCRYPTION_OID.len()).take(16).any(|w| w == RSA_ENCRYPTION_OID);
    let leaf = pair.cert.first().and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
    let certified = leaf.map(|leaf| is_rsa(leaf.subject_public_key_info().as_ref()));
    let held = pair.key.public_key().map(|spki| is_rsa(spki.as_ref()));
    match (certified, held) {
        (Some(certified), Some(held)) if certified != held => PairError::KeyTypeMismatch,
        _ => PairError::KeyMismatch,
    }
}

/// Reads the roots of a `ca_file`. Certificates that cannot be a root are passed over, but one must remain.
pub(crate) fn load_roots(path: &Path) -> Result<RootCertStore, TlsConfigError> {
    let pem = fs::read(path).map_err(|error| TlsConfigError::file(path, &error))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    if roots.is_empty() {
        Err(TlsConfigError::RootCa)
    } else {
        Ok(roots)
    }
}

/// Reads the roots of this system: `SSL_CERT_FILE`, or the bundle of the distribution.
pub(crate) fn load_system_roots() -> Result<RootCertStore, TlsConfigError> {
    if let Some(path) = std::env::var_os("SSL_CERT_FILE") {
        return load_roots(Path::new(&path));
    }
    SYSTEM_ROOTS.iter().find_map(|path| load_roots(Path::new(path)).ok()).ok_or(TlsConfigError::NoSystemRoots)
}

/// Picks the first certificate that a client can use: its name, its signature schemes, its suites.
///
/// A client that asks for a name nobody has gets the first certificate it can use at all, and decides for itself.
#[derive(Debug)]
pub(crate) struct CertificateChooser {
    pub(crate) certificates: Vec<Arc<CertifiedKey>>,
    pub(crate) suites: Vec<SupportedCipherSuite>,
}

impl CertificateChooser {
    fn is_usable(&self, certified: &CertifiedKey, hello: &ClientHello<'_>) -> bool {
        let algorithm = certified.key.algorithm();
        let suite_fits = |suite: &SupportedCipherSuite| {
            suite.usable_for_signature_algorithm(algorithm) && hello.cipher_suites().contains(&suite.suite())
        };
        certified.key.choose_scheme(hello.signature_schemes()).is_some() && self.suites.iter().any(suite_fits)
    }
}

impl ResolvesServerCert for CertificateChooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let mut usable = self.certificates.iter().filter(|certified| self.is_usable(certified, &hello)).peekable();
        let fallback = usable.peek().copied().or(self.certificates.first());
        let named = name.and_then(|name| usable.find(|certified| is_for_name(certified, &name)));
        named.or(fallback).cloned()
    }
}

/// What whoever dials shows when it is asked: the first certificate whose key can sign as the other side wants.
#[derive(Debug)]
pub(crate) struct ShownCertificates(pub(crate) Vec<Arc<CertifiedKey>>);

impl ResolvesClientCert for ShownCertificates {
    fn resolve(&self, _authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.iter().find(|certified| certified.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

fn is_for_name(certified: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let leaf = certified.cert.first().and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
    leaf.is_some_and(|leaf| verify_server_name(&leaf, name).is_ok())
}
