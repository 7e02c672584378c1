//! Connections as such: what an idle one costs in memory, and what opening and closing one costs in time.

use std::thread;
use std::time::{Duration, Instant};

use super::CpuMeter;
use crate::failure::Result;
use crate::link::{Link, Target};
use crate::process;
use crate::report::Report;

/// Time for the server to finish what an accepted connection sets off.
const SETTLE: Duration = Duration::from_millis(500);

/// Opens many connections, leaves them idle and reports the server's resident memory before and with them.
pub fn idle(target: &Target, connections: usize, pids: &[u32]) -> Result<Report> {
    process::raise_file_limit();
    // One connection first, so that what the server sets up once does not count.
    drop(Link::connect(target, "idle")?);
    thread::sleep(SETTLE);
    let before = process::resident_bytes(pids)?;
    let meter = CpuMeter::start(pids)?;
    let begin = Instant::now();
    let mut links = Vec::with_capacity(connections);
    for _ in 0..connections {
        links.push(Link::connect(target, "idle")?);
    }
    let elapsed = begin.elapsed();
    let mut report = Report::new();
    meter.finish(&mut report)?;
    thread::sleep(SETTLE);
    let after = process::resident_bytes(pids)?;
    report
        .number("seconds", elapsed.as_secs_f64())
        .count("messages", connections as u64)
        .count("rss_before", before)
        .count("rss_after", after)
        .number("bytes_per_connection", (after as f64 - before as f64) / connections as f64);
    Ok(report)
}

/// Opens a connection, says hello, waits for the PONG and closes, again and again.
pub fn storm(target: &Target, duration: Duration, pids: &[u32]) -> Result<Report> {
    drop(Link::connect(target, "storm")?);
    let meter = CpuMeter::start(pids)?;
    let begin = Instant::now();
    let mut count = 0;
    while begin.elapsed() < duration {
        drop(Link::connect(target, "storm")?);
        count += 1;
    }
    let elapsed = begin.elapsed();
    let mut report = Report::new();
    meter.finish(&mut report)?;
    report
        .number("seconds", elapsed.as_secs_f64())
        .count("messages", count)
        .number("per_second", count as f64 / elapsed.as_secs_f64());
    Ok(report)
}
