//! What should come of one operation.

use natsfleet_core::event::Violation;

/// A message on its way to one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Client id of the receiver; 0 is the control plane.
    pub cid: u64,
    pub sid: Vec<u8>,
    /// The item that it receives.
    pub bytes: Vec<u8>,
    /// Header and payload, as traffic counts them.
    pub counted_bytes: u64,
    /// The account that it counts in: the publisher's.
    pub account: u32,
}

/// The consequences of one operation, in the order in which its sender sees them.
#[derive(Debug, Default)]
pub struct Plan {
    /// Items for the sender, before it receives any message of this operation.
    pub before: Vec<Vec<u8>>,
    /// Messages to subscriptions outside of queue groups.
    pub plain: Vec<Delivery>,
    /// One of each is delivered.
    pub groups: Vec<Vec<Delivery>>,
    /// Items of which the sender gets one, after that.
    pub after: Vec<Vec<u8>>,
    pub violations: Vec<(Violation, Vec<u8>, Vec<u8>)>,
    /// The message's number and reply subject.
    pub number: Option<u64>,
    pub reply: Vec<u8>,
    /// The connection ends.
    pub closes: bool,
    /// The control plane has to answer.
    pub asks: bool,
}
