//! What goes wrong with TLS, in the words that logs and configuration errors of NATS servers use.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

/// Why a configuration cannot be built. The text is the one an operator reads beside file and line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsConfigError {
    /// A file named by the configuration cannot be read; `step` is what failed on it.
    File {
        /// `open` or `read`.
        step: &'static str,
        /// The path as configured.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// One certificate and key pair is unfit; `place` is ` 2/3` when there are several.
    Pair {
        /// Which of several, or empty.
        place: String,
        /// What is wrong with it.
        reason: PairError,
    },
    /// `ca_file` holds no certificate that can be a root.
    RootCa,
    /// Client certificates shall be verified, but neither `ca_file` nor the system has roots.
    NoSystemRoots,
    /// No certificate is configured.
    NoCertificate,
    /// Not a cipher suite's name.
    UnrecognizedCipher(String),
    /// A cipher suite nats-server has and natsfleet has not.
    UnsupportedCipher(String),
    /// Not a curve's name.
    UnrecognizedCurve(String),
    /// A curve nats-server has and natsfleet has not.
    UnsupportedCurve(String),
    /// A version below 1.2.
    UnsupportedVersion(String),
    /// Not a version.
    UnknownVersion(String),
    /// Not 64 hexadecimal digits.
    BadPin(String),
    /// The TLS library refuses the combination.
    Library(String),
}

/// What is wrong with a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairError {
    /// A file cannot be read.
    File(Box<TlsConfigError>),
    /// The certificate file holds no PEM.
    NoCertificatePem,
    /// The key file holds no PEM.
    NoKeyPem,
    /// The key file holds a certificate.
    CertificateAsKey,
    /// The key cannot be read (unknown form, or encrypted).
    KeyUnparsed,
    /// The certificate cannot be read.
    CertificateUnparsed,
    /// Both are of one kind, but do not belong together.
    KeyMismatch,
    /// RSA with ECDSA, or the like.
    KeyTypeMismatch,
}

impl TlsConfigError {
    /// An I/O error on `path`.
    pub(crate) fn file(path: &std::path::Path, error: &io::Error) -> Self {
        let step = if error.kind() == io::ErrorKind::IsADirectory { "read" } else { "open" };
        Self::File { step, path: path.to_path_buf(), reason: plain_reason(error) }
    }
}

/// The system's text without the number, in lower case: `no such file or directory`.
fn plain_reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { step, path, reason } => write!(f, "{step} {}: {reason}", path.display()),
            Self::Pair { place, reason } => write!(f, "error parsing X509 certificate/key pair{place}: {reason}"),
            Self::RootCa => f.write_str("failed to parse root ca certificate"),
            Self::NoSystemRoots => f.write_str("'verify' needs a 'ca_file': this system has no root certificates"),
            Self::NoCertificate => f.write_str("missing 'cert_file' in TLS configuration"),
            Self::UnrecognizedCipher(name) => write!(f, "unrecognized cipher {name}"),
            Self::UnsupportedCipher(name) => write!(
                f,
                "cipher suite {name} is not supported: wanted an ECDHE suite with AES-GCM or CHACHA20-POLY1305, or a TLS 1.3 suite"
            ),
            Self::UnrecognizedCurve(name) => write!(f, "unrecognized curve preference {name}"),
            Self::UnsupportedCurve(name) => {
                write!(f, "curve preference {name} is not supported: wanted X25519, CurveP256 or CurveP384")
            }
            Self::UnsupportedVersion(name) => write!(f, "unsupported TLS version: TLS {name}"),
            Self::UnknownVersion(name) => write!(f, "unknown version: {name}"),
            Self::BadPin(pin) => write!(
                f,
                "'pinned_certs' key {pin} does not look like hex-encoded sha256 of DER encoded SubjectPublicKeyInfo"
            ),
            Self::Library(reason) => write!(f, "TLS configuration refused: {reason}"),
        }
    }
}

impl fmt::Display for PairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File(error) => return error.fmt(f),
            Self::NoCertificatePem => "tls: failed to find any PEM data in certificate input",
            Self::NoKeyPem => "tls: failed to find any PEM data in key input",
            Self::CertificateAsKey => "tls: found a certificate rather than a key in the PEM for the private key",
            Self::KeyUnparsed => "tls: failed to parse private key",
            Self::CertificateUnparsed => "x509: malformed certificate",
            Self::KeyMismatch => "tls: private key does not match public key",
            Self::KeyTypeMismatch => "tls: private key type does not match public key type",
        })
    }
}

impl std::error::Error for TlsConfigError {}

/// Why a session ended. The text follows `TLS handshake error: ` in the log.
#[derive(Debug, Clone, PartialEq)]
pub enum TlsError {
    /// The peer does not speak TLS at all; nothing is owed to it, not even an alert.
    NotTls,
    /// The peer's certificate is none of the pinned ones.
    NotPinned,
    /// Bytes for an unfinished handshake or unread plaintext reached their bound.
    Backlog {
        /// What the session would have to hold.
        bytes: usize,
        /// What it may hold.
        bytes_max: usize,
    },
    /// The buffer handed in for ciphertext is too small; nothing was encrypted.
    OutputTooSmall {
        /// The size that suffices.
        need: usize,
    },
    /// Application data was written before the handshake ended or after the session was closed.
    NotOpen,
    /// Encryption keys are used up and cannot be renewed (TLS 1.2 only, after some 2^24 records).
    KeysExhausted,
    /// Whoever is to be dialled has neither a host's name nor an address.
    NotAName(String),
    /// The protocol failed, as the TLS library saw it.
    Protocol(rustls::Error),
}

impl TlsError {
    /// Whether the peer was no TLS client at all: worth a debug line, not an error line.
    pub fn is_not_tls(&self) -> bool {
        matches!(self, Self::NotTls)
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Protocol(error)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTls => f.write_str("tls: first record does not look like a TLS handshake"),
            Self::NotPinned => f.write_str("certificate not pinned"),
            Self::Backlog { bytes, bytes_max } => {
                write!(f, "tls: {bytes} bytes wait to be processed, at most {bytes_max} may")
            }
            Self::OutputTooSmall { need } => {
                write!(f, "tls: output buffer too small, {need} bytes are needed")
            }
            Self::NotOpen => f.write_str("tls: session is not open for application data"),
            Self::NotAName(host) => write!(f, "tls: {host} is no name of a host"),
            Self::KeysExhausted => f.write_str("tls: encryption keys are exhausted"),
            Self::Protocol(error) => write_protocol(f, error),
        }
    }
}

impl std::error::Error for TlsError {}

fn write_protocol(f: &mut fmt::Formatter<'_>, error: &rustls::Error) -> fmt::Result {
    use rustls::Error as E;
    match error {
        E::NoCertificatesPresented => f.write_str("tls: client didn't provide a certificate"),
        E::AlertReceived(alert) => write!(f, "remote error: tls: {}", alert_text(*alert)),
        E::DecryptError => f.write_str("local error: tls: bad record MAC"),
        E::PeerSentOversizedRecord | E::InvalidMessage(InvalidMessage::MessageTooLarge) => {
            f.write_str("tls: oversized record received")
        }
        E::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge) => {
            f.write_str("tls: handshake message exceeds maximum of 65535 bytes")
        }
        E::InvalidCertificate(reason) => {
            f.write_str("tls: failed to verify certificate: ")?;
            write_certificate(f, reason)
        }
        E::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => f.write_str("tls: client offered only unsupported versions"),
        E::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            f.write_str("tls: no cipher suite supported by both client and server")
        }
        E::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon | PeerIncompatible::NamedGroupsExtensionRequired) => {
            f.write_str("tls: no key exchange supported by both client and server")
        }
        E::PeerIncompatible(PeerIncompatible::NoSignatureSchemesInCommon) => {
            f.write_str("tls: peer doesn't support any of the certificate's signature algorithms")
        }
        other => write!(f, "tls: {other}"),
    }
}

fn write_certificate(f: &mut fmt::Formatter<'_>, reason: &CertificateError) -> fmt::Result {
    match reason {
        // A bad signature is what an authority of the same name with another key looks like.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            f.write_str("x509: certificate signed by unknown authority")
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            f.write_str("x509: certificate has expired or is not yet valid")?;
            match reason {
                CertificateError::ExpiredContext { .. } | CertificateError::NotValidYetContext { .. } => {
                    write!(f, ": {reason}")
                }
                _ => Ok(()),
            }
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            f.write_str("x509: certificate specifies an incompatible key usage")
        }
        other => write!(f, "x509: {other}"),
    }
}

/// The alert in words.
fn alert_text(alert: AlertDescription) -> String {
    let text = match alert {
        AlertDescription::CloseNotify => "close notify",
        AlertDescription::UnexpectedMessage => "unexpected message",
        AlertDescription::BadRecordMac => "bad record MAC",
        AlertDescription::RecordOverflow => "record overflow",
        AlertDescription::HandshakeFailure => "handshake failure",
        AlertDescription::BadCertificate => "bad certificate",
        AlertDescription::UnsupportedCertificate => "unsupported certificate",
        AlertDescription::CertificateRevoked => "revoked certificate",
        AlertDescription::CertificateExpired => "expired certificate",
        AlertDescription::CertificateUnknown => "unknown certificate",
        AlertDescription::IllegalParameter => "illegal parameter",
        AlertDescription::UnknownCA => "unknown certificate authority",
        AlertDescription::AccessDenied => "access denied",
        AlertDescription::DecodeError => "error decoding message",
        AlertDescription::DecryptError => "error decrypting message",
        AlertDescription::ProtocolVersion => "protocol version not supported",
        AlertDescription::InsufficientSecurity => "insufficient security level",
        AlertDescription::InternalError => "internal error",
        AlertDescription::UserCanceled => "user canceled",
        AlertDescription::NoRenegotiation => "no renegotiation",
        AlertDescription::CertificateRequired => "certificate required",
        other => return format!("alert({})", u8::from(other)),
    };
    text.to_owned()
}
