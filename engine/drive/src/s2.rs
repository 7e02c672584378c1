//! The S2 layer of one connection to another server: what its reader kept, and how hard its writer works.
//!
//! The control plane drives the rest of the handshake through it, then it moves into the connection's [`Link`](crate::link::Link).

use natsfleet_core::s2::{Effort, Pace, Packer, Reader, S2Error};

/// What one read appends, give or take a chunk.
const READ_BYTES: usize = 256 << 10;

/// Both directions of one connection. Everything that is packed at a time is one complete stream.
#[derive(Debug)]
pub struct S2Session {
    reader: Reader,
    pace: Pace,
    effort: Effort,
    /// Plain bytes that were read too far.
    unread: Vec<u8>,
}

impl S2Session {
    /// A session for a connection with this round trip time.
    pub fn new(pace: Pace, rtt_ns: u64) -> Self {
        let effort = pace.effort(rtt_ns);
        Self { reader: Reader::default(), pace, effort, unread: Vec::new() }
    }

    /// The effort at present.
    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// Another round trip time was measured; 0 stands for none.
    pub(crate) fn heed_round_trip(&mut self, rtt_ns: u64) {
        if rtt_ns != 0 && self.pace.is_by_round_trip() {
            self.effort = self.pace.effort(rtt_ns);
        }
    }

    /// Takes input and appends what it stands for to `plain`; true when there is more, for another call with nothing.
    pub fn read(&mut self, input: &[u8], plain: &mut Vec<u8>) -> Result<bool, S2Error> {
        if !self.unread.is_empty() {
            plain.append(&mut self.unread);
            self.unread = Vec::new();
        }
        let enough = plain.len() + READ_BYTES;
        self.reader.read(input, enough, plain)
    }

    /// Puts plain bytes back that were read too far: they are read first again.
    pub fn unread(&mut self, plain: &[u8]) {
        self.unread.splice(..0, plain.iter().copied());
    }

    /// Appends a stream for the concatenation of `pieces`.
    pub fn pack(&self, pieces: &[&[u8]], packer: &mut Packer, wire: &mut Vec<u8>) {
        packer.pack(pieces, self.effort, wire);
    }

    /// Whether a read without input would find something.
    pub fn has_more(&self) -> bool {
        !self.unread.is_empty() || self.reader.has_more()
    }
}
