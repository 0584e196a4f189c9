//! The lines of a scenario's table: each is a proxy as it is set up, and the cores on which everybody runs.

use super::fairness::Bulk;
use super::load::Turns;
use super::peers::{Peer, SetUp};
use super::plan::ROUTES;
use super::proc::{LOAD_CORE, PROXY_CORE};

/// One line of a scenario's table.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Its name in the table.
    pub(super) name: String,
    /// The proxy; `None` is none at all.
    pub(super) set_up: Option<SetUp>,
    /// Who asks for which route.
    pub(super) turns: Turns,
    /// The cores that the proxy may use.
    pub(super) cores: &'static [usize],
    /// The cores that have a thread of the load and a thread of the endpoint each.
    pub(super) load_cores: &'static [usize],
    /// The line that it is compared with, where that is not the scenario's.
    pub(super) base: Option<&'static str>,
    /// The bulk transfer beside it.
    pub(super) bulk: Option<Bulk>,
}

impl Line {
    /// A proxy under its own name, on a core of its own.
    pub(super) fn plain(set_up: SetUp) -> Self {
        Self {
            name: set_up.peer.name(),
            set_up: Some(set_up),
            turns: Turns::Last,
            cores: &[PROXY_CORE],
            load_cores: &[LOAD_CORE],
            base: None,
            bulk: None,
        }
    }

    /// No proxy.
    pub(super) fn direct() -> Self {
        Self {
            name: "direct".to_owned(),
            set_up: None,
            turns: Turns::Last,
            cores: &[],
            load_cores: &[LOAD_CORE],
            base: None,
            bulk: None,
        }
    }

    /// Whether the proxy shares no core with load and endpoint.
    pub(super) fn is_apart(&self) -> bool {
        !self.cores.iter().any(|core| self.load_cores.contains(core))
    }
}

/// One route; 1,000 of which the last is asked for, so that only what is configured differs; 1,000 of which each
/// connection asks for one of its own; and 1,000 in turn, where nothing is ever warm: each request meets
/// another cluster, another connection.
pub(super) fn of_routes() -> Vec<Line> {
    let one = SetUp::plain(Peer::Evenkeel);
    let many = SetUp {
        routes: ROUTES,
        ..one
    };
    let line = |name: &str, set_up: SetUp, turns: Turns| Line {
        name: name.to_owned(),
        turns,
        ..Line::plain(set_up)
    };
    vec![
        line(EVENKEEL, one, Turns::Last),
        line(THOUSAND_ROUTES, many, Turns::Last),
        line("64 of 1,000 routes", many, Turns::Own),
        line("1,000 routes in turn", many, Turns::InTurn),
    ]
}

/// One worker and two, of us and of HAProxy, with half of load and endpoint on each core whether a worker is
/// there or not: so a second worker is all that differs. Then what was measured before that: one worker apart
/// from everything else, and a second one where everything else is.
pub(super) fn of_scale() -> Vec<Line> {
    let line = |peer: Peer, workers: usize, name: &str, base: &'static str| Line {
        name: name.to_owned(),
        cores: if workers == 1 { &[PROXY_CORE] } else { BOTH_CORES },
        load_cores: BOTH_CORES,
        base: Some(base),
        ..Line::plain(SetUp {
            workers,
            ..SetUp::plain(peer)
        })
    };
    let lopsided = |line: Line| Line {
        load_cores: &[LOAD_CORE],
        ..line
    };
    vec![
        line(Peer::Evenkeel, 1, EVENKEEL, EVENKEEL),
        line(Peer::Evenkeel, 2, TWO_WORKERS, EVENKEEL),
        line(Peer::Haproxy, 1, HAPROXY, HAPROXY),
        line(Peer::Haproxy, 2, "haproxy, 2 threads", HAPROXY),
        lopsided(line(Peer::Evenkeel, 1, ALONE, ALONE)),
        lopsided(line(
            Peer::Evenkeel,
            2,
            "2 workers, the second beside the whole load",
            ALONE,
        )),
    ]
}

/// Small requests beside each kind of bulk transfer, through us and the peers. nginx, as it is set up here, has no
/// tunnels, and would write an upload to disk first.
pub(super) fn of_fairness() -> Vec<Line> {
    let peers = [Peer::Evenkeel, Peer::Haproxy, Peer::Nginx];
    let all = peers
        .into_iter()
        .flat_map(|peer| Bulk::ALL.map(|bulk| (peer, bulk)));
    all.filter(|pair| !matches!(pair, (Peer::Nginx, Bulk::Tunnel | Bulk::Upload)))
        .map(|(peer, bulk)| Line {
            name: format!("{}, {}", peer.name(), bulk.name()),
            bulk: Some(bulk),
            ..Line::plain(SetUp::plain(peer))
        })
        .collect()
}

pub(super) const EVENKEEL_DOWNLOAD: &str = "evenkeel, download";
pub(super) const EVENKEEL: &str = "evenkeel";
pub(super) const EVENKEEL_RELEASE: &str = "evenkeel-release";
pub(super) const HAPROXY: &str = "haproxy";
pub(super) const NGINX: &str = "nginx";
pub(super) const FLOOR: &str = "floor";
pub(super) const THOUSAND_ROUTES: &str = "1,000 routes";
pub(super) const TWO_WORKERS: &str = "2 workers";
const ALONE: &str = "1 worker, alone on its core";
const BOTH_CORES: &[usize] = &[PROXY_CORE, LOAD_CORE];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scale_compares_differs_in_workers_and_their_cores_alone() {
        let lines = of_scale();
        for line in &lines {
            let base = lines.iter().find(|base| Some(base.name.as_str()) == line.base);
            let (set_up, of_base) = (line.set_up, base.and_then(|base| base.set_up));
            let with_one = set_up.map(|set_up| SetUp { workers: 1, ..set_up });
            assert_eq!(with_one, of_base, "{}", line.name);
            assert_eq!(
                base.map(|base| base.load_cores),
                Some(line.load_cores),
                "{}",
                line.name
            );
            let workers = set_up.map(|set_up| set_up.workers);
            assert_eq!(workers, Some(line.cores.len()), "{}", line.name);
        }
    }

    #[test]
    fn only_where_no_core_is_shared_is_a_line_apart() {
        let apart: Vec<String> = of_scale()
            .into_iter()
            .filter(Line::is_apart)
            .map(|line| line.name)
            .collect();
        assert_eq!(apart, [ALONE]);
        assert!(of_routes().iter().all(Line::is_apart));
    }
}
