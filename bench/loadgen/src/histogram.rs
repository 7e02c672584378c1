//! Latency histogram with a bounded relative error and constant memory.
//!
//! Values are nanoseconds. Every power of two is divided into [`STEPS`] equal buckets, so a reported percentile is never
//! more than 1/[`STEPS`] away from the recorded value. Recording is a few instructions and never allocates.

const STEP_BITS: u32 = 7;
/// Buckets per power of two.
pub const STEPS: u64 = 1 << STEP_BITS;
const BUCKETS: usize = ((64 - STEP_BITS as usize) + 1) << STEP_BITS;

/// Counts of values, from which percentiles are read.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    largest: u64,
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Self {
        Histogram { counts: vec![0; BUCKETS], total: 0, largest: 0 }
    }

    /// Counts one value.
    pub fn record(&mut self, nanoseconds: u64) {
        self.counts[bucket_of(nanoseconds)] += 1;
        self.total += 1;
        self.largest = self.largest.max(nanoseconds);
    }

    /// Number of recorded values.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// The largest recorded value, exactly.
    pub fn max(&self) -> u64 {
        self.largest
    }

    /// The smallest value that at least `fraction` (0 to 1) of the recorded values do not exceed; 0 when empty.
    pub fn quantile(&self, fraction: f64) -> u64 {
        let wanted = ((self.total as f64 * fraction).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return top_of(bucket).min(self.largest);
            }
        }
        self.largest
    }
}

fn bucket_of(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let shift = 63 - value.leading_zeros() - STEP_BITS;
    (((u64::from(shift) + 1) << STEP_BITS) + ((value >> shift) - STEPS)) as usize
}

fn top_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = (bucket >> STEP_BITS) - 1;
    let low = (STEPS + (bucket & (STEPS - 1))) << shift;
    low + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_a_bucket_whose_top_is_close() {
        for value in (0..2_000)
            .chain((11..63).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 12_345 % (1 << bit)]))
            .chain([u64::MAX])
        {
            let top = top_of(bucket_of(value));
            assert!(top >= value, "{value} reported as {top}");
            assert!(top - value <= value / STEPS, "{value} reported as {top}");
        }
    }

    #[test]
    fn buckets_ascend_without_gaps() {
        let mut previous = 0;
        for value in 0..100_000u64 {
            let bucket = bucket_of(value);
            assert!(bucket == previous || bucket == previous + 1);
            previous = bucket;
        }
    }

    #[test]
    fn quantiles_of_a_uniform_spread() {
        let mut histogram = Histogram::new();
        for value in 1..=1_000 {
            histogram.record(value * 1_000);
        }
        assert_eq!(histogram.len(), 1_000);
        assert_eq!(histogram.max(), 1_000_000);
        let p50 = histogram.quantile(0.5);
        assert!((500_000..=504_000).contains(&p50), "{p50}");
        let p99 = histogram.quantile(0.99);
        assert!((990_000..=1_000_000).contains(&p99), "{p99}");
        assert_eq!(histogram.quantile(1.0), 1_000_000);
    }

    #[test]
    fn an_empty_histogram_reports_zero() {
        assert_eq!(Histogram::new().quantile(0.99), 0);
    }
}
