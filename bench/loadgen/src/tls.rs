//! TLS on the client's side. One cipher suite is offered, so that both servers do the same work for each byte.

use std::path::Path;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::{ring, CryptoProvider};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::failure::{Failure, Result};

/// Encrypted bytes taken from the socket at once.
const INCOMING_BYTES: usize = 512 * 1024;
/// Plain bytes encrypted at once.
const PLAIN_BYTES_MAX: usize = 256 * 1024;
/// Room for the records around [`PLAIN_BYTES_MAX`]; a record of 16 KiB adds 22 bytes.
const OUTGOING_BYTES: usize = PLAIN_BYTES_MAX + 4 * 1024;

/// Trusts the certificates of a PEM file and offers TLS 1.3 with AES-128-GCM.
pub fn client_config(ca: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(ca).map_err(|error| Failure::Tls(format!("{}: {error}", ca.display())))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| Failure::Tls(format!("{}: {error}", ca.display())))?;
        roots.add(certificate).map_err(|error| Failure::Tls(error.to_string()))?;
    }
    let provider = CryptoProvider { cipher_suites: vec![TLS13_AES_128_GCM_SHA256], ..ring::default_provider() };
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Failure::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// One TLS connection without its socket: encrypted bytes are put into [`Session::incoming`] and taken from
/// [`Session::outgoing`].
pub struct Session {
    connection: UnbufferedClientConnection,
    incoming: Vec<u8>,
    start: usize,
    end: usize,
    outgoing: Vec<u8>,
    sent: usize,
    queued: usize,
    established: bool,
}

impl Session {
    /// A session whose handshake has not begun.
    pub fn new(config: Arc<ClientConfig>, server: ServerName<'static>) -> Result<Self> {
        let connection =
            UnbufferedClientConnection::new(config, server).map_err(|error| Failure::Tls(error.to_string()))?;
        Ok(Session {
            connection,
            incoming: vec![0; INCOMING_BYTES],
            start: 0,
            end: 0,
            outgoing: vec![0; OUTGOING_BYTES],
            sent: 0,
            queued: 0,
            established: false,
        })
    }

    /// Whether application data may be sent.
    pub fn established(&self) -> bool {
        self.established
    }

    /// Room for encrypted bytes from the socket; tell [`Session::received`] how much of it was filled.
    pub fn incoming(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.incoming.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.incoming[self.end..]
    }

    /// Notes that `length` bytes were put into [`Session::incoming`].
    pub fn received(&mut self, length: usize) {
        self.end += length;
    }

    /// Encrypted bytes that wait to be sent; tell [`Session::sent`] how much of it was.
    pub fn outgoing(&self) -> &[u8] {
        &self.outgoing[self.sent..self.queued]
    }

    /// Notes that `length` bytes of [`Session::outgoing`] were sent.
    pub fn sent(&mut self, length: usize) {
        self.sent += length;
        if self.sent == self.queued {
            self.sent = 0;
            self.queued = 0;
        }
    }

    /// Goes on with the handshake and hands decrypted application bytes to `take`, until more encrypted bytes are needed.
    pub fn advance(&mut self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        loop {
            let status = self.connection.process_tls_records(&mut self.incoming[self.start..self.end]);
            let mut discard = status.discard;
            let mut more = true;
            match status.state.map_err(|error| Failure::Tls(error.to_string()))? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(|error| Failure::Tls(error.to_string()))?;
                        discard += record.discard;
                        take(record.payload)?;
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    self.queued += data
                        .encode(&mut self.outgoing[self.queued..])
                        .map_err(|error: EncodeError| Failure::Tls(error.to_string()))?;
                }
                // What is queued is sent, in order, before anything else.
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::WriteTraffic(_) => {
                    self.established = true;
                    more = false;
                }
                ConnectionState::BlockedHandshake => more = false,
                ConnectionState::PeerClosed | ConnectionState::Closed => {
                    return Err(Failure::Tls("the server ended the session".into()))
                }
                other => return Err(Failure::Tls(format!("unexpected state {other:?}"))),
            }
            self.start += discard;
            if !more {
                return Ok(());
            }
        }
    }

    /// Encrypts a piece of `plain` and returns its length; only when nothing waits to be sent.
    pub fn encrypt(&mut self, plain: &[u8]) -> Result<usize> {
        let plain = &plain[..plain.len().min(PLAIN_BYTES_MAX)];
        loop {
            let status = self.connection.process_tls_records(&mut self.incoming[self.start..self.end]);
            self.start += status.discard;
            match status.state.map_err(|error| Failure::Tls(error.to_string()))? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    self.queued += traffic
                        .encrypt(plain, &mut self.outgoing[self.queued..])
                        .map_err(|error: EncryptError| Failure::Tls(error.to_string()))?;
                    return Ok(plain.len());
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    self.queued += data
                        .encode(&mut self.outgoing[self.queued..])
                        .map_err(|error: EncodeError| Failure::Tls(error.to_string()))?;
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                other => return Err(Failure::Tls(format!("not ready to send: {other:?}"))),
            }
        }
    }
}
