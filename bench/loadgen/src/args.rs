//! The command line: a kind of run, then `--name value` pairs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::failure::{Failure, Result};
use crate::link::{Sites, Target, Transport};
use crate::scenario::flow::FlowPlan;
use crate::scenario::request::RequestPlan;
use crate::scenario::topology::Shape;
use crate::tls;

/// Shown on `--help` and with every complaint about the command line.
pub const USAGE: &str = "\
usage: natsfleet-loadgen KIND [--name value ...]

kinds
  flow      --shape pub|fan|pairs|queue|subjects [--publishers 1] [--subscribers 1] [--window BYTES]
  request   [--connections 1] [--in-flight 1]
  idle      [--connections 5000]
  storm
  interest  [--subscriptions 100000]    needs --far-addr
  sink      [--port 0] [--size 128] [--seconds 600]    a server without logic, for the generator's own ceiling

all but sink
  --addr HOST:PORT           the server, an IP address
  --far-addr HOST:PORT       where subscribers and responders are, of flow, request and interest (default: --addr)
  --server-pids PID,PID      processes whose CPU time and memory are reported
  --transport tcp|tls|ws     how to connect (default tcp); tls needs --ca FILE
  --size BYTES               payload (default 128)
  --seconds S --warmup S     measured time and time before it (default 1 and 0.2)

One JSON object is printed for each run. A run that loses messages prints its error in it and exits with 1.
";

const WINDOW_BYTES: u64 = 16 * 1024 * 1024;

/// What was asked for.
pub enum Command {
    /// Print [`USAGE`].
    Help,
    /// Serve as the measure of the generator itself.
    Sink {
        /// Port to listen on; 0 is any free one.
        port: u16,
        /// Payload bytes.
        size: usize,
        /// How long to serve.
        lifetime: Duration,
    },
    /// Run against a server.
    Run {
        /// The server, or two of a cluster.
        sites: Sites,
        /// Its processes.
        pids: Vec<u32>,
        /// What to do.
        load: Load,
    },
}

/// The kinds of load.
pub enum Load {
    /// Throughput.
    Flow(FlowPlan),
    /// Request and reply.
    Request(RequestPlan),
    /// Idle connections.
    Idle {
        /// How many.
        connections: usize,
    },
    /// Connections one after another.
    Storm {
        /// For how long.
        duration: Duration,
    },
    /// Subscriptions that appear on one server of a cluster, and go.
    Interest {
        /// How many.
        subscriptions: usize,
    },
}

/// Reads the command line without the program's name.
pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Command> {
    let mut arguments = arguments.peekable();
    let Some(kind) = arguments.next() else {
        return Err(usage("no kind of run given"));
    };
    if matches!(kind.as_str(), "-h" | "--help" | "help") {
        return Ok(Command::Help);
    }
    let mut options = Options::read(arguments)?;
    let command = match kind.as_str() {
        "sink" => Command::Sink {
            port: options.number("port", 0)?,
            size: options.number("size", 128)?,
            lifetime: options.seconds("seconds", 600.0)?,
        },
        _ => {
            let load = load(&kind, &mut options)?;
            Command::Run { sites: sites(&mut options, &load)?, pids: options.pids()?, load }
        }
    };
    options.finish()?;
    Ok(command)
}

fn load(kind: &str, options: &mut Options) -> Result<Load> {
    let load = match kind {
        "flow" => Load::Flow(FlowPlan {
            shape: options.shape()?,
            publishers: options.positive("publishers", 1)?,
            subscribers: options.positive("subscribers", 1)?,
            size: options.number("size", 128)?,
            window: options.number("window", WINDOW_BYTES)?,
            duration: options.seconds("seconds", 1.0)?,
            warmup: options.seconds("warmup", 0.2)?,
        }),
        "request" => Load::Request(RequestPlan {
            connections: options.positive("connections", 1)?,
            in_flight: options.positive("in-flight", 1)?,
            size: options.number("size", 128)?,
            duration: options.seconds("seconds", 1.0)?,
            warmup: options.seconds("warmup", 0.2)?,
        }),
        "idle" => Load::Idle { connections: options.positive("connections", 5000)? },
        "interest" => Load::Interest { subscriptions: options.positive("subscriptions", 100_000)? },
        "storm" => Load::Storm { duration: options.seconds("seconds", 1.0)? },
        other => return Err(usage(&format!("unknown kind {other:?}"))),
    };
    Ok(load)
}

fn sites(options: &mut Options, load: &Load) -> Result<Sites> {
    let address = options.address("addr")?.ok_or_else(|| usage("--addr is missing"))?;
    let far = match load {
        Load::Flow(_) | Load::Request(_) => options.address("far-addr")?.unwrap_or(address),
        Load::Interest { .. } => options.address("far-addr")?.ok_or_else(|| usage("--far-addr is missing"))?,
        Load::Idle { .. } | Load::Storm { .. } => address,
    };
    let transport = transport(options)?;
    Ok(Sites { near: Target { address, transport: transport.clone() }, far: Target { address: far, transport } })
}

fn transport(options: &mut Options) -> Result<Transport> {
    let ca = options.take("ca").map(PathBuf::from);
    match (options.take("transport").as_deref().unwrap_or("tcp"), ca) {
        ("tcp", None) => Ok(Transport::Tcp),
        ("ws", None) => Ok(Transport::Ws),
        ("tls", Some(ca)) => Ok(Transport::Tls(tls::client_config(&ca)?)),
        ("tls", None) => Err(usage("--transport tls needs --ca FILE")),
        ("tcp" | "ws", Some(_)) => Err(usage("--ca is for --transport tls")),
        (other, _) => Err(usage(&format!("--transport {other:?}: wanted tcp, tls or ws"))),
    }
}

struct Options {
    given: BTreeMap<String, String>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
        let mut given = BTreeMap::new();
        while let Some(argument) = arguments.next() {
            let name =
                argument.strip_prefix("--").ok_or_else(|| usage(&format!("unexpected argument {argument:?}")))?;
            let value = arguments.next().ok_or_else(|| usage(&format!("--{name} needs a value")))?;
            if given.insert(name.to_string(), value).is_some() {
                return Err(usage(&format!("--{name} given twice")));
            }
        }
        Ok(Options { given })
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.given.remove(name)
    }

    fn number<T: std::str::FromStr>(&mut self, name: &str, default: T) -> Result<T> {
        let Some(text) = self.take(name) else {
            return Ok(default);
        };
        text.parse().map_err(|_| usage(&format!("--{name} {text:?}: wanted a whole number in range")))
    }

    fn address(&mut self, name: &str) -> Result<Option<SocketAddr>> {
        let Some(text) = self.take(name) else {
            return Ok(None);
        };
        let wrong = |_| usage(&format!("--{name} {text:?}: wanted an IP address and a port"));
        text.parse().map(Some).map_err(wrong)
    }

    fn positive(&mut self, name: &str, default: usize) -> Result<usize> {
        match self.number(name, default)? {
            0 => Err(usage(&format!("--{name} 0: wanted at least 1"))),
            number => Ok(number),
        }
    }

    fn seconds(&mut self, name: &str, default: f64) -> Result<Duration> {
        let seconds = self.number(name, default)?;
        Duration::try_from_secs_f64(seconds).map_err(|_| usage(&format!("--{name} {seconds}: wanted seconds")))
    }

    fn shape(&mut self) -> Result<Shape> {
        match self.take("shape").as_deref() {
            Some("pub") => Ok(Shape::Pub),
            Some("fan") => Ok(Shape::Fan),
            Some("pairs") => Ok(Shape::Pairs),
            Some("queue") => Ok(Shape::Queue),
            Some("subjects") => Ok(Shape::Subjects),
            other => Err(usage(&format!(
                "--shape {:?}: wanted pub, fan, pairs, queue or subjects",
                other.unwrap_or_default()
            ))),
        }
    }

    fn pids(&mut self) -> Result<Vec<u32>> {
        let text = self.take("server-pids").unwrap_or_default();
        text.split(',')
            .filter(|pid| !pid.is_empty())
            .map(|pid| pid.parse().map_err(|_| usage(&format!("--server-pids {text:?}: wanted process ids"))))
            .collect()
    }

    fn finish(self) -> Result<()> {
        match self.given.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(usage(&format!("--{name} is not an option of this kind of run"))),
        }
    }
}

fn usage(text: &str) -> Failure {
    Failure::Usage(format!("{text}\n\n{USAGE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command> {
        parse(line.split_whitespace().map(str::to_string))
    }

    #[test]
    fn a_flow_has_defaults() {
        let Ok(Command::Run { load, pids, .. }) = parsed("flow --shape fan --addr 127.0.0.1:1 --server-pids 3,4")
        else {
            panic!("not a run");
        };
        let Load::Flow(plan) = load else { panic!("not a flow") };
        assert_eq!((plan.publishers, plan.subscribers, plan.size), (1, 1, 128));
        assert_eq!(plan.window, WINDOW_BYTES);
        assert_eq!(pids, [3, 4]);
    }

    #[test]
    fn both_ends_are_on_one_server_unless_two_are_given() {
        let ends = |line: &str| match parsed(line) {
            Ok(Command::Run { sites, .. }) => (sites.near.address.port(), sites.far.address.port()),
            _ => panic!("not a run: {line:?}"),
        };
        assert_eq!(ends("request --addr 127.0.0.1:1"), (1, 1));
        assert_eq!(ends("request --addr 127.0.0.1:1 --far-addr 127.0.0.1:2"), (1, 2));
        assert_eq!(ends("interest --addr 127.0.0.1:1 --far-addr 127.0.0.1:2"), (1, 2));
    }

    #[test]
    fn what_does_not_exist_is_named() {
        for (line, part) in [
            ("", "no kind"),
            ("dance --addr 127.0.0.1:1", "\"dance\""),
            ("flow --shape round --addr 127.0.0.1:1", "\"round\""),
            ("flow --shape fan", "--addr"),
            ("flow --shape fan --addr 127.0.0.1:1 --size x", "\"x\""),
            ("flow --shape fan --addr 127.0.0.1:1 --publishers 0", "at least 1"),
            ("flow --shape fan --addr 127.0.0.1:1 --seconds -1", "wanted seconds"),
            ("storm --addr 127.0.0.1:1 --window 3", "--window"),
            ("storm --addr 127.0.0.1:1 --far-addr 127.0.0.1:2", "--far-addr"),
            ("interest --addr 127.0.0.1:1", "--far-addr is missing"),
            ("flow --shape fan --addr 127.0.0.1:1 --far-addr 2", "\"2\""),
            ("storm --addr 127.0.0.1:1 --addr 127.0.0.1:2", "twice"),
            ("storm --addr 127.0.0.1:1 --transport tls", "--ca"),
            ("storm --addr localhost:1", "IP address"),
            ("storm --addr", "needs a value"),
        ] {
            let Err(failure) = parsed(line) else { panic!("{line:?} was accepted") };
            assert!(failure.to_string().contains(part), "{line:?}: {failure}");
        }
    }
}
