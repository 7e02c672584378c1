//! The kinds of runs, one module each. Every run returns the report that is printed.

pub mod connections;
pub mod flow;
pub mod interest;
pub mod publisher;
pub mod reach;
pub mod request;
pub mod sink;
pub mod subscriber;
pub mod topology;

use std::time::Duration;

use crate::failure::Result;
use crate::process;
use crate::report::Report;

/// A run in which nothing moves for this long has failed.
pub const STALL_LIMIT: Duration = Duration::from_secs(10);

/// CPU time of server, generator and everybody else over the measured part of a run.
pub struct CpuMeter<'a> {
    pids: &'a [u32],
    server: f64,
    generator: f64,
    machine: f64,
}

impl<'a> CpuMeter<'a> {
    /// Begins to measure.
    pub fn start(pids: &'a [u32]) -> Result<Self> {
        Ok(CpuMeter {
            pids,
            server: process::cpu_seconds(pids)?,
            generator: process::own_cpu_seconds(),
            machine: process::machine_cpu_seconds()?,
        })
    }

    /// Writes what was used since into the report.
    pub fn finish(self, report: &mut Report) -> Result<()> {
        let server = process::cpu_seconds(self.pids)? - self.server;
        let generator = process::own_cpu_seconds() - self.generator;
        let machine = process::machine_cpu_seconds()? - self.machine;
        report
            .number("server_cpu_s", server)
            .number("generator_cpu_s", generator)
            .number("others_cpu_s", (machine - server - generator).max(0.0));
        Ok(())
    }
}
