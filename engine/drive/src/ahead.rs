//! Reading ahead: while one busy connection's input is processed, the crew reads the next one's.

use std::io;
use std::ops::Range;

use crate::blocks::{Block, BLOCK_BYTES};
use crate::crew::Job;
use crate::flush::{look_again, LOOKS};
use crate::io::Phase;
use crate::poll::Ready;
use crate::run::{Run, OWN_PARTIAL_MIN};

/// A block that was read into.
pub(crate) struct Ahead {
    pub slot: u32,
    pub block: Block,
    /// Where input was wanted; what was left over before precedes it.
    pub part: Range<usize>,
    pub count: io::Result<usize>,
}

impl Run {
    /// Has the crew read a connection that is about to be served, if it is one that sends all it can.
    pub(crate) fn read_ahead(&mut self, next: Ready) {
        if !self.lending.crew.is_there() || !next.readable || self.sharing.is_needed(self.now_ns) {
            return;
        }
        let Some(io) = usize::try_from(next.token).ok().and_then(|slot| self.ios.get_mut(slot)?.as_mut()) else {
            return;
        };
        let plain = io.link.is_none() && io.phase == Phase::Open && !io.resting && io.partial.len() < OWN_PARTIAL_MIN;
        if !plain || !io.share.busy || io.share.is_large || io.ahead {
            return;
        }
        let mut block = self.blocks.take();
        let carried = io.partial.len();
        if let Some(start) = std::sync::Arc::get_mut(&mut block).and_then(|block| block.get_mut(..carried)) {
            start.copy_from_slice(&io.partial);
        }
        io.ahead = true;
        let part = carried..(carried + io.share.asked(false)).min(BLOCK_BYTES);
        let job = Job::Read { slot: next.token as u32, fd: io.raw(), block, part };
        self.lending.out += 1;
        self.lending.crew.submit(job);
    }

    /// What was read ahead of a connection, if anything was.
    pub(crate) fn take_ahead(&mut self, slot: u32) -> Option<Ahead> {
        self.io(slot).filter(|io| io.ahead)?;
        if let Some(job) = self.lending.crew.take_back_read(slot) {
            let done = job.perform(&mut self.gather);
            self.lending.done.push(done);
        }
        let mut patience = LOOKS;
        let ahead = loop {
            self.put_back(crate::blocks::Input::NONE);
            match self.lending.ahead.iter().position(|ahead| ahead.slot == slot) {
                Some(at) => break self.lending.ahead.swap_remove(at),
                None => look_again(&mut patience),
            }
        };
        let io = self.io(slot)?;
        io.ahead = false;
        match io.phase {
            Phase::Gone => {
                self.end(slot);
                None
            }
            Phase::Open => Some(ahead),
            // Nothing it says counts any more.
            Phase::Finishing | Phase::Draining => None,
        }
    }

    pub(crate) fn use_ahead(&mut self, ahead: Ahead) {
        let begin_ns = self.elapsed_ns();
        self.use_block(ahead, begin_ns);
    }
}
