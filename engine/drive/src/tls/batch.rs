//! Many pieces of plaintext in as few records as they fit.

use super::error::TlsError;
use super::session::{TlsSession, RECORD_PLAIN_BYTES_MAX};

/// Encrypts `pieces` in order, behind `out`, in full records but for the last.
///
/// Small pieces are gathered in `staging` (emptied on return, its memory stays for the next batch); runs of whole
/// records inside a large piece are encrypted from where they are.
pub fn encrypt_batch<'a>(
    session: &mut TlsSession,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    staging: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), TlsError> {
    staging.clear();
    for piece in pieces {
        let mut rest = piece;
        if !staging.is_empty() {
            let (fill, after) = rest.split_at(rest.len().min(RECORD_PLAIN_BYTES_MAX - staging.len()));
            staging.extend_from_slice(fill);
            rest = after;
            if staging.len() == RECORD_PLAIN_BYTES_MAX {
                session.encrypt(staging, out)?;
                staging.clear();
            }
        }
        let (whole, tail) = rest.split_at(rest.len() - rest.len() % RECORD_PLAIN_BYTES_MAX);
        if !whole.is_empty() {
            session.encrypt(whole, out)?;
        }
        staging.extend_from_slice(tail);
    }
    if !staging.is_empty() {
        session.encrypt(staging, out)?;
        staging.clear();
    }
    Ok(())
}
