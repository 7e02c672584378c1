//! What a user may publish and subscribe to, compiled for the check of every message (reference: wire protocol 1.17,
//! security 9.1 to 9.4).
//!
//! A [`Permit`] never changes after [`Permit::compile`], so that all connections of a user share one. A change of rights
//! is a new permit; [`Permit::can_subscribe`] then tells which existing subscriptions have to go. What a connection may
//! answer because it was asked ([`Replies`]) changes with every message and therefore lives with the connection.
//!
//! Invariants: deny takes away from allow; `publish_allow: Some([])` allows nothing (whoever reads a configuration turns
//! an empty list into `None` first, as nats-server does); a subject with an empty token matches no entry.
//!
//! Deliberately absent: reserved prefixes such as `_GR_.`, which no permission can grant, and account mappings: the
//! caller asks about the subject *after* mapping.

mod replies;
mod rules;

use std::fmt;

pub use replies::{Replies, REPLIES_BYTES_MAX, REPLIES_MAX};

use crate::quote::quoted;
use crate::subject;
use rules::Rules;

/// Messages that one request allows to answer, when nothing else was said.
pub const RESPONSES_MAX_DEFAULT: i64 = 1;
/// How long a request may be answered, in nanoseconds, when nothing else was said.
pub const RESPONSES_EXPIRES_NS_DEFAULT: i64 = 120_000_000_000;

/// How often and how long a connection may publish to a reply subject it was asked on. Negative means unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseSpec {
    /// Publishes per delivered request.
    pub max_msgs: i64,
    /// Nanoseconds after the delivery of the request.
    pub expires_ns: i64,
}

impl ResponseSpec {
    /// Zeros become the defaults.
    fn filled(self) -> Self {
        Self {
            max_msgs: if self.max_msgs == 0 { RESPONSES_MAX_DEFAULT } else { self.max_msgs },
            expires_ns: if self.expires_ns == 0 { RESPONSES_EXPIRES_NS_DEFAULT } else { self.expires_ns },
        }
    }
}

/// The rights of a user as they were configured. An allow list of `None` means everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PermitSpec {
    /// Subjects that may be published to.
    pub publish_allow: Option<Vec<Vec<u8>>>,
    /// Subjects that may not be published to, whatever the allow list says.
    pub publish_deny: Vec<Vec<u8>>,
    /// Subscriptions that may be made: `subject` or `subject queue`.
    pub subscribe_allow: Option<Vec<Vec<u8>>>,
    /// Subscriptions that may not be made: `subject` or `subject queue`.
    pub subscribe_deny: Vec<Vec<u8>>,
    /// Whether requests may be answered.
    pub responses: Option<ResponseSpec>,
}

/// Why a [`PermitSpec`] did not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PermitError {
    /// An entry, or its first field, is no subject.
    Subject(Vec<u8>),
    /// The second field of a subscribe entry is no queue pattern.
    Queue(Vec<u8>),
}

impl fmt::Display for PermitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(text) => write!(f, "subject {} is not a valid subject", quoted(text)),
            Self::Queue(text) => write!(f, "queue {} is not a valid queue", quoted(text)),
        }
    }
}

impl std::error::Error for PermitError {}

/// The compiled rights of a user.
#[derive(Debug)]
pub struct Permit {
    publish_allow: Option<Rules>,
    publish_deny: Rules,
    subscribe_allow: Option<Rules>,
    subscribe_deny: Rules,
    responses: Option<ResponseSpec>,
}

impl Permit {
    /// Compiles the lists. With `responses` and no publish allow list, nothing but answers may be published.
    pub fn compile(spec: &PermitSpec) -> Result<Self, PermitError> {
        let mut publish_allow = spec.publish_allow.as_deref().map(Rules::of_subjects).transpose()?;
        if spec.responses.is_some() {
            publish_allow.get_or_insert_with(Rules::default);
        }
        Ok(Self {
            publish_allow,
            publish_deny: Rules::of_subjects(&spec.publish_deny)?,
            subscribe_allow: spec.subscribe_allow.as_deref().map(Rules::of_subscriptions).transpose()?,
            subscribe_deny: Rules::of_subscriptions(&spec.subscribe_deny)?,
            responses: spec.responses.map(ResponseSpec::filled),
        })
    }

    /// May the (mapped) `subject` be published to? When not, [`Replies::take`] may still allow it.
    #[inline]
    pub fn can_publish(&self, subject: &[u8]) -> bool {
        self.publish_allow.as_ref().is_none_or(|allow| allow.has(subject)) && !self.publish_deny.has(subject)
    }

    /// May this subscription be made, or stay after a reload? The tokens of `subject` are taken literally: an entry must
    /// cover them, and `>` counts as one ordinary token. So `allow a.*` admits `a.>` but not `*.b`, and a subscription
    /// broader than a deny entry is admitted (see [`Permit::delivery_filter_needed`]).
    pub fn can_subscribe(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        if let Some(allow) = &self.subscribe_allow {
            let found = allow.find(subject, queue);
            // Queue-qualified entries narrow what a plain entry would allow to queue subscriptions.
            let allowed = if queue.is_some() && found.queue_rules { found.queue } else { found.plain };
            if !allowed {
                return false;
            }
        }
        let denied = self.subscribe_deny.find(subject, queue);
        !(denied.plain || denied.queue)
    }

    /// Could an admitted `subscription` match messages that a deny entry forbids? Asked once per subscription.
    pub fn delivery_filter_needed(&self, subscription: &[u8]) -> bool {
        subject::has_wildcard(subscription) && self.subscribe_deny.overlaps(subscription)
    }

    /// Must a message on `subject` be kept from a subscription that needs the filter? `queue` is the queue group the
    /// message would be delivered through.
    #[inline]
    pub fn denies_delivery(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        let denied = self.subscribe_deny.find(subject, queue);
        denied.plain || denied.queue
    }

    /// Whether and how requests may be answered; zeros are already replaced by the defaults.
    pub fn responses(&self) -> Option<ResponseSpec> {
        self.responses
    }

    /// True when no publish is ever refused.
    pub fn unrestricted_publish(&self) -> bool {
        self.publish_allow.is_none() && self.publish_deny.is_empty()
    }

    /// True when no subscription is ever refused or filtered.
    pub fn unrestricted_subscribe(&self) -> bool {
        self.subscribe_allow.is_none() && self.subscribe_deny.is_empty()
    }
}

#[cfg(test)]
mod tests;
