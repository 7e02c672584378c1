//! How hard to look for repetitions, and how a round trip time decides that.

/// How much time compression may take (`s2_uncompressed` to `s2_best`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Chunks without compression.
    None,
    /// One look at each position that is likely to repeat something.
    Fast,
    /// A few candidates for each position, and the next position is tried, too.
    Better,
    /// Many candidates.
    Best,
}

impl Effort {
    /// The mode's name as configurations and monitoring spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "s2_uncompressed",
            Self::Fast => "s2_fast",
            Self::Better => "s2_better",
            Self::Best => "s2_best",
        }
    }

    /// The effort with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::None, Self::Fast, Self::Better, Self::Best].into_iter().find(|effort| effort.name() == name)
    }
}

/// Whether the effort is fixed or follows the round trip time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The same at all times.
    Fixed(Effort),
    /// `s2_auto`: up to the first threshold no effort, up to the second `Fast`, and so on. A threshold of 0 leaves its
    /// effort out. Nanoseconds.
    ByRoundTrip(Vec<u64>),
}

const EFFORTS: [Effort; 4] = [Effort::None, Effort::Fast, Effort::Better, Effort::Best];

impl Pace {
    /// The effort for a connection with this round trip time.
    pub fn effort(&self, rtt_ns: u64) -> Effort {
        let thresholds = match self {
            Self::Fixed(effort) => return *effort,
            Self::ByRoundTrip(thresholds) => thresholds,
        };
        let within = thresholds.iter().position(|&threshold| threshold != 0 && rtt_ns <= threshold);
        // Slower than all of them: the effort behind the last where there is one without a threshold of its own.
        let beyond = if thresholds.len() >= 3 { 3 } else { thresholds.len().saturating_sub(1) };
        EFFORTS.get(within.unwrap_or(beyond)).copied().unwrap_or(Effort::Best)
    }

    /// Whether the round trip time matters.
    pub fn is_by_round_trip(&self) -> bool {
        matches!(self, Self::ByRoundTrip(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_usual_thresholds_give_every_effort() {
        let pace = Pace::ByRoundTrip(vec![10 * MS, 50 * MS, 100 * MS]);
        for (rtt_ms, effort) in
            [(0, Effort::None), (10, Effort::None), (11, Effort::Fast), (51, Effort::Better), (101, Effort::Best)]
        {
            assert_eq!(pace.effort(rtt_ms * MS), effort, "{rtt_ms} ms");
        }
    }

    #[test]
    fn a_threshold_of_zero_leaves_an_effort_out() {
        let pace = Pace::ByRoundTrip(vec![0, 50 * MS]);
        assert_eq!(pace.effort(1), Effort::Fast);
        assert_eq!(pace.effort(60 * MS), Effort::Fast, "the last one holds beyond it");
        assert_eq!(Pace::ByRoundTrip(vec![10 * MS]).effort(11 * MS), Effort::None);
    }

    #[test]
    fn names_go_both_ways() {
        for effort in EFFORTS {
            assert_eq!(Effort::parse(effort.name()), Some(effort));
        }
        assert_eq!(Effort::parse("s2_auto"), None);
    }
}
