//! `natsfleet-sim --seconds N [--seed S]`: fresh runs until the time is up, or one run again.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use natsfleet_sim::{simulate, Outcome, Size};

const USAGE: &str = "usage: natsfleet-sim [--seconds N] [--seed S] [--clients N] [--steps N]";

struct Wanted {
    seconds: u64,
    seed: Option<u64>,
    size: Size,
}

fn wanted(words: &[String]) -> Option<Wanted> {
    let mut wanted = Wanted { seconds: 10, seed: None, size: Size { clients: 12, steps: 400 } };
    for pair in words.chunks(2) {
        let value: u64 = pair.get(1)?.parse().ok()?;
        match pair.first()?.as_str() {
            "--seconds" => wanted.seconds = value,
            "--seed" => wanted.seed = Some(value),
            "--clients" => wanted.size.clients = value as usize,
            "--steps" => wanted.size.steps = value as usize,
            _ => return None,
        }
    }
    Some(wanted)
}

/// One run. A panic of the engine is told with its seed before it goes on.
fn run(seed: u64, size: Size) -> Result<Outcome, String> {
    let outcome = std::panic::catch_unwind(|| simulate(seed, size));
    match outcome {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(failure)) => Err(failure.to_string()),
        Err(_) => Err(format!("seed {seed}: panic")),
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(wanted) = wanted(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let first = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64 >> 10);
    let end = Instant::now() + Duration::from_secs(wanted.seconds);
    let (mut runs, mut sum) = (0u64, Outcome::default());
    loop {
        let seed = wanted.seed.unwrap_or(first.wrapping_add(runs));
        match run(seed, wanted.size) {
            Ok(outcome) => {
                sum.operations += outcome.operations;
                sum.deliveries += outcome.deliveries;
                sum.cut += outcome.cut;
                sum.connections += outcome.connections;
            }
            Err(text) => {
                let Size { clients, steps } = wanted.size;
                eprintln!("{text}\nagain with: natsfleet-sim --seed {seed} --clients {clients} --steps {steps}");
                return ExitCode::FAILURE;
            }
        }
        runs += 1;
        if wanted.seed.is_some() || Instant::now() >= end {
            println!("{runs} runs from seed {}: {sum:?}", wanted.seed.unwrap_or(first));
            return ExitCode::SUCCESS;
        }
    }
}
