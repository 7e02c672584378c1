//! Why what a peer sent is no S2.

use std::fmt;

/// A violation by the peer; the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S2Error {
    /// The first chunk is not an identifier, or an identifier is none of S2 or Snappy.
    NotS2,
    /// A chunk of a type that must be understood and is not.
    ChunkUnknown(u8),
    /// A chunk too short for its checksum.
    ChunkTooShort,
    /// A chunk that stands for more bytes than allowed, or is longer than such a one can be.
    ChunkTooLong,
    /// A block that does not say what it stands for.
    BlockCorrupt,
    /// The checksum is that of something else.
    ChecksumMismatch,
}

impl fmt::Display for S2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotS2 => "s2: no stream identifier where one was wanted",
            Self::ChunkUnknown(kind) => return write!(f, "s2: unsupported chunk type {kind:#04x}"),
            Self::ChunkTooShort => "s2: chunk too short for its checksum",
            Self::ChunkTooLong => "s2: chunk of more than 4 MiB",
            Self::BlockCorrupt => "s2: corrupt block",
            Self::ChecksumMismatch => "s2: checksum mismatch",
        })
    }
}

impl std::error::Error for S2Error {}
