//! Interest between servers: many subscriptions appear on one, and how soon another one knows; then they all go at once.
//!
//! Whether a server knows is asked as a client can: a request on a subject is answered with "no responders" when nobody in
//! the cluster wants it. Asked are samples, one after the other; the last subscription made is among them, and when all
//! samples are right they are asked again, so that an order in which news travels is not taken for granted.

use std::thread;
use std::time::{Duration, Instant};

use super::reach::{self, Exchange};
use super::{CpuMeter, STALL_LIMIT};
use crate::burst::{number_width, numbered};
use crate::failure::{Failure, Result};
use crate::link::{Link, Sites};
use crate::report::Report;
use crate::wire;

const PREFIX: &str = "bench.interest.";
const SAMPLES: usize = 64;
/// Between two questions that are not answered as hoped.
const PAUSE: Duration = Duration::from_millis(1);

/// Makes `count` subscriptions on the far server, waits until the near one knows, closes their connection, and waits again.
pub fn run(sites: &Sites, count: usize, pids: &[u32]) -> Result<Report> {
    reach::wait_until_heard(&sites.near, &sites.far)?;
    let mut asking = Exchange::open(&sites.near)?;
    let mut owner = Link::connect(&sites.far, "subscriber")?;
    let width = number_width(count);
    let subject = |number: usize| numbered(PREFIX, number, width);
    let lines: String = (0..count).map(|number| wire::subscribe(&subject(number), None, number + 1)).collect();
    let samples: Vec<String> =
        (0..SAMPLES.min(count)).map(|at| subject(count - 1 - at * count / SAMPLES.min(count))).collect();

    let meter = CpuMeter::start(pids)?;
    let begin = Instant::now();
    owner.send_all(lines.as_bytes())?;
    let questions = wait_until(&mut asking, &samples, true)?;
    let appeared = begin.elapsed();
    let begin = Instant::now();
    drop(owner);
    let questions = questions + wait_until(&mut asking, &samples, false)?;
    let vanished = begin.elapsed();

    let mut report = Report::new();
    meter.finish(&mut report)?;
    let seconds = (appeared + vanished).as_secs_f64();
    report
        .number("seconds", seconds)
        .count("messages", 2 * count as u64)
        .number("per_second", 2.0 * count as f64 / seconds)
        .number("appear_ms", appeared.as_secs_f64() * 1e3)
        .number("vanish_ms", vanished.as_secs_f64() * 1e3)
        .number("settle_ms", seconds * 1e3)
        .count("questions", questions)
        .count("lost", 0);
    Ok(report)
}

/// Asks until all samples are wanted by somebody, or none is. Returns how many questions that took.
fn wait_until(asking: &mut Exchange, samples: &[String], wanted: bool) -> Result<u64> {
    let begin = Instant::now();
    let mut questions = 0;
    for subject in samples.iter().chain(samples) {
        loop {
            questions += 1;
            if asking.has_responders(subject)? == wanted {
                break;
            }
            if begin.elapsed() > STALL_LIMIT * 3 {
                let state = if wanted { "unknown" } else { "still wanted" };
                return Err(Failure::Protocol(format!("{subject} is {state} after {:?}", begin.elapsed())));
            }
            thread::sleep(PAUSE);
        }
    }
    Ok(questions)
}
