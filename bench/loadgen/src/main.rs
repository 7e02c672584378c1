//! Load generator of the benchmark: drives one server and prints one JSON object.
//!
//! It must cost so little that the server is what limits a run. One thread publishes and receives; published bytes are
//! rendered once, received ones are counted by stride; nothing is allocated per message. What it deliberately does not do:
//! behave like a particular client library, reconnect, or forgive a lost message.

mod args;
mod burst;
mod epoll;
mod failure;
mod histogram;
mod link;
mod messages;
mod process;
mod report;
mod scenario;
mod tls;
mod wire;
mod ws;

use std::process::ExitCode;

use args::{Command, Load};
use failure::{Failure, Result};
use report::Report;
use scenario::{connections, flow, interest, request, sink};

fn main() -> ExitCode {
    match args::parse(std::env::args().skip(1)).and_then(execute) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(Failure::Usage(text)) => {
            eprintln!("natsfleet-loadgen: {text}");
            ExitCode::from(2)
        }
        Err(failure) => {
            let mut report = Report::new();
            report.text("error", &failure.to_string()).count("lost", failure.lost());
            println!("{}", report.to_json());
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<String> {
    let (sites, pids, load) = match command {
        Command::Help => return Ok(args::USAGE.to_string()),
        Command::Sink { port, size, lifetime } => {
            sink::run(port, size, lifetime)?;
            return Ok(String::new());
        }
        Command::Run { sites, pids, load } => (sites, pids, load),
    };
    let report = match load {
        Load::Flow(plan) => flow::run(&sites, &plan, &pids)?,
        Load::Request(plan) => request::run(&sites, &plan, &pids)?,
        Load::Idle { connections } => connections::idle(&sites.near, connections, &pids)?,
        Load::Storm { duration } => connections::storm(&sites.near, duration, &pids)?,
        Load::Interest { subscriptions } => interest::run(&sites, subscriptions, &pids)?,
    };
    Ok(format!("{}\n", report.to_json()))
}
