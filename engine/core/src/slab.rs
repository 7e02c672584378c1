//! A table of values with stable small indexes; freed places are used again.

/// Values addressed by `u32`. An index is valid until its value is removed.
#[derive(Debug)]
pub struct Slab<T> {
    entries: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Stores `value` and returns its index.
    pub fn insert(&mut self, value: T) -> u32 {
        match self.free.pop() {
            Some(at) => {
                if let Some(place) = self.entries.get_mut(at as usize) {
                    *place = Some(value);
                }
                at
            }
            None => {
                self.entries.push(Some(value));
                (self.entries.len() - 1) as u32
            }
        }
    }

    /// The value at `at`, if there is one.
    #[inline]
    pub fn get(&self, at: u32) -> Option<&T> {
        self.entries.get(at as usize).and_then(Option::as_ref)
    }

    /// The value at `at`, to change.
    #[inline]
    pub fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.entries.get_mut(at as usize).and_then(Option::as_mut)
    }

    /// Takes the value out; its index may be handed out again.
    pub fn remove(&mut self, at: u32) -> Option<T> {
        let taken = self.entries.get_mut(at as usize).and_then(Option::take);
        if taken.is_some() {
            self.free.push(at);
        }
        taken
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All values with their indexes, in index order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.entries.iter().enumerate().filter_map(|(at, entry)| entry.as_ref().map(|value| (at as u32, value)))
    }
}
