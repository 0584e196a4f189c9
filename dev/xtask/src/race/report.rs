//! From trials, the wire's facts and the ledger to figures.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddrV4;
use std::time::Duration;

use serde::Serialize;

use super::bar::Bar;
use super::client::{Outcome, Ran, Trial};
use super::flows::{Closing, LaneFacts, Sighting};
use super::ledger::Ledger;
use super::plan::{Method, Script};
use crate::Verdict;

/// Everything that one call of the lab measured.
#[derive(Debug, Serialize)]
pub(crate) struct LabReport {
    /// The wire's one-way delay in milliseconds.
    delay_ms: u64,
    /// The idle timeout of the lab's own backend in milliseconds.
    idle_ms: u64,
    /// Lanes.
    lanes: u16,
    /// One entry for each proxy and way.
    pub(crate) runs: Vec<RunReport>,
    /// What was left out, and why.
    pub(crate) skipped: Vec<String>,
}

/// One proxy against one way.
#[derive(Debug, Serialize)]
pub(crate) struct RunReport {
    /// The proxy and its set-up.
    pub(crate) peer: String,
    /// The way, or the real backend.
    pub(crate) way: String,
    /// What the way is, in words.
    pub(crate) meaning: String,
    /// The wire's one-way delay in milliseconds.
    pub(crate) delay_ms: f64,
    /// How long it ran.
    pub(crate) seconds: f64,
    /// The idle ages between which four in five of the backend's closes came, in milliseconds.
    pub(crate) timer_ms: (f64, f64),
    /// All requests, preparations included.
    pub(crate) requests: u64,
    /// Connections opened to the backend.
    pub(crate) opened: u64,
    /// Connections that the backend closed.
    pub(crate) closes: u64,
    /// Connections opened for each that the backend closed, each lane's first left out.
    pub(crate) opened_per_close: Option<f64>,
    /// The most connections to one endpoint that were idle at once.
    pub(crate) most_idle: u64,
    /// The share of requests that reused a connection, each lane's first left out.
    pub(crate) reuse: f64,
    /// One entry for each method.
    pub(crate) methods: Vec<MethodReport>,
    /// Where it misses the bar it is held against.
    pub(crate) missed: Vec<String>,
}

/// One method of a run.
#[derive(Debug, Serialize)]
pub(crate) struct MethodReport {
    /// The method.
    pub(crate) method: Method,
    /// Raced requests.
    pub(crate) raced: u64,
    /// Those that were sent when, on a connection left idle, they would have crossed the close; all raced
    /// ones where nothing is aimed.
    pub(crate) in_window: u64,
    /// Those that did reach a connection that the backend had closed.
    pub(crate) met: u64,
    /// In-window requests that went out on a fresh connection instead.
    pub(crate) avoided: u64,
    /// Requests that were sent to the backend more than once.
    pub(crate) replayed: u64,
    /// Requests of idle-closing ways that the backend's kernel had received, unread, when the backend closed:
    /// no proxy can tell them from processed ones.
    pub(crate) unread: u64,
    /// What the client saw go wrong, by kind.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Those of them that were unread.
    pub(crate) unread_errors: u64,
    /// In-window requests after the backend had closed 50 connections of their endpoint.
    pub(crate) warm: u64,
    /// Errors after as many closes.
    pub(crate) warm_errors: u64,
    /// Requests that met a close, of an endpoint where three had met one before.
    pub(crate) later_met: u64,
    /// Errors of requests to such endpoints.
    pub(crate) later_errors: u64,
    /// Requests that met silence and are known to bear a repetition: idempotent, or without their head's end.
    pub(crate) repeatable: u64,
    /// Errors of these.
    pub(crate) repeatable_errors: u64,
    /// The longest wait for any of these, in milliseconds.
    pub(crate) repeatable_slowest_ms: f64,
    /// Requests that met a silence that another had met before.
    pub(crate) followers_met: u64,
    /// Given what the backend had sent before the request could have arrived; unread ones do not count.
    pub(crate) handed_on: u64,
    /// Applied more than once.
    pub(crate) duplicates: u64,
    /// Answered with success, and never applied.
    pub(crate) lost: u64,
    /// The median of undisturbed requests with at most 100 bytes of body on reused connections, in milliseconds.
    pub(crate) undisturbed_ms: Option<f64>,
    /// What a replay added to the median of unraced requests of its kind, in milliseconds.
    pub(crate) added_ms: Option<(f64, f64)>,
    /// The longest wait of any client, in milliseconds.
    pub(crate) slowest_ms: f64,
}

/// What a run is judged by.
pub(crate) struct Facts {
    /// What its lanes did.
    pub(crate) script: Script,
    /// The wire's one-way delay.
    pub(crate) delay: Duration,
    /// What the client saw.
    pub(crate) ran: Ran,
    /// What the backend applied.
    pub(crate) ledger: Ledger,
    /// What the wire saw of each lane.
    pub(crate) lanes: Vec<LaneFacts>,
}

impl LabReport {
    /// A report without runs yet.
    pub(crate) fn new(delay_ms: u64, idle_ms: u64, lanes: u16) -> Self {
        Self {
            delay_ms,
            idle_ms,
            lanes,
            runs: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Notes that something was left out.
    pub(crate) fn skip(&mut self, what: &str, why: &str) {
        eprintln!("skipped {what}: {why}");
        self.skipped.push(format!("{what}: {why}"));
    }

    /// Failed if any run misses its bar, or evenkeel did not run at all.
    pub(crate) fn verdict(&self) -> Verdict {
        let missed = self.runs.iter().any(|run| !run.missed.is_empty());
        let lacks_us = self.skipped.iter().any(|what| what.starts_with("evenkeel"));
        if missed || lacks_us {
            Verdict::Failed
        } else {
            Verdict::Passed
        }
    }
}

impl RunReport {
    /// The figures of a run.
    pub(crate) fn new(peer: &str, way: &str, meaning: &str, took: Duration, facts: Facts) -> Self {
        let lanes = facts.lanes.len() as u64;
        let (opened, closes) = facts.lanes.iter().fold((0, 0), |(opened, closes), lane| {
            (opened + lane.opened, closes + lane.closes)
        });
        let requests = facts.ran.trials.len() as u64;
        let again = opened.saturating_sub(lanes) as f64;
        let later = later(&facts.ran.trials);
        let mut by_method: BTreeMap<Method, Vec<&Trial>> = BTreeMap::new();
        for trial in &facts.ran.trials {
            by_method.entry(trial.method).or_default().push(trial);
        }
        let methods = by_method
            .into_iter()
            .filter(|(_, trials)| trials.iter().any(|trial| trial.raced))
            .map(|(method, trials)| MethodReport::new(method, &trials, &later, &facts))
            .collect();
        Self {
            peer: peer.to_owned(),
            way: way.to_owned(),
            meaning: meaning.to_owned(),
            delay_ms: millis(facts.delay),
            seconds: (took.as_secs_f64() * 10.0).round() / 10.0,
            timer_ms: (millis(facts.ran.timer.from), millis(facts.ran.timer.to)),
            requests,
            opened,
            closes,
            opened_per_close: (closes > 0).then(|| rounded(again / closes as f64)),
            most_idle: facts.lanes.iter().map(|lane| lane.most_idle).max().unwrap_or(0),
            reuse: 1.0 - again / (requests.saturating_sub(lanes).max(1)) as f64,
            methods,
            missed: Vec::new(),
        }
    }

    /// Notes where the run misses `bar`.
    pub(crate) fn held_against(mut self, bar: &Bar) -> Self {
        self.missed = bar.missed_by(&self);
        self
    }
}

impl MethodReport {
    fn new(method: Method, trials: &[&Trial], later: &HashSet<u64>, facts: &Facts) -> Self {
        let is_aimed = facts.script == Script::Aim;
        let in_window = |trial: &Trial| {
            trial.raced
                && (!is_aimed
                    || trial
                        .idle
                        .is_some_and(|idle| facts.ran.timer.is_in_window(idle, facts.delay)))
        };
        let count =
            |holds: &dyn Fn(&Trial) -> bool| trials.iter().filter(|trial| holds(trial)).count() as u64;
        let is_error = |trial: &Trial| trial.outcome != Outcome::Answered;
        let is_unread = |trial: &Trial| is_aimed && trial.seen.iter().any(|seen| seen.cut.is_some());
        let is_later = |trial: &Trial| later.contains(&trial.id);
        let is_warm = |trial: &Trial| trial.closes_before >= WARM_CLOSES;
        let applied = |trial: &Trial| facts.ledger.get(&trial.id).copied().unwrap_or(0);
        let mut errors = BTreeMap::new();
        for trial in trials.iter().filter(|trial| is_error(trial)) {
            *errors.entry(trial.outcome.name()).or_default() += 1;
        }
        Self {
            method,
            raced: count(&|trial| trial.raced),
            in_window: count(&in_window),
            met: count(&is_met),
            avoided: count(&|trial| {
                is_aimed && in_window(trial) && trial.seen.first().is_some_and(|seen| seen.fresh)
            }),
            replayed: count(&|trial| trial.seen.len() > 1),
            unread: count(&is_unread),
            errors,
            unread_errors: count(&|trial| is_error(trial) && is_unread(trial)),
            warm: count(&|trial| in_window(trial) && is_warm(trial)),
            warm_errors: count(&|trial| is_error(trial) && is_warm(trial)),
            later_met: count(&|trial| is_later(trial) && is_met(trial)),
            later_errors: count(&|trial| is_later(trial) && is_error(trial)),
            repeatable: count(&is_repeatable),
            repeatable_errors: count(&|trial| is_repeatable(trial) && is_error(trial)),
            repeatable_slowest_ms: slowest(trials.iter().filter(|trial| is_repeatable(trial))),
            followers_met: count(&|trial| trial.follows && is_met(trial)),
            handed_on: count(&|trial| trial.outcome == Outcome::Unasked && !is_unread(trial)),
            duplicates: count(&|trial| applied(trial) > 1),
            lost: count(&|trial| !is_error(trial) && applied(trial) == 0),
            undisturbed_ms: undisturbed_median(trials),
            added_ms: added(trials),
            slowest_ms: slowest(trials.iter()),
        }
    }

    /// What the client saw go wrong.
    pub(crate) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }
}

impl Outcome {
    fn name(self) -> String {
        match self {
            Self::Answered => "answered".into(),
            Self::Status(status) => status.to_string(),
            Self::Closed => "closed".into(),
            Self::TimedOut => "timed out".into(),
            Self::Wrong => "wrong answer".into(),
            Self::Unasked => "an answer that nobody asked for".into(),
        }
    }
}

/// Reached a connection that the backend had closed, or on which it had said what answers nothing.
fn is_met(trial: &Trial) -> bool {
    trial.seen.iter().any(|seen| seen.met.is_some())
}

/// Met silence, and may be sent again whatever came of it: it is idempotent, or its head had no end.
fn is_repeatable(trial: &Trial) -> bool {
    let silent = |seen: &Sighting| seen.met == Some(Closing::Silence);
    let mut silent = trial.seen.iter().filter(|seen| silent(seen)).peekable();
    silent.peek().is_some() && (trial.method.is_idempotent() || silent.all(|seen| !seen.whole))
}

fn slowest<'a>(trials: impl Iterator<Item = &'a &'a Trial>) -> f64 {
    trials.map(|trial| millis(trial.took)).fold(0.0, f64::max)
}

/// The requests to endpoints where [`FIRST`] had met a close before.
fn later(trials: &[Trial]) -> HashSet<u64> {
    let mut met: HashMap<SocketAddrV4, u64> = HashMap::new();
    let mut later = HashSet::new();
    for trial in trials {
        let met = met.entry(trial.endpoint).or_default();
        if *met >= FIRST {
            later.insert(trial.id);
        }
        *met += u64::from(is_met(trial));
    }
    later
}

/// Median and 99th percentile of what saved requests waited beyond the median of undisturbed ones with as
/// large a body.
fn added(trials: &[&Trial]) -> Option<(f64, f64)> {
    let mut undisturbed: HashMap<usize, Vec<Duration>> = HashMap::new();
    for trial in trials.iter().filter(|trial| is_undisturbed(trial)) {
        undisturbed.entry(trial.body).or_default().push(trial.took);
    }
    let medians: HashMap<usize, Duration> = undisturbed
        .into_iter()
        .filter_map(|(body, mut took)| Some((body, quantile(&mut took, 50)?)))
        .collect();
    let mut added: Vec<Duration> = trials
        .iter()
        .filter(|trial| trial.outcome == Outcome::Answered && trial.seen.len() > 1)
        .filter_map(|trial| Some(trial.took.saturating_sub(*medians.get(&trial.body)?)))
        .collect();
    Some((
        millis(quantile(&mut added, 50)?),
        millis(quantile(&mut added, 99)?),
    ))
}

fn undisturbed_median(trials: &[&Trial]) -> Option<f64> {
    let small = trials
        .iter()
        .filter(|trial| trial.body <= SMALL_BYTES && is_undisturbed(trial));
    quantile(&mut small.map(|trial| trial.took).collect::<Vec<_>>(), 50).map(millis)
}

/// Answered at once, on a connection that was used before and stayed open.
fn is_undisturbed(trial: &Trial) -> bool {
    trial.outcome == Outcome::Answered
        && matches!(
            trial.seen[..],
            [Sighting {
                fresh: false,
                met: None,
                cut: None,
                ..
            }]
        )
}

fn quantile(of: &mut [Duration], percent: usize) -> Option<Duration> {
    of.sort_unstable();
    of.get((of.len() * percent / 100).min(of.len().saturating_sub(1)))
        .copied()
}

fn millis(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1_000.0)
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// From here on an endpoint that resets idle connections counts as known.
const WARM_CLOSES: u64 = 50;
/// So many requests at each endpoint may teach.
const FIRST: u64 = 3;
const SMALL_BYTES: usize = 100;

#[cfg(test)]
mod tests;
