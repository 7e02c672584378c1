//! Names of cipher suites, curves and versions as configuration files and monitoring spell them (reference: security 10.2).

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, NamedGroup, ProtocolVersion, SupportedCipherSuite};

use super::error::TlsConfigError;

/// Suites that can be had, most wanted first where the processor has AES instructions.
const SUITES: [(&str, CipherSuite); 9] = [
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Suites that nats-server has besides: CBC, RC4, 3DES, and key exchange by RSA.
const SUITES_ABSENT: [&str; 16] = [
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
];

const CURVES: [(&str, NamedGroup); 7] = [
    ("X25519", NamedGroup::X25519),
    ("CurveP256", NamedGroup::secp256r1),
    ("CurveP384", NamedGroup::secp384r1),
    ("CurveP521", NamedGroup::secp521r1),
    ("X25519MLKEM768", NamedGroup::X25519MLKEM768),
    ("SecP256r1MLKEM768", NamedGroup::secp256r1MLKEM768),
    ("SecP384r1MLKEM1024", NamedGroup::Unknown(0x11ed)),
];

/// Orders the suites of `provider` and keeps the TLS 1.2 suites that `names` lists; an empty list keeps all.
///
/// TLS 1.3 suites always stay, and the order of `names` does not matter: both as in nats-server.
pub(crate) fn choose_suites(provider: &mut CryptoProvider, names: &[String]) -> Result<(), TlsConfigError> {
    let mut wanted = Vec::new();
    for name in names {
        match SUITES.iter().find(|(known, _)| known == name) {
            Some((_, suite)) => wanted.push(*suite),
            None if is_absent(name) => return Err(TlsConfigError::UnsupportedCipher(name.clone())),
            None => return Err(TlsConfigError::UnrecognizedCipher(name.clone())),
        }
    }
    let keep =
        |suite: &SupportedCipherSuite| suite.tls13().is_some() || wanted.is_empty() || wanted.contains(&suite.suite());
    provider.cipher_suites.retain(keep);
    let rank = |suite: &SupportedCipherSuite| SUITES.iter().position(|(_, known)| *known == suite.suite());
    provider.cipher_suites.sort_by_key(|suite| (is_slow_here(suite), rank(suite)));
    Ok(())
}

fn is_absent(name: &str) -> bool {
    SUITES_ABSENT.contains(&name)
}

/// AES-GCM without instructions for it is slow and leaks timing: such processors prefer ChaCha20.
fn is_slow_here(suite: &SupportedCipherSuite) -> bool {
    let chacha = suite_name(suite.suite()).is_some_and(|name| name.contains("CHACHA20"));
    chacha == has_aes_instructions()
}

fn has_aes_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

/// Keeps the key exchange groups that `names` lists, in that order; an empty list keeps all.
pub(crate) fn choose_curves(provider: &mut CryptoProvider, names: &[String]) -> Result<(), TlsConfigError> {
    if names.is_empty() {
        return Ok(());
    }
    let mut groups = Vec::new();
    for name in names {
        let Some((_, group)) = CURVES.iter().find(|(known, _)| known == name) else {
            return Err(TlsConfigError::UnrecognizedCurve(name.clone()));
        };
        match provider.kx_groups.iter().find(|have| have.name() == *group) {
            Some(have) => groups.push(*have),
            None => return Err(TlsConfigError::UnsupportedCurve(name.clone())),
        }
    }
    provider.kx_groups = groups;
    Ok(())
}

/// The name of a negotiated suite, `None` for one that is never negotiated here.
pub(crate) fn suite_name(suite: CipherSuite) -> Option<&'static str> {
    SUITES.iter().find(|(_, known)| *known == suite).map(|(name, _)| *name)
}

/// `1.2` or `1.3`.
pub(crate) fn version_name(version: ProtocolVersion) -> Option<&'static str> {
    match version {
        ProtocolVersion::TLSv1_2 => Some("1.2"),
        ProtocolVersion::TLSv1_3 => Some("1.3"),
        _ => None,
    }
}
