//! The pinned runs, and fresh ones.

use std::time::{SystemTime, UNIX_EPOCH};

use natsfleet_sim::{simulate, Size};

const FRESH: u64 = 2000;
const SMALL: Size = Size { clients: 6, steps: 60 };

#[test]
fn pinned_seeds_hold() {
    let mut pinned = 0;
    for line in include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut numbers = line.split_whitespace().map_while(|word| word.parse::<u64>().ok());
        let (seed, clients, steps) = (numbers.next(), numbers.next(), numbers.next());
        let (Some(seed), Some(clients), Some(steps)) = (seed, clients, steps) else {
            panic!("wanted seed, clients and steps, found {line:?}");
        };
        let size = Size { clients: clients as usize, steps: steps as usize };
        if let Err(failure) = simulate(seed, size) {
            panic!("{failure}\nof the pinned run {line:?}");
        }
        pinned += 1;
    }
    assert!(pinned > 0);
}

#[test]
fn fresh_small_runs_hold() {
    let first = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64 >> 10);
    let mut deliveries = 0;
    for seed in first..first + FRESH {
        let outcome = std::panic::catch_unwind(|| simulate(seed, SMALL));
        let Size { clients, steps } = SMALL;
        match outcome {
            Ok(Ok(outcome)) => deliveries += outcome.deliveries,
            Ok(Err(failure)) => panic!("{failure}\npin it in seeds.txt as: {seed} {clients} {steps}"),
            Err(_) => panic!("a panic; pin it in seeds.txt as: {seed} {clients} {steps}"),
        }
    }
    assert!(deliveries > 10 * FRESH, "only {deliveries} messages were delivered");
}

#[test]
fn a_run_repeats_itself() {
    let figures = |seed| simulate(seed, SMALL).map(|o| (o.operations, o.deliveries, o.cut, o.connections)).ok();
    for seed in 0..20 {
        assert_eq!(figures(seed), figures(seed));
    }
}
