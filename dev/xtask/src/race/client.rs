//! The lab's client: lanes that aim, send, and hold every answer against what they sent.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::{JoinSet, LocalSet};

use super::dice::Dice;
use super::flows::Sighting;
use super::lane::Lane;
use super::plan::{Method, Script};
use super::signals::Stop;
use super::team::Team;
use super::wire::SharedFlows;
use crate::Fallible;

/// Where clients find the proxy, inside its namespace.
pub(crate) const PROXY_PORT: u16 = 8080;

/// What a group of lanes does.
pub(crate) struct Group {
    /// What each lane does again and again.
    pub(crate) script: Script,
    /// What its requests ask of the backend (`X-Race-Act`).
    pub(crate) act: Option<String>,
    /// The path and the backend's address of each lane.
    pub(crate) lanes: Vec<(String, SocketAddrV4)>,
    /// The methods, each until it has had enough.
    pub(crate) methods: Vec<Method>,
    /// How many raced requests are enough for a method.
    pub(crate) enough: u64,
    /// The idle age at which the backend is believed to close, until the wire has seen it do so.
    pub(crate) idle: Duration,
    /// How long before and after the close requests are aimed to arrive.
    pub(crate) aim: (Duration, Duration),
    /// Whether answers carry what the lab's own backend puts in them.
    pub(crate) echoes: bool,
    /// The largest body sent.
    pub(crate) body_bytes_max: usize,
}

/// One request, its end, and what the wire saw of it.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    /// Its id.
    pub(crate) id: u64,
    /// The endpoint it was sent to.
    pub(crate) endpoint: SocketAddrV4,
    /// Its method.
    pub(crate) method: Method,
    /// Bytes of its body.
    pub(crate) body: usize,
    /// It was no mere preparation.
    pub(crate) raced: bool,
    /// Another had met before what ended the endpoint's connections.
    pub(crate) follows: bool,
    /// How long the client waited.
    pub(crate) took: Duration,
    /// How it ended for the client.
    pub(crate) outcome: Outcome,
    /// The lane's idle age at the backend when it was sent.
    pub(crate) idle: Option<Duration>,
    /// How many connections of its lane the backend had closed before.
    pub(crate) closes_before: u64,
    /// What the wire saw, one for each attempt; asked for at the end, as an answer can overtake a request.
    pub(crate) seen: Vec<Sighting>,
}

/// How a request ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// Answered, as it should be.
    Answered,
    /// Answered with a status that is no success.
    Status(u16),
    /// The connection ended without a whole answer.
    Closed,
    /// No answer within the client's patience.
    TimedOut,
    /// A success that does not say what it should.
    Wrong,
    /// What the backend had sent before the request could have arrived.
    Unasked,
}

/// The range of idle ages at which a group's backend closes: where its lanes aim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    /// Nine in ten closes come later.
    pub(crate) from: Duration,
    /// Nine in ten closes come earlier.
    pub(crate) to: Duration,
    /// How much longer than the wire's delay a FIN is on its way.
    pub(crate) late: Duration,
}

impl Timer {
    /// Whether a request sent at this idle age and a close of this timer may have crossed on the wire.
    pub(crate) fn is_in_window(&self, idle: Duration, delay: Duration) -> bool {
        idle + delay > self.from && idle < self.to + delay + self.late
    }

    /// The timer that these closes show, once there are enough of them to say.
    fn shown_by(mut closes: Vec<Duration>, late: Duration) -> Option<Self> {
        if closes.len() < CLOSES_TO_BELIEVE {
            return None;
        }
        closes.sort_unstable();
        Some(Self {
            from: closes[closes.len() / 10],
            to: closes[closes.len() * 9 / 10],
            late,
        })
    }
}

/// A group while it runs.
pub(crate) struct Running {
    /// What it does.
    pub(crate) group: Group,
    /// Where it aims now.
    pub(crate) timer: Cell<Timer>,
    /// Raced requests so far, by method.
    pub(crate) raced: RefCell<HashMap<Method, u64>>,
    /// All requests so far.
    pub(crate) trials: RefCell<Vec<Trial>>,
    /// What the wire saw.
    pub(crate) flows: SharedFlows,
    /// The wire's one-way delay.
    pub(crate) delay: Duration,
    endpoints: HashSet<SocketAddrV4>,
    until: Instant,
    stop: Stop,
}

impl Running {
    /// Whether the lanes shall end.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || Instant::now() >= self.until || self.wanted().is_empty()
    }

    /// The methods that have not had enough.
    pub(crate) fn wanted(&self) -> Vec<Method> {
        let raced = self.raced.borrow();
        let lacks = |method: &Method| raced.get(method).copied().unwrap_or(0) < self.group.enough;
        self.group.methods.iter().copied().filter(lacks).collect()
    }

    /// The raced requests that still count, of all that are asked for.
    pub(crate) fn progress(&self) -> u64 {
        let raced = self.raced.borrow();
        self.group
            .methods
            .iter()
            .map(|method| raced.get(method).copied().unwrap_or(0).min(self.group.enough))
            .sum()
    }

    fn calibrate(&self) {
        let mine: Vec<Duration> = self.flows.with(|flows| {
            let recent = flows.idle_closes().iter().rev();
            let mine = recent.filter(|(endpoint, _)| self.endpoints.contains(endpoint));
            mine.take(CLOSES_TO_CALIBRATE).map(|(_, idle)| *idle).collect()
        });
        if let Some(timer) = Timer::shown_by(mine, self.timer.get().late) {
            self.timer.set(timer);
        }
    }
}

/// What a group did.
pub(crate) struct Ran {
    /// All requests.
    pub(crate) trials: Vec<Trial>,
    /// The backend's timer as the wire saw it.
    pub(crate) timer: Timer,
}

/// What the lanes run under.
pub(crate) struct Conditions<'a> {
    /// What the wire sees.
    pub(crate) flows: SharedFlows,
    /// Its one-way delay.
    pub(crate) delay: Duration,
    /// The longest time.
    pub(crate) limit: Duration,
    /// Ends it early.
    pub(crate) stop: &'a Stop,
    /// Is told the raced requests so far, a few times a second.
    pub(crate) tell: &'a (dyn Fn(u64) + Sync),
}

/// Runs all groups at once on this thread until each has enough.
///
/// # Errors
/// When the runtime can not be made.
pub(crate) fn run(groups: Vec<Group>, conditions: &Conditions<'_>) -> Fallible<Vec<Ran>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let until = Instant::now() + conditions.limit;
    let running: Vec<Rc<Running>> = groups
        .into_iter()
        .map(|group| {
            let timer = Timer {
                from: group.idle,
                to: group.idle + TIMER_TICK,
                late: conditions.flows.with(|flows| flows.fin_delay()),
            };
            Rc::new(Running {
                timer: Cell::new(timer),
                raced: RefCell::default(),
                trials: RefCell::default(),
                flows: conditions.flows.clone(),
                delay: conditions.delay,
                endpoints: group.lanes.iter().map(|(_, endpoint)| *endpoint).collect(),
                until,
                stop: Arc::clone(conditions.stop),
                group,
            })
        })
        .collect();
    runtime.block_on(LocalSet::new().run_until(drive(&running, conditions.tell)));
    // What is still under way may tell of the last requests.
    std::thread::sleep(4 * conditions.delay);
    Ok(running
        .iter()
        .map(|group| {
            let mut trials = std::mem::take(&mut *group.trials.borrow_mut());
            conditions.flows.with(|flows| {
                trials
                    .iter_mut()
                    .for_each(|trial| trial.seen = flows.take(trial.id))
            });
            Ran {
                trials,
                timer: group.timer.get(),
            }
        })
        .collect())
}

async fn drive(running: &[Rc<Running>], tell: &(dyn Fn(u64) + Sync)) {
    let mut lanes = JoinSet::new();
    let mut seed = u64::from(std::process::id());
    for group in running {
        let mut dice = || {
            seed += 1;
            Dice::new(seed)
        };
        let all = (0..group.group.lanes.len()).map(|index| Lane::new(Rc::clone(group), index, dice()));
        let mut all: Vec<Lane> = all.collect();
        let Script::Team(ending) = group.group.script else {
            all.into_iter().for_each(|lane| _ = lanes.spawn_local(lane.run()));
            continue;
        };
        while let Some(endpoint) = all.last().map(Lane::endpoint) {
            let team = all.extract_if(.., |lane| lane.endpoint() == endpoint).collect();
            lanes.spawn_local(Team::new(Rc::clone(group), team, ending, dice()).run());
        }
    }
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            ended = lanes.join_next() => match ended {
                None => return,
                Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Some(_) => {}
            },
            _ = tick.tick() => {
                running.iter().for_each(|group| group.calibrate());
                tell(running.iter().map(|group| group.progress()).sum());
            }
        }
    }
}

/// Timers of backends fire up to this much late: most count in whole milliseconds.
const TIMER_TICK: Duration = Duration::from_millis(1);
const CLOSES_TO_BELIEVE: usize = 20;
const CLOSES_TO_CALIBRATE: usize = 2_000;
