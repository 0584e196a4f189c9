//! The command line. `--help` teaches by example.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::files::Files;

const EXAMPLES: &str = "\
Examples:
  evenkeel quickstart                          see the keep-alive race met and absorbed, in one process
  evenkeel quickstart --compare                the same, and the same client through a plain keep-alive pool
  evenkeel run --to http://127.0.0.1:3000      a gateway on 127.0.0.1:8080 before one backend
  evenkeel run --to :3000 --listen :80         the same on port 80 of every address
  evenkeel run -c /etc/evenkeel/               Gateway API resources from a folder, watched and reloaded
  evenkeel check gateway.yaml                  every mistake at once, with line, column and what would be right
  evenkeel explain EK0010                      what a mistake means, with an example
  evenkeel schema > evenkeel.schema.json       completion for our kinds in your editor

While it runs:
  curl 127.0.0.1:9901/clusters                 what was learned of each endpoint
  kill -HUP PID                                reload now; a bad file keeps the configuration in force
  kill PID                                     drain and end; once more ends at once";

/// A reverse proxy, API gateway and sidecar without the keep-alive race.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway, with one backend (--to) or with a configuration (-c).
    Run(RunArgs),
    /// Check a configuration and report every mistake at once.
    Check(CheckArgs),
    /// Explain a mistake or warning by its number, with an example that is wrong and one that is right.
    Explain(ExplainArgs),
    /// Print the JSON Schema of all kinds that are read, for editors.
    Schema,
    /// Show evenkeel at work: a demo backend that closes idle connections, the gateway, a demo client.
    Quickstart(QuickstartArgs),
    /// Print completions for a shell, to be sourced or put where the shell looks for them.
    Completions(CompletionsArgs),
    /// Print the manual page: evenkeel man | man -l -
    Man,
    /// Print the version.
    Version,
}

const RUN_EXAMPLES: &str = "\
Examples:
  evenkeel run --to http://127.0.0.1:3000
  evenkeel run --to :3000 --listen :8080 --access-log json
  evenkeel run -c gateway.yaml --admin 127.0.0.1:9902
  evenkeel run -c /etc/evenkeel/ --drain-timeout 60s --workers 4";

/// `evenkeel run`.
#[derive(Args, Debug)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// The backend to send everything to: http://HOST:PORT, HOST:PORT or :PORT.
    #[arg(
        long,
        value_name = "URL",
        conflicts_with = "config",
        required_unless_present = "config"
    )]
    pub(crate) to: Option<String>,
    /// Where to listen; `:PORT` is every address. Only with --to: a configuration names its listeners.
    #[arg(
        long,
        value_name = "ADDR",
        conflicts_with = "config",
        default_value = "127.0.0.1:8080"
    )]
    pub(crate) listen: Listen,
    /// Configuration: a file, or a folder whose *.yaml, *.yml and *.json are read in order of name.
    #[arg(short, long, value_name = "FILE|DIR")]
    pub(crate) config: Option<PathBuf>,
    /// Where Kubernetes Services of the configuration are, as web.shop:80=10.0.0.1:8080,10.0.0.2:8080; or a
    /// file with one such entry a line. May be given several times.
    #[arg(
        long,
        value_name = "SERVICE.NAMESPACE:PORT=HOST:PORT|FILE",
        requires = "config"
    )]
    pub(crate) backends: Vec<String>,
    /// Worker threads; 0 is one per core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) workers: usize,
    /// Where the admin listens, or `off`.
    #[arg(long, value_name = "ADDR|off", default_value = "127.0.0.1:9901")]
    pub(crate) admin: Admin,
    /// How long a drain waits for requests in flight.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub(crate) drain_timeout: Duration,
    /// File in which what was learned of endpoints is kept over restarts, or `off`. Without it `$STATE_DIRECTORY/learned`
    /// if systemd has set that (`StateDirectory=`), else `off`.
    #[arg(long, value_name = "FILE|off")]
    pub(crate) state_file: Option<PathBuf>,
    /// Memory that all unfinished request heads may take together, as 64Mi; past it, the oldest are answered with 408.
    #[arg(long, value_name = "BYTES", default_value = "64Mi", value_parser = bytes)]
    pub(crate) unfinished_heads_max: usize,
    /// Access log on standard output; without it, as the configuration says (text by default).
    #[arg(long, value_enum, value_name = "off|text|json", hide_possible_values = true)]
    pub(crate) access_log: Option<AccessLogChoice>,
    /// Operational log on standard error: off, error, warn, info, debug, trace, or directives such as
    /// `info,evenkeel_proxy=debug` (docs/admin.md has the parts).
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: String,
    /// The operational log's lines: for people, or one JSON object a line.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// What `--log-format` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What `--access-log` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccessLogChoice {
    /// No access log.
    Off,
    /// Envoy's default line.
    Text,
    /// One JSON object a line.
    Json,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  evenkeel check gateway.yaml
  kubectl get gateways,httproutes,services,endpointslices -o yaml | evenkeel check -
  evenkeel check manifests/ --backends backend.default:3000=127.0.0.1:3000
  evenkeel check gateway.yaml --deny-warnings -o json     for CI";

/// `evenkeel check`.
#[derive(Args, Debug)]
#[command(after_help = CHECK_EXAMPLES)]
pub(crate) struct CheckArgs {
    /// A file, a folder, or `-` for standard input.
    #[arg(
        value_name = "FILE|DIR|-",
        required_unless_present = "config",
        conflicts_with = "config"
    )]
    path: Option<PathBuf>,
    /// The same, as `run` takes it.
    #[arg(short, long, value_name = "FILE|DIR|-")]
    config: Option<PathBuf>,
    /// Where Kubernetes Services of the configuration are, as for `run`.
    #[arg(long, value_name = "SERVICE.NAMESPACE:PORT=HOST:PORT|FILE")]
    pub(crate) backends: Vec<String>,
    /// How to report.
    #[arg(short = 'o', long, alias = "output", value_enum, default_value = "text")]
    pub(crate) format: Format,
    /// Take warnings for mistakes: exit code 1 if there are any.
    #[arg(long)]
    pub(crate) deny_warnings: bool,
    /// List every listener, route and cluster of the configuration, however many there are.
    #[arg(long)]
    pub(crate) all: bool,
}

impl CheckArgs {
    /// What to check.
    pub(crate) fn files(&self) -> Files {
        let config = self.path.as_ref().or(self.config.as_ref());
        Files::new(config.cloned().unwrap_or_default(), self.backends.clone())
    }
}

/// `evenkeel explain`.
#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// The number of a mistake or warning, such as EK0010; without one, all of them are listed.
    #[arg(value_name = "CODE")]
    pub(crate) code: Option<String>,
}

/// `evenkeel completions`.
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// `evenkeel quickstart`.
#[derive(Args, Debug)]
pub(crate) struct QuickstartArgs {
    /// End by itself after this long, with a summary; without it, until Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub(crate) span: Option<Duration>,
    /// Run the same client a second time, through a plain keep-alive pool before an upstream of its own, and
    /// show its errors: what the race costs without evenkeel.
    #[arg(long)]
    pub(crate) compare: bool,
    /// How to report the summary.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
    /// Where the gateway listens; if taken, the next free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: Listen,
    /// Where the admin listens, or `off`; if taken, the next free port.
    #[arg(long, value_name = "ADDR|off", default_value = "127.0.0.1:9901")]
    pub(crate) admin: Admin,
}

/// For people or for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object on standard output.
    Json,
}

/// An address to listen on; `:PORT` is every IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen(pub(crate) SocketAddr);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no address: write IP:PORT (as 127.0.0.1:8080) or :PORT");
        match text.strip_prefix(':') {
            Some(port) => port
                .parse()
                .map(|port| Self((Ipv4Addr::UNSPECIFIED, port).into())),
            None => return text.parse().map(Self).map_err(|_| bad()),
        }
        .map_err(|_: std::num::ParseIntError| bad())
    }
}

/// Where the admin listens; `None` is `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admin(pub(crate) Option<SocketAddr>);

impl FromStr for Admin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        text.parse::<Listen>()
            .map(|listen| Self(Some(listen.0)))
            .map_err(|why| format!("{why}, or `off`"))
    }
}

/// A number of bytes, alone or in one unit: `2097152`, `64Mi`.
fn bytes(text: &str) -> Result<usize, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let shift = match unit {
        "" => 0,
        "Ki" => 10,
        "Mi" => 20,
        "Gi" => 30,
        _ => {
            return Err(format!(
                "`{text}` is no size: write a number and Ki, Mi or Gi, as 64Mi"
            ));
        }
    };
    let count = number
        .parse::<usize>()
        .ok()
        .and_then(|count| count.checked_mul(1 << shift));
    // Less would shed heads that come in two pieces.
    count
        .filter(|count| (1 << 20..=1 << 40).contains(count))
        .ok_or_else(|| format!("`{text}` is out of range: from 1Mi to 1024Gi"))
}

/// A span of time in one unit: `500ms`, `20s`, `5m`, `1h`.
fn time(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => {
            return Err(format!(
                "`{text}` is no time: write a number and ms, s, m or h, as 30s"
            ));
        }
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(millis))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is no time: write a whole number and its unit, as 30s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_port_alone_means_every_address() {
        assert_eq!(":80".parse(), Ok(Listen(SocketAddr::from(([0, 0, 0, 0], 80)))));
        assert_eq!(
            "[::1]:80".parse(),
            Ok(Listen("[::1]:80".parse().expect("an address")))
        );
        assert!(
            "localhost"
                .parse::<Listen>()
                .expect_err("no address")
                .contains("127.0.0.1:8080")
        );
    }

    #[test]
    fn times_carry_their_unit() {
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "1.5s", "-1s", "1d", "99999999999999999999s"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_carry_their_unit() {
        assert_eq!(bytes("64Mi"), Ok(64 << 20));
        assert_eq!(bytes("2097152"), Ok(2 << 20));
        for wrong in [
            "",
            "Mi",
            "64M",
            "64MiB",
            "-1Mi",
            "1Ki",
            "0",
            "99999999999999999999",
            "99999999Gi",
        ] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn run_takes_a_backend_or_a_configuration_and_not_both() {
        assert!(Cli::try_parse_from(["evenkeel", "run"]).is_err());
        assert!(Cli::try_parse_from(["evenkeel", "run", "--to", ":3000", "-c", "x.yaml"]).is_err());
        assert!(Cli::try_parse_from(["evenkeel", "run", "-c", "x.yaml", "--listen", ":80"]).is_err());
        assert!(Cli::try_parse_from(["evenkeel", "run", "-c", "x.yaml", "--admin", "off"]).is_ok());
    }
}
