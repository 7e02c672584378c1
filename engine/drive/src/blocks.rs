//! Blocks of input, and how long each must last.

use std::sync::Arc;

/// Most bytes read at a time.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;

/// A block that output may borrow from for as long as somebody has a share in it.
pub(crate) type Block = Arc<Vec<u8>>;

/// Input that is being processed.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub bytes: &'a [u8],
    /// The block that `bytes` are the beginning of, if they are in one.
    pub block: Option<&'a Block>,
}

impl Input<'static> {
    /// No input: what is flushed borrows nothing.
    pub(crate) const NONE: Self = Self { bytes: &[], block: None };
}

impl<'a> Input<'a> {
    /// Input that goes away when it has been processed.
    pub(crate) fn passing(bytes: &'a [u8]) -> Self {
        Self { bytes, block: None }
    }
}

/// Blocks for reuse.
#[derive(Default)]
pub(crate) struct Blocks {
    free: Vec<Block>,
}

impl Blocks {
    /// A block that nobody has a share in, the one used last if possible: it is warmest.
    pub(crate) fn take(&mut self) -> Block {
        let at = self.free.iter_mut().rposition(|block| Arc::get_mut(block).is_some());
        match at {
            Some(at) => self.free.remove(at),
            None => Arc::new(vec![0; BLOCK_BYTES]),
        }
    }

    /// The reader is done with a block.
    pub(crate) fn put(&mut self, block: Block) {
        self.free.push(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_not_used_again_while_it_is_shared() {
        let mut blocks = Blocks::default();
        let first = blocks.take();
        let share = Arc::clone(&first);
        let place = first.as_ptr();
        blocks.put(first);
        let second = blocks.take();
        assert_ne!(second.as_ptr(), place);
        drop(share);
        blocks.put(second);
        assert_ne!(blocks.take().as_ptr(), place);
        assert_eq!(blocks.take().as_ptr(), place);
    }
}
