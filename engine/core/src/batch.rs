//! Write deadlines: a batch of output that a socket has so long to take (reference: wire protocol 1.14).
//!
//! What waits when writing begins is one batch, up to a bound; what comes later is the next. A batch that is late ends the
//! connection. Where that is forgiven, only a batch of which nothing was taken does; the rest becomes a new one.

/// Bytes that are one batch at most.
const BATCH_BYTES_MAX: usize = 64 << 20;
/// What the log calls a chunk of output.
const CHUNK_BYTES: usize = 64 << 10;

/// The batch that is being written. The default one is written already.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Batch {
    began_ns: u64,
    /// All that waited when it began, whatever part of that is in it.
    bytes: usize,
    /// What of it has not left.
    left: usize,
    /// What has left, of it or of what came before it in the same go.
    taken: usize,
    /// An earlier one was late, and that was forgiven.
    late: bool,
}

/// What is to be told of a batch that came late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Late {
    pub again: bool,
    pub bytes: usize,
}

impl Late {
    /// The line of the log. `deadline` is the time that there was, for people.
    pub(crate) fn text(&self, deadline: &str) -> String {
        let state = if self.again { "State" } else { "Detected" };
        let (chunks, bytes) = (self.bytes.div_ceil(CHUNK_BYTES), self.bytes);
        format!(
            "Slow Consumer {state}: WriteDeadline of {deadline} exceeded with {chunks} chunks of {bytes} total bytes."
        )
    }
}

impl Batch {
    /// The socket has taken so much.
    #[inline]
    pub(crate) fn take(&mut self, bytes: usize) {
        self.taken += bytes;
        self.left = self.left.saturating_sub(bytes);
    }

    /// Writing has stopped for now with `pending` bytes left over. Returns the line of the log for a batch that has left
    /// after an earlier one was late.
    #[inline]
    pub(crate) fn pause(&mut self, pending: usize, now_ns: u64) -> Option<String> {
        if pending == 0 && self.began_ns == 0 {
            self.taken = 0;
            return None;
        }
        if pending > 0 && self.left > 0 {
            return None;
        }
        let before = std::mem::take(self);
        if pending > 0 {
            let taken = if before.began_ns == 0 { before.taken } else { 0 };
            *self = Self::new(pending, taken, now_ns);
        }
        before.late.then(|| {
            let seconds = now_ns.saturating_sub(before.began_ns) as f64 / 1e9;
            let (chunks, bytes) = (before.bytes.div_ceil(CHUNK_BYTES), before.bytes);
            format!("Slow Consumer Recovered: Flush took {seconds:.3}s with {chunks} chunks of {bytes} total bytes.")
        })
    }

    fn new(pending: usize, taken: usize, now_ns: u64) -> Self {
        Self { began_ns: now_ns, bytes: pending + taken, left: pending.min(BATCH_BYTES_MAX), taken, late: false }
    }

    /// When it has to have left; `None` when it has.
    pub(crate) fn due_ns(&self, deadline_ns: u64) -> Option<u64> {
        (self.left > 0).then(|| self.began_ns.saturating_add(deadline_ns))
    }

    /// It is late. That can be forgiven when some of it has left.
    pub(crate) fn late(&self) -> Late {
        Late { again: self.late, bytes: self.bytes }
    }

    /// Forgives that it is late, if anything of it was taken: what is `pending` is a new batch then.
    pub(crate) fn forgive(&mut self, pending: usize, now_ns: u64) -> bool {
        let moved = self.taken > 0;
        if moved {
            *self = Self { late: true, ..Self::new(pending, 0, now_ns) };
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn what_comes_later_does_not_prolong_a_batch() {
        let mut batch = Batch::default();
        batch.take(30);
        assert_eq!(batch.pause(70, SECOND), None);
        assert_eq!(batch.due_ns(5), Some(SECOND + 5));
        batch.take(69);
        assert_eq!(batch.pause(500, SECOND * 2), None);
        assert_eq!((batch.due_ns(5), batch.late().bytes), (Some(SECOND + 5), 100));
        batch.take(1);
        assert_eq!(batch.pause(499, SECOND * 3), None);
        assert_eq!((batch.due_ns(5), batch.late().bytes), (Some(SECOND * 3 + 5), 499));
        batch.take(499);
        assert_eq!(batch.pause(0, SECOND * 4), None);
        assert_eq!(batch.due_ns(5), None);
    }

    #[test]
    fn a_large_backlog_is_several_batches() {
        let mut batch = Batch::default();
        batch.pause(BATCH_BYTES_MAX * 2, SECOND);
        batch.take(BATCH_BYTES_MAX);
        batch.pause(BATCH_BYTES_MAX, SECOND * 2);
        assert_eq!(batch.due_ns(0), Some(SECOND * 2));
    }

    #[test]
    fn a_batch_that_moves_may_be_forgiven_and_recovery_is_told() {
        let mut batch = Batch::default();
        batch.take(10);
        batch.pause(90, SECOND);
        let text = batch.late().text("1s");
        assert_eq!(text, "Slow Consumer Detected: WriteDeadline of 1s exceeded with 1 chunks of 100 total bytes.");
        assert!(batch.forgive(200_000, SECOND * 2));
        assert_eq!(batch.late(), Late { again: true, bytes: 200_000 });
        assert!(!batch.forgive(200_000, SECOND * 3), "nothing of it was taken");
        batch.take(200_000);
        let text = batch.pause(0, SECOND * 2 + SECOND / 4).unwrap();
        assert_eq!(text, "Slow Consumer Recovered: Flush took 0.250s with 4 chunks of 200000 total bytes.");
        assert_eq!(batch.pause(5, SECOND * 9), None);
    }
}
