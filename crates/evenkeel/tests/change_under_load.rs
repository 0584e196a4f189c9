//! Configuration changes under load, and a drain at the end: no request fails, and each answer is
//! what the old or the new configuration says. `cargo xtask change` runs this for longer.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use policy::time::Dice;

use crate::harness::{Gateway, Peer, Upstream, free_port, reply, yaml};

/// Upstreams; each answers with its own number.
const UPSTREAMS: usize = 4;
/// Paths `/0` … that a route may exist for.
const PATHS: usize = 6;
const LANES: u64 = 8;
/// The log line that says a configuration is in force is written by one thread, and the workers
/// take it up on theirs; an answer this much later may still be under the old one.
const TAKE_UP: Duration = Duration::from_millis(200);

/// Routes that nobody asks for, before those that are asked for: what a large configuration costs.
fn other_routes(count: u64) -> String {
    let route = |number| {
        let rules = format!(
            "  - matches: [{{path: {{type: PathPrefix, value: /other/{number}}}}}]\n    backendRefs: [{}]\n",
            yaml::weighted("b0", 1)
        );
        yaml::route_for(
            &format!("other{number}"),
            &format!("[other{number}.test]"),
            &rules,
        )
    };
    (0..count).map(route).collect()
}

/// One route's backends: upstream and weight.
type Backends = Vec<(usize, u32)>;

/// A configuration: which routes there are, and the endpoints of each Backend.
#[derive(Clone, Debug)]
struct Setup {
    routes: Vec<Option<Backends>>,
    endpoints: Vec<BTreeSet<usize>>,
}

impl Setup {
    fn first() -> Self {
        Self {
            routes: (0..PATHS).map(|path| Some(vec![(path % UPSTREAMS, 1)])).collect(),
            endpoints: (0..UPSTREAMS).map(|backend| BTreeSet::from([backend])).collect(),
        }
    }

    /// One random edit: a route added, removed, moved or weighed anew, or endpoints swapped.
    fn edited(&self, dice: &mut Dice) -> Self {
        let mut next = self.clone();
        let one = |dice: &mut Dice, of: usize| dice.below(of as u64) as usize;
        let path = one(dice, PATHS);
        match dice.below(5) {
            0 => next.routes[path] = Some(vec![(one(dice, UPSTREAMS), 1)]),
            1 => next.routes[path] = None,
            2 => next.routes[path] = Some(vec![(one(dice, UPSTREAMS), 3), (one(dice, UPSTREAMS), 1)]),
            3 => {
                let (left, right) = (one(dice, UPSTREAMS), one(dice, UPSTREAMS));
                next.endpoints.swap(left, right);
            }
            _ => {
                let (backend, upstream) = (one(dice, UPSTREAMS), one(dice, UPSTREAMS));
                next.endpoints[backend] = BTreeSet::from([upstream, one(dice, UPSTREAMS)]);
            }
        }
        next
    }

    /// What `path` may be answered with: numbers of upstreams, or 404.
    fn allows(&self, path: usize, told: &Told) -> bool {
        match (&self.routes[path], told) {
            (None, Told::NoRoute) => true,
            (Some(backends), Told::By(upstream)) => backends
                .iter()
                .any(|(backend, _)| self.endpoints[*backend].contains(upstream)),
            _ => false,
        }
    }

    fn yaml(&self, port: u16, upstreams: &[SocketAddr], others: &str) -> String {
        let routes = self.routes.iter().enumerate().filter_map(|(path, backends)| {
            let references: Vec<String> = backends
                .as_ref()?
                .iter()
                .map(|(backend, weight)| yaml::weighted(&format!("b{backend}"), *weight))
                .collect();
            let rules = format!(
                "  - matches: [{{path: {{type: PathPrefix, value: /{path}}}}}]\n    backendRefs: [{}]\n",
                references.join(", ")
            );
            Some(yaml::route(&format!("r{path}"), &rules))
        });
        let backends = self.endpoints.iter().enumerate().map(|(backend, members)| {
            let addresses: Vec<SocketAddr> = members.iter().map(|upstream| upstreams[*upstream]).collect();
            yaml::backend(&format!("b{backend}"), &addresses)
        });
        yaml::gateway(port) + others + &routes.collect::<String>() + &backends.collect::<String>()
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    By(usize),
    NoRoute,
    Failed(String),
}

/// One request and what became of it.
#[derive(Debug)]
struct Asked {
    path: usize,
    from: Instant,
    until: Instant,
    told: Told,
}

/// One lane of load: asks until the gateway closes down.
fn lane(number: u64, gateway: SocketAddr, draining: &AtomicBool) -> Vec<Asked> {
    let mut dice = Dice::seeded(number);
    let mut asked = Vec::new();
    let mut client: Option<Peer> = None;
    loop {
        let mut peer = match client.take() {
            Some(peer) => peer,
            None => match std::net::TcpStream::connect(gateway) {
                Ok(stream) => Peer::over(stream),
                Err(_) if draining.load(Ordering::SeqCst) => return asked,
                Err(why) => panic!("refused before the drain: {why}"),
            },
        };
        let path = dice.below(PATHS as u64) as usize;
        let request = match dice.below(3) {
            0 => format!("POST /{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"),
            _ => format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n"),
        };
        let from = Instant::now();
        let sent = peer.try_send(request);
        let head = if sent { peer.try_response_to("GET") } else { None };
        let told = match &head {
            None => Told::Failed("no answer".to_owned()),
            Some(head) if head.status() == 404 => Told::NoRoute,
            Some(head) if head.status() == 200 && head.complete => {
                Told::By(head.text().parse().expect("a number"))
            }
            Some(head) => Told::Failed(format!("{} {}", head.line, head.text())),
        };
        asked.push(Asked {
            path,
            from,
            until: Instant::now(),
            told,
        });
        client = head.filter(|head| !head.connection_says("close")).map(|_| peer);
        std::thread::sleep(dice.up_to(Duration::from_millis(3)));
    }
}

/// A configuration and the time in which it may have been in force.
struct Reign {
    setup: Setup,
    from: Instant,
    until: Option<Instant>,
}

#[test]
fn no_request_fails_or_goes_astray_while_the_configuration_changes() {
    let span = millis_from_environment("EVENKEEL_CHANGE_FOR_MS", 5000);
    let every = millis_from_environment("EVENKEEL_CHANGE_EVERY_MS", 250);
    let others = other_routes(number_from_environment("EVENKEEL_CHANGE_ROUTES", 0));
    let upstreams: Vec<Upstream> = (0..UPSTREAMS).map(numbered).collect();
    let addresses: Vec<SocketAddr> = upstreams.iter().map(|upstream| upstream.address).collect();
    let port = free_port();
    let mut dice = Dice::seeded(u64::from(std::process::id()));
    let mut gateway = Gateway::configured_with(
        &Setup::first().yaml(port, &addresses, &others),
        &["--access-log", "off"],
    );
    let draining = Arc::new(AtomicBool::new(false));
    let lanes: Vec<_> = (0..LANES)
        .map(|number| {
            let (address, draining) = (gateway.address, Arc::clone(&draining));
            std::thread::spawn(move || lane(number, address, &draining))
        })
        .collect();

    let begin = Instant::now();
    let mut reigns = vec![Reign {
        setup: Setup::first(),
        from: begin,
        until: None,
    }];
    let (mut edits, mut broken) = (0, 0);
    let mut reloads: Vec<(Instant, Instant)> = Vec::new();
    while begin.elapsed() < span {
        std::thread::sleep(every);
        let current = reigns.last().expect("the first").setup.clone();
        if dice.below(6) == 0 {
            let text = current
                .yaml(port, &addresses, &others)
                .replacen("backendRefs", "backendReff", 1);
            let verdict = gateway.reconfigure(&format!("# broken {broken}\n{text}\nkind: [\n"));
            assert!(verdict.contains("configuration rejected"), "{verdict}");
            broken += 1;
        } else {
            let setup = current.edited(&mut dice);
            let from = Instant::now();
            // The number makes each text a new one, so that each is noticed and answered for.
            let verdict = gateway.reconfigure(&format!(
                "# edit {edits}\n{}",
                setup.yaml(port, &addresses, &others)
            ));
            assert!(verdict.contains("configuration loaded"), "{verdict}");
            reloads.push((from, Instant::now()));
            reigns.last_mut().expect("the first").until = Some(Instant::now() + TAKE_UP);
            reigns.push(Reign {
                setup,
                from,
                until: None,
            });
            edits += 1;
        }
    }
    draining.store(true, Ordering::SeqCst);
    gateway.signal(Signal::SIGTERM);
    let asked: Vec<Asked> = lanes
        .into_iter()
        .flat_map(|lane| lane.join().expect("a lane"))
        .collect();
    assert_eq!(gateway.exit().code(), Some(0));

    let failed: Vec<&Asked> = asked
        .iter()
        .filter(|asked| matches!(asked.told, Told::Failed(_)))
        .collect();
    let astray: Vec<&Asked> = asked
        .iter()
        .filter(|asked| !matches!(asked.told, Told::Failed(_)) && !is_said(&reigns, asked))
        .collect();
    println!(
        "{{\"requests\": {}, \"edits\": {edits}, \"broken\": {broken}, \"failed\": {}, \"astray\": {}, {}}}",
        asked.len(),
        failed.len(),
        astray.len(),
        times(&asked, &reloads)
    );
    assert!(asked.len() > 500, "{} requests are no load", asked.len());
    assert!(
        failed.is_empty(),
        "{} of {} failed: {:#?}",
        failed.len(),
        asked.len(),
        failed.first()
    );
    assert!(
        astray.is_empty(),
        "{} of {} went astray: {:#?}",
        astray.len(),
        asked.len(),
        astray.first()
    );
}

/// How long an edit took from before it was written until it was in force, and what requests took meanwhile
/// and otherwise: least, median, p99 and most, in milliseconds.
fn times(asked: &[Asked], reloads: &[(Instant, Instant)]) -> String {
    let quantiles = |mut spans: Vec<Duration>| {
        spans.sort_unstable();
        let at = |share: f64| spans[((spans.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
        match spans.len() {
            0 => "null".to_owned(),
            _ => format!(
                "[{:.1}, {:.1}, {:.1}, {:.1}]",
                at(0.0),
                at(0.5),
                at(0.99),
                at(1.0)
            ),
        }
    };
    let meanwhile = |asked: &Asked| {
        let touches = |(from, until): &(Instant, Instant)| asked.from <= *until && *from <= asked.until;
        reloads.iter().any(touches)
    };
    let took = |during: bool| {
        let those = asked.iter().filter(|asked| meanwhile(asked) == during);
        quantiles(those.map(|asked| asked.until - asked.from).collect())
    };
    format!(
        "\"reload_ms\": {}, \"request_ms_meanwhile\": {}, \"request_ms_otherwise\": {}",
        quantiles(reloads.iter().map(|(from, until)| *until - *from).collect()),
        took(true),
        took(false)
    )
}

/// Whether a configuration that may have been in force while it was asked says what was told.
fn is_said(reigns: &[Reign], asked: &Asked) -> bool {
    reigns
        .iter()
        .filter(|reign| reign.from <= asked.until && reign.until.is_none_or(|until| asked.from <= until))
        .any(|reign| reign.setup.allows(asked.path, &asked.told))
}

fn numbered(number: usize) -> Upstream {
    let answer = reply(&number.to_string());
    Upstream::scripted(
        move |_, mut peer| {
            while peer.request().is_some() && peer.try_send(&answer) {}
        },
    )
}

fn millis_from_environment(name: &str, or_millis: u64) -> Duration {
    Duration::from_millis(number_from_environment(name, or_millis))
}

fn number_from_environment(name: &str, or: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(or)
}
