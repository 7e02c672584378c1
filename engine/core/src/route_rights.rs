//! What may go between servers of a cluster (`cluster { permissions }`; reference: wire protocol 2.14).
//!
//! A connection to another server has a permit like a client: to publish stands for importing, which is what we tell it that
//! we want; to subscribe stands for exporting, which is what it may want of us. Wildcards in an interest are taken
//! literally, as with clients. What a peer sends is not checked: it was asked for.

use crate::conn::Conn;

impl Conn {
    /// Whether this peer is told that a subject is wanted here.
    pub(crate) fn may_import(&self, subject: &[u8]) -> bool {
        self.admission.permit.as_ref().is_none_or(|permit| permit.can_publish(subject))
    }

    /// Whether what this peer wants is taken note of.
    pub(crate) fn may_export(&self, subject: &[u8]) -> bool {
        self.admission.permit.as_ref().is_none_or(|permit| permit.can_subscribe(subject, None))
    }

    /// Whether messages on a subject are kept from this peer, although it may want more than that.
    pub(crate) fn withholds(&self, subject: &[u8]) -> bool {
        self.admission.permit.as_ref().is_some_and(|permit| permit.denies_delivery(subject, None))
    }
}
