//! The scenarios: what each asks, of whom, and what its figures are compared with.

use std::time::Duration;

use clap::ValueEnum;

use super::endpoint::{CHUNKS_OF_1K, CHUNKS_OF_100};
use super::line::{self, EVENKEEL, FLOOR, HAPROXY, Line};
use super::load::Life;
use super::message::{self, Body};
use super::peers::{AccessLog, Peer, SetUp};

/// What is measured, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// GET, 100 B body, 64 connections
    Small,
    /// The same with 256 connections
    #[value(name = "small-256")]
    Small256,
    /// The same with 4 connections
    #[value(name = "small-4")]
    Small4,
    /// GET, 16 KiB body, 64 connections
    #[value(name = "16k")]
    Body16k,
    /// GET, 1 MiB body, 16 connections
    #[value(name = "1m")]
    Body1m,
    /// POST, 4 KiB body, 64 connections
    Post,
    /// One client connection per request, 64 at a time
    Churn,
    /// `small` with an access log to a file: JSON from evenkeel, text from the others
    Log,
    /// `post` with retries on status 503 configured, none happening: each request's copy is kept
    Retry,
    /// `small` with 1,000 routes to 1,000 clusters, beside one route
    Routes,
    /// GET, 64 KiB body in chunks of 100 bytes, 16 connections
    #[value(name = "chunked-100")]
    Chunked100,
    /// The same in chunks of 1 KiB
    #[value(name = "chunked-1k")]
    Chunked1k,
    /// 2,000 requests a second, open loop: what the proxy adds
    Latency,
    /// The same at 9,000 requests a second
    #[value(name = "latency-9k")]
    Latency9k,
    /// The same at 15,000 requests a second
    #[value(name = "latency-15k")]
    Latency15k,
    /// The same at 30,000 requests a second
    #[value(name = "latency-30k")]
    Latency30k,
    /// The worst of 2,000 small GETs, one after the other, beside one bulk transfer as fast as loopback goes
    Fairness,
    /// Nobody asks for anything: wake-ups and CPU time
    Rest,
    /// At rest, and for each idle client connection after one request
    Memory,
    /// `small` with 2 workers, beside 1; load and endpoint are on both cores either way
    Scale,
    /// System calls of a request of `small`
    Syscalls,
}

/// What kind of measurement a scenario is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// CPU time under closed-loop load.
    Cost(Shape),
    /// Waiting time under open-loop load, with so long between two requests.
    Latency(Duration),
    /// Waiting time beside bulk transfers.
    Fairness,
    /// Wake-ups without load.
    Rest,
    /// Resident memory.
    Memory,
    /// System calls under closed-loop load.
    Syscalls(Shape),
}

/// The load of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Client connections.
    pub(super) connections: usize,
    /// The method.
    pub(super) ask: Ask,
    /// Each response's body.
    pub(super) body: Body,
    /// How long a client connection lives.
    pub(super) life: Life,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Get,
    /// With a body of 4 KiB.
    Post,
}

impl Scenario {
    /// Its name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What it is, in words.
    pub(super) fn meaning(self) -> String {
        let value = self.to_possible_value();
        value
            .and_then(|value| value.get_help().map(ToString::to_string))
            .unwrap_or_default()
    }

    /// What is measured.
    pub(super) fn kind(self) -> Kind {
        let small = Shape {
            connections: 64,
            ask: Ask::Get,
            body: Body::Length(100),
            life: Life::KeptAlive,
        };
        let post = Shape {
            ask: Ask::Post,
            ..small
        };
        let chunked = |body: Body| Shape {
            connections: 16,
            body,
            ..small
        };
        Kind::Cost(match self {
            Self::Small | Self::Log | Self::Routes | Self::Scale => small,
            Self::Small256 => Shape {
                connections: 256,
                ..small
            },
            Self::Small4 => Shape {
                connections: 4,
                ..small
            },
            Self::Body16k => Shape {
                body: Body::Length(16 * 1024),
                ..small
            },
            Self::Body1m => Shape {
                connections: 16,
                body: Body::Length(1024 * 1024),
                ..small
            },
            Self::Post | Self::Retry => post,
            Self::Churn => Shape {
                life: Life::OneRequest,
                ..small
            },
            Self::Chunked100 => chunked(CHUNKS_OF_100),
            Self::Chunked1k => chunked(CHUNKS_OF_1K),
            Self::Latency => return Kind::Latency(Duration::from_micros(500)),
            Self::Latency9k => return Kind::Latency(Duration::from_nanos(1_000_000_000 / 9_000)),
            Self::Latency15k => return Kind::Latency(Duration::from_nanos(1_000_000_000 / 15_000)),
            Self::Latency30k => return Kind::Latency(Duration::from_nanos(1_000_000_000 / 30_000)),
            Self::Fairness => return Kind::Fairness,
            Self::Rest => return Kind::Rest,
            Self::Memory => return Kind::Memory,
            Self::Syscalls => return Kind::Syscalls(small),
        })
    }

    /// The unit of its main figure.
    pub(super) fn unit(self) -> &'static str {
        match self.kind() {
            Kind::Cost(shape) if shape.counts_bytes() => "CPU ms/GiB",
            Kind::Cost(_) => "CPU µs/request",
            Kind::Latency(_) => "µs added to p50",
            Kind::Fairness => "ms added to the worst",
            Kind::Rest => "wake-ups/s",
            Kind::Memory => "KiB/connection",
            Kind::Syscalls(_) => "calls/request",
        }
    }

    /// The line that the others are compared with.
    pub(super) fn base(self) -> &'static str {
        match self {
            Self::Routes | Self::Scale => EVENKEEL,
            Self::Latency | Self::Latency9k | Self::Latency15k | Self::Latency30k => FLOOR,
            Self::Fairness => line::EVENKEEL_DOWNLOAD,
            _ => HAPROXY,
        }
    }

    /// How the column of ratios is headed.
    pub(super) fn over(self) -> String {
        match self {
            Self::Scale => "× 1 worker".to_owned(),
            _ => format!("× {}", self.base()),
        }
    }

    /// How often it is measured, of so many rounds: what hardly varies is not measured as often.
    pub(super) fn rounds(self, rounds: usize) -> usize {
        match self.kind() {
            Kind::Cost(_) | Kind::Latency(_) | Kind::Fairness => rounds,
            Kind::Memory | Kind::Rest => rounds.min(2),
            Kind::Syscalls(_) => 1,
        }
    }

    /// Its lines, of these peers only.
    pub(super) fn lines(self, peers: &[Peer]) -> Vec<Line> {
        let mut lines: Vec<Line> = match self {
            Self::Routes => line::of_routes(),
            Self::Scale => line::of_scale(),
            Self::Fairness => line::of_fairness(),
            _ => {
                let entrants = self.entrants().iter();
                entrants.map(|peer| Line::plain(self.set_up(*peer))).collect()
            }
        };
        lines.retain(|line| line.set_up.is_none_or(|set_up| peers.contains(&set_up.peer)));
        if matches!(self.kind(), Kind::Latency(_)) {
            // First, since the others are told as what they add to it.
            lines.insert(0, Line::direct());
        }
        lines
    }

    fn entrants(self) -> &'static [Peer] {
        use Peer::{
            Envoy, Evenkeel, EvenkeelRelease, Floor, FloorRing, Haproxy, HaproxyFields, HaproxySplice, Nginx,
            Pingora,
        };
        match self {
            Self::Small => &[
                Evenkeel,
                EvenkeelRelease,
                Haproxy,
                HaproxyFields,
                Nginx,
                Envoy,
                Pingora,
                Floor,
                FloorRing,
            ],
            Self::Small256 | Self::Small4 | Self::Body16k => {
                &[Evenkeel, Haproxy, Nginx, Envoy, Pingora, Floor, FloorRing]
            }
            Self::Body1m => &[Evenkeel, Haproxy, HaproxySplice, Nginx, Envoy, Pingora, Floor],
            Self::Log => &[Evenkeel, Haproxy, Nginx, Envoy, Pingora],
            Self::Retry | Self::Rest => &[Evenkeel, Haproxy, Nginx, Envoy],
            Self::Latency9k | Self::Latency15k | Self::Latency30k => &[Evenkeel, Haproxy, Nginx, Floor],
            _ => &[Evenkeel, Haproxy, Nginx, Envoy, Pingora, Floor],
        }
    }

    fn set_up(self, peer: Peer) -> SetUp {
        SetUp {
            log: if self == Self::Log {
                AccessLog::Json
            } else {
                AccessLog::Off
            },
            retry: self == Self::Retry,
            clients_max: if self == Self::Memory {
                IDLE_CONNECTIONS + 500
            } else {
                1_000
            },
            ..SetUp::plain(peer)
        }
    }
}

impl Shape {
    /// Whether what counts is bytes, not requests.
    pub(super) fn counts_bytes(self) -> bool {
        self.body.length() >= 1024 * 1024
    }

    /// The requests that a proxy set up like this is asked.
    pub(super) fn requests(self, set_up: SetUp) -> Vec<Vec<u8>> {
        let path = |index: usize| match set_up.routes {
            0 => "/catalogue/item?id=4711".to_owned(),
            _ => route_path(index) + "/item?id=4711",
        };
        let one = |index: usize| match self.ask {
            Ask::Get => message::get(&path(index), self.life == Life::OneRequest),
            Ask::Post => message::post(&path(index), 4096),
        };
        (0..set_up.routes.max(1)).map(one).collect()
    }
}

/// The path under which the route of this index is found.
pub(super) fn route_path(index: usize) -> String {
    format!("/route/{index}")
}

/// Routes, and clusters, of the scenario of that name.
pub(super) const ROUTES: usize = 1_000;
/// Idle client connections: both ends of the rig's and of the floor's fit under 20,000 descriptors.
pub(super) const IDLE_CONNECTIONS: usize = 8_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_line_to_compare_with_and_one_of_ours() {
        let peers = Peer::value_variants();
        for scenario in Scenario::value_variants() {
            let lines = scenario.lines(peers);
            let has = |name: &str| lines.iter().any(|line| line.name == name);
            let ours = |line: &Line| line.set_up.is_some_and(|set_up| set_up.peer == Peer::Evenkeel);
            assert!(
                has(scenario.base()) && lines.iter().any(ours),
                "{}",
                scenario.name()
            );
            let mut bases = lines.iter().filter_map(|line| line.base);
            assert!(bases.all(has), "{}", scenario.name());
            assert!(!scenario.meaning().is_empty(), "{}", scenario.name());
        }
    }

    #[test]
    fn only_the_peers_that_are_asked_for_take_part() {
        let lines = Scenario::Latency.lines(&[Peer::Nginx]);
        let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["direct", "nginx"]);
    }
}
