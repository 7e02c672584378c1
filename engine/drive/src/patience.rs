//! Whether to go on polling when nothing is there, instead of going to sleep.
//!
//! Polling saves a sleep and a wake-up on every request, but only on a processor that nobody else wants. Who polls has
//! used up its share when others come, and is then left waiting for longer than any sleep takes. So polling rests for a
//! while whenever the thread finds that it was set aside in the middle of it.

/// How long to poll before sleeping, after work, at least and at most.
const SPIN_NS: u64 = 20_000;
const SPIN_MAX_NS: u64 = 80_000;
/// Work that comes in steps no wider than this is worth waiting for awake: a sleep and a wake-up cost about as much.
const SPIN_STEP_NS: u64 = 60_000;
/// A poll that found nothing and took this long was interrupted.
const AWAY_NS: u64 = 150_000;
/// How long polling rests then: longer each time, until it has gone well for as long.
const REST_MIN_NS: u64 = 20_000_000;
const REST_MAX_NS: u64 = 1_000_000_000;

/// Judges by how work came in lately. Times are nanoseconds of the thread's clock.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    until_ns: u64,
    last_ns: u64,
    step_ns: u64,
    rests_until_ns: u64,
    rest_ns: u64,
}

impl Patience {
    /// Work came in.
    pub(crate) fn arrived(&mut self, now_ns: u64) {
        let step = now_ns.saturating_sub(self.last_ns).min(SPIN_STEP_NS * 8);
        self.step_ns = (self.step_ns * 7 + step) / 8;
        self.last_ns = now_ns;
        let spin = if self.step_ns <= SPIN_STEP_NS { (self.step_ns * 2).clamp(SPIN_NS, SPIN_MAX_NS) } else { SPIN_NS };
        self.until_ns = now_ns + spin;
    }

    /// A poll found nothing and took so long.
    pub(crate) fn polled(&mut self, took_ns: u64, now_ns: u64) {
        if took_ns < AWAY_NS {
            return;
        }
        if now_ns.saturating_sub(self.rests_until_ns) > REST_MAX_NS {
            self.rest_ns = 0;
        }
        self.rest_ns = (self.rest_ns * 2).clamp(REST_MIN_NS, REST_MAX_NS);
        self.rests_until_ns = now_ns + self.rest_ns;
    }

    /// Whether to look again at once.
    pub(crate) fn is_left(&self, now_ns: u64) -> bool {
        now_ns < self.until_ns && now_ns >= self.rests_until_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn polling_goes_on_for_a_moment_after_work() {
        let mut patience = Patience::default();
        patience.arrived(SECOND);
        patience.arrived(SECOND * 2);
        assert!(patience.is_left(SECOND * 2 + SPIN_NS - 1) && !patience.is_left(SECOND * 2 + SPIN_NS));
    }

    #[test]
    fn steady_work_is_waited_for_longer() {
        let mut patience = Patience::default();
        let now = (1..200).map(|at| SECOND + at * 50_000).inspect(|&now| patience.arrived(now)).last().unwrap_or(0);
        assert!(patience.is_left(now + SPIN_MAX_NS - 1));
    }

    #[test]
    fn polling_rests_when_the_processor_is_wanted_by_others() {
        let mut patience = Patience::default();
        patience.polled(AWAY_NS - 1, SECOND);
        patience.arrived(SECOND);
        assert!(patience.is_left(SECOND));
        patience.polled(AWAY_NS, SECOND);
        for (at, left) in [(0, false), (REST_MIN_NS - 1, false), (REST_MIN_NS, true)] {
            patience.arrived(SECOND + at);
            assert_eq!(patience.is_left(SECOND + at), left, "after {at}");
        }
    }

    #[test]
    fn rests_get_longer_until_polling_went_well() {
        let mut patience = Patience::default();
        let mut now = SECOND;
        let rest = |now: u64, patience: &mut Patience| {
            patience.polled(AWAY_NS, now);
            patience.rests_until_ns - now
        };
        assert_eq!(rest(now, &mut patience), REST_MIN_NS);
        assert_eq!(rest(now + REST_MIN_NS, &mut patience), REST_MIN_NS * 2);
        for _ in 0..20 {
            now = patience.rests_until_ns;
            rest(now, &mut patience);
        }
        assert_eq!(patience.rest_ns, REST_MAX_NS);
        now = patience.rests_until_ns + REST_MAX_NS + 1;
        assert_eq!(rest(now, &mut patience), REST_MIN_NS);
    }
}
