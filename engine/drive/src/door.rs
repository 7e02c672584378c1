//! A listening socket that the forwarding thread accepts from by itself.
//!
//! It is for connections that need no handshake below NATS. What a newcomer may do and what greets it is a rule of the
//! control plane (`Door`); the thread only applies it.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{SystemTime, UNIX_EPOCH};

use natsfleet_core::conn::{Admission, Arrival};

use crate::poll::random_bytes;

const NONCE_BYTES: usize = 11;

/// How a door treats those who come through it.
#[derive(Debug, Clone)]
pub struct Door {
    /// The control plane's number for it.
    pub number: u32,
    /// What a newcomer may do before its CONNECT; the client id is filled in.
    pub welcome: Admission,
    /// INFO up to the client id, between client id and address members, and the rest.
    pub info: [Vec<u8>; 2],
    /// Newcomers are challenged.
    pub nonce: bool,
}

/// A door that is open: its socket and its rule.
pub(crate) struct OpenDoor {
    pub fd: OwnedFd,
    pub rule: Door,
}

impl Door {
    /// What the newcomer from `peer` is told and taken on as.
    pub(crate) fn receive(&self, cid: u64, peer: SocketAddr) -> (Admission, Arrival, Vec<u8>) {
        let ip = peer.ip().to_canonical().to_string();
        let nonce = if self.nonce { encode_nonce(random_bytes::<NONCE_BYTES>()) } else { String::new() };
        let [head, rest] = &self.info;
        let mut info = Vec::with_capacity(head.len() + rest.len() + 96);
        info.extend_from_slice(head);
        info.extend_from_slice(cid.to_string().as_bytes());
        info.extend_from_slice(b",\"client_ip\":\"");
        info.extend_from_slice(ip.as_bytes());
        info.push(b'"');
        if self.nonce {
            info.extend_from_slice(b",\"nonce\":\"");
            info.extend_from_slice(nonce.as_bytes());
            info.push(b'"');
        }
        info.extend_from_slice(rest);
        let at_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
        let arrival =
            Arrival { door: self.number, ip: ip.into(), port: peer.port(), nonce: nonce.into_bytes().into(), at_ns };
        (Admission { cid, ..self.welcome.clone() }, arrival, info)
    }
}

/// Base64 for URLs, without padding: 15 characters for 11 bytes (reference: security 2.3).
fn encode_nonce(bytes: [u8; NONCE_BYTES]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(15);
    for group in bytes.chunks(3) {
        let mut word = 0u32;
        for at in 0..3 {
            word = word << 8 | u32::from(group.get(at).copied().unwrap_or(0));
        }
        for at in 0..=group.len() {
            text.push(char::from(ALPHABET[(word >> (18 - 6 * at) & 63) as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_raw_url_base64() {
        assert_eq!(encode_nonce([0; 11]), "AAAAAAAAAAAAAAA");
        assert_eq!(encode_nonce([0xff; 11]), "_______________8".chars().take(14).collect::<String>() + "8");
        assert_eq!(encode_nonce(*b"hello world"), "aGVsbG8gd29ybGQ");
    }
}
