//! TLS configurations, of a listener and of whoever dials: what an operator wrote, built once into what sessions share.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::{ring as provider_of_ring, CryptoProvider};
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::ServerName;

use super::certificate::{load_pair, CertificateChooser, ShownCertificates};
use super::error::{TlsConfigError, TlsError};
use super::names::{choose_curves, choose_suites};
use super::session::TlsSession;
use super::verify::{client_verifier, server_verifier};

static FROM_TLS12: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
static FROM_TLS13: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

/// The lowest protocol version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MinVersion {
    /// TLS 1.2 and 1.3.
    #[default]
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

impl MinVersion {
    /// Reads `1.2` or `1.3`.
    pub fn parse(text: &str) -> Result<Self, TlsConfigError> {
        match text {
            "1.2" => Ok(Self::Tls12),
            "1.3" => Ok(Self::Tls13),
            "1.0" | "1.1" => Err(TlsConfigError::UnsupportedVersion(text.to_owned())),
            _ => Err(TlsConfigError::UnknownVersion(text.to_owned())),
        }
    }

    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls12 => &FROM_TLS12,
            Self::Tls13 => &FROM_TLS13,
        }
    }
}

/// One `tls` block of a listener (reference: operations 2.8).
#[derive(Debug, Clone, Default)]
pub struct TlsServerSpec {
    /// Certificate chain and key, as paths of PEM files. The first that suits a client is shown to it.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    /// Roots for client certificates; the system's when absent.
    pub ca_pem: Option<PathBuf>,
    /// Whether a client must show a certificate that the roots vouch for.
    pub verify: bool,
    /// The lowest version.
    pub min_version: MinVersion,
    /// Names of TLS 1.2 suites; empty for all that are supported. TLS 1.3 suites are fixed.
    pub cipher_suites: Vec<String>,
    /// Names of curves, most wanted first; empty for all that are supported.
    pub curves: Vec<String>,
    /// SHA-256 of the public keys (SubjectPublicKeyInfo) a client may have; empty for any.
    pub pinned_sha256: Vec<[u8; 32]>,
}

/// What every session of one listener shares: keys, roots, tickets.
///
/// Sessions that run keep the configuration they began with, so a reload makes a new `TlsServer` for new connections.
#[derive(Clone)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    pins: Arc<[[u8; 32]]>,
}

impl TlsServer {
    /// Reads the files and checks the names. Errors have the texts of nats-server.
    pub fn build(spec: &TlsServerSpec) -> Result<Self, TlsConfigError> {
        let mut provider = provider_of_ring::default_provider();
        choose_suites(&mut provider, &spec.cipher_suites)?;
        choose_curves(&mut provider, &spec.curves)?;
        let chooser = CertificateChooser {
            certificates: load_pairs(&provider, &spec.certificates)?,
            suites: provider.cipher_suites.clone(),
        };
        let provider = Arc::new(provider);
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(spec.min_version.versions())
            .map_err(library)?;
        let builder = if spec.verify {
            builder.with_client_cert_verifier(client_verifier(&provider, spec.ca_pem.as_deref())?)
        } else {
            if let Some(path) = &spec.ca_pem {
                super::certificate::load_roots(path)?;
            }
            builder.with_no_client_auth()
        };
        let mut config = builder.with_cert_resolver(Arc::new(chooser));
        config.ignore_client_order = true;
        config.ticketer = provider_of_ring::Ticketer::new().map_err(library)?;
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config), pins: spec.pinned_sha256.clone().into() })
    }

    /// Starts the server's side of a session.
    pub fn accept(&self) -> Result<TlsSession, TlsError> {
        Ok(TlsSession::accepted(UnbufferedServerConnection::new(self.config.clone())?, self.pins.clone()))
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").field("pins", &self.pins.len()).finish_non_exhaustive()
    }
}

/// One `tls` block of a connection that is dialled (reference: operations 2.8).
#[derive(Debug, Clone, Default)]
pub struct TlsClientSpec {
    /// Certificate chain and key, as paths of PEM files: what the other side may be shown if it asks.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    /// Roots for the other side's certificate; the system's when absent.
    pub ca_pem: Option<PathBuf>,
    /// Whether any certificate will do.
    pub insecure: bool,
    /// The lowest version.
    pub min_version: MinVersion,
    /// Names of TLS 1.2 suites; empty for all that are supported. TLS 1.3 suites are fixed.
    pub cipher_suites: Vec<String>,
    /// Names of curves, most wanted first; empty for all that are supported.
    pub curves: Vec<String>,
    /// SHA-256 of the public keys (SubjectPublicKeyInfo) the other side may have; empty for any.
    pub pinned_sha256: Vec<[u8; 32]>,
}

/// What every session that is dialled with one configuration shares.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    pins: Arc<[[u8; 32]]>,
}

impl TlsClient {
    /// Reads the files and checks the names. Errors have the texts of nats-server.
    pub fn build(spec: &TlsClientSpec) -> Result<Self, TlsConfigError> {
        let mut provider = provider_of_ring::default_provider();
        choose_suites(&mut provider, &spec.cipher_suites)?;
        choose_curves(&mut provider, &spec.curves)?;
        let certificates =
            if spec.certificates.is_empty() { Vec::new() } else { load_pairs(&provider, &spec.certificates)? };
        let provider = Arc::new(provider);
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(spec.min_version.versions())
            .map_err(library)?
            .dangerous()
            .with_custom_certificate_verifier(server_verifier(&provider, spec.ca_pem.as_deref(), spec.insecure)?)
            .with_client_cert_resolver(Arc::new(ShownCertificates(certificates)));
        // Connections between servers are few, and last.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), pins: spec.pinned_sha256.clone().into() })
    }

    /// Starts the session of a connection to `host`, a name or an address; its first flight waits in the output.
    pub fn dial(&self, host: &str) -> Result<TlsSession, TlsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::NotAName(host.to_owned()))?;
        TlsSession::dialled(UnbufferedClientConnection::new(self.config.clone(), name)?, self.pins.clone())
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("pins", &self.pins.len()).finish_non_exhaustive()
    }
}

fn library(error: rustls::Error) -> TlsConfigError {
    TlsConfigError::Library(error.to_string())
}

fn load_pairs(
    provider: &CryptoProvider,
    pairs: &[(PathBuf, PathBuf)],
) -> Result<Vec<Arc<rustls::sign::CertifiedKey>>, TlsConfigError> {
    if pairs.is_empty() {
        return Err(TlsConfigError::NoCertificate);
    }
    let place = |index: usize| match pairs.len() {
        1 => String::new(),
        count => format!(" {}/{count}", index + 1),
    };
    let load = |(index, (cert, key)): (usize, &(PathBuf, PathBuf))| {
        load_pair(provider, cert, key)
            .map(Arc::new)
            .map_err(|reason| TlsConfigError::Pair { place: place(index), reason })
    };
    pairs.iter().enumerate().map(load).collect()
}
