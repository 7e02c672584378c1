//! How publishers are slowed and closing connections are hurried, the same in every drive.

/// How long a publisher rests when a receiver is nearly full.
const REST_NS: u64 = 10_000_000;
/// Input for which a publisher rests that long; more input, more rest.
const REST_BYTES: u64 = 64 << 10;
/// How long a closing connection gets to take what is queued, and then to finish talking.
pub(crate) const FINISH_NS: u64 = 1_000_000_000;
pub(crate) const DRAIN_NS: u64 = 500_000_000;

/// The rest after `input` bytes that met a nearly full receiver.
pub(crate) fn rest_ns(input: usize) -> u64 {
    REST_NS * (input as u64).div_ceil(REST_BYTES)
}
