//! Who may be on the other side: client certificates against roots, and pinned keys (reference: security 10.3).

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature, CryptoProvider};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certificate::{load_roots, load_system_roots};
use super::error::TlsConfigError;

/// SHA-256 over the DER of a certificate's SubjectPublicKeyInfo; `None` when `certificate` is not one.
pub fn spki_sha256(certificate: &[u8]) -> Option<[u8; 32]> {
    let certificate = CertificateDer::from(certificate);
    let spki = ParsedCertificate::try_from(&certificate).ok()?.subject_public_key_info();
    ring::digest::digest(&ring::digest::SHA256, spki.as_ref()).as_ref().try_into().ok()
}

/// Whether the peer's leaf carries one of the pinned keys. A peer without certificate never does.
pub(crate) fn is_pinned(pins: &[[u8; 32]], leaf: Option<&[u8]>) -> bool {
    leaf.and_then(spki_sha256).is_some_and(|seen| pins.contains(&seen))
}

/// Reads one entry of `pinned_certs`: 64 hexadecimal digits, in either case.
pub fn parse_pin(text: &str) -> Result<[u8; 32], TlsConfigError> {
    let bad = || TlsConfigError::BadPin(text.to_owned());
    let mut pin = [0; 32];
    if text.len() != 2 * pin.len() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(bad());
    }
    for (byte, digits) in pin.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| bad())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| bad())?;
    }
    Ok(pin)
}

/// Demands a client certificate that leads to `ca_pem`, or to the system's roots without one.
pub(crate) fn client_verifier(
    provider: &Arc<CryptoProvider>,
    ca_pem: Option<&Path>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsConfigError> {
    let roots: RootCertStore = match ca_pem {
        Some(path) => load_roots(path)?,
        None => load_system_roots()?,
    };
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    // Naming every root of the system in the certificate request would cost each handshake some 15 KiB.
    let builder = if ca_pem.is_some() { builder } else { builder.clear_root_hint_subjects() };
    builder.build().map_err(|error| TlsConfigError::Library(error.to_string()))
}

/// Demands a certificate for the name that was dialled, which leads to `ca_pem`, or to the system's roots without one.
/// With `insecure` any certificate will do, as long as the other side has its key.
pub(crate) fn server_verifier(
    provider: &Arc<CryptoProvider>,
    ca_pem: Option<&Path>,
    insecure: bool,
) -> Result<Arc<dyn ServerCertVerifier>, TlsConfigError> {
    if insecure {
        return Ok(Arc::new(AnyCertificate(provider.clone())));
    }
    let roots = match ca_pem {
        Some(path) => load_roots(path)?,
        None => load_system_roots()?,
    };
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = builder.build().map_err(|error| TlsConfigError::Library(error.to_string()))?;
    Ok(verifier)
}

/// `insecure: true`: nobody vouches for the certificate.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
