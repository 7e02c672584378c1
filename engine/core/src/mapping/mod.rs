//! Subject mappings of an account.

/// All mappings of an account.
#[derive(Debug, Default)]
pub struct Mappings {}

/// What became of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapped {
    /// No mapping applies.
    Unchanged,
    /// The new subject was written.
    To,
    /// The message is lost by intent.
    Dropped,
}

impl Mappings {
    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Maps `subject`.
    pub fn apply(&self, _subject: &[u8], _roll: u32, _random: &mut dyn FnMut(u32) -> u32, _out: &mut Vec<u8>) -> Mapped {
        Mapped::Unchanged
    }
}
