//! The bar: what evenkeel must not miss. Peers are measured, not judged.

use super::peers::Peer;
use super::plan::{Ending, Script, Way};
use super::report::{MethodReport, RunReport};

/// What a run is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    /// Errors of methods that must not be repeated.
    risky: ErrorBar,
    /// Errors of idempotent methods.
    idempotent: ErrorBar,
    /// Which requests may fail whose close leaves no proof.
    unread: Unread,
    /// Whether an idempotent request may be applied twice.
    spares_repetition: bool,
    /// Connections opened for each that the backend closes, at most.
    opened_per_close: Option<f64>,
    /// Idle connections to one endpoint at once, at most.
    most_idle: Option<u64>,
    /// The share of requests that reuse a connection, at least.
    reuse: Option<f64>,
    /// What met silence and bears a repetition is answered within a second and three round trips, and
    /// those that come after cost nothing.
    bears_silence: bool,
    /// Nobody waits longer than this, in milliseconds.
    slowest_ms: f64,
}

/// How many errors are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorBar {
    None,
    /// Fewer than one in ten thousand once the endpoint is known.
    RareOnceKnown,
    /// At most one in a thousand of the requests that met a close.
    OneInThousand,
    /// At most one in a thousand of the requests in the window, where nobody sees what met a close.
    OneInThousandInWindow,
    /// At most one of a hundred requests that met a close of an endpoint after its first three.
    RareAfterFirst,
    Any,
}

/// No proof can tell a request that was received and not read from one that was applied, nor one whose later bytes were
/// acknowledged before a busy proxy saw the FIN. So a POST among them fails, unless its head's end was still held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unread {
    /// All that were received, unread: the lab's own backends make few.
    Spared,
    /// Up to one in [`UNREAD_ONE_IN`] of the POSTs in the window, or [`UNREAD_FEW`] where these are few: what the
    /// risk model takes an unknown server's closes to leave without proof (docs/race.md).
    Rare,
}

/// See [`Unread::Rare`].
const UNREAD_ONE_IN: u64 = 100;
const UNREAD_FEW: u64 = 2;

/// The bar of a proxy of ours against a way.
pub(crate) fn of(peer: Peer, way: Way) -> Bar {
    let strict = Bar {
        risky: ErrorBar::None,
        idempotent: ErrorBar::None,
        unread: Unread::Spared,
        spares_repetition: false,
        opened_per_close: Some(1.2),
        most_idle: None,
        reuse: None,
        bears_silence: false,
        slowest_ms: HANGS_MS,
    };
    match way.script() {
        Script::Aim if way == Way::Reset => Bar {
            risky: if peer == Peer::EvenkeelOn {
                ErrorBar::RareOnceKnown
            } else {
                ErrorBar::Any
            },
            spares_repetition: true,
            ..strict
        },
        Script::Aim if way == Way::Stale => Bar {
            risky: ErrorBar::Any,
            spares_repetition: true,
            ..strict
        },
        Script::Aim if matches!(way, Way::LateFin | Way::Proxied) => Bar {
            risky: ErrorBar::RareAfterFirst,
            ..strict
        },
        Script::Aim if way == Way::UnixSocket => Bar {
            risky: ErrorBar::OneInThousandInWindow,
            ..strict
        },
        Script::Aim => strict,
        Script::Steady if way == Way::YoungReset => Bar {
            risky: ErrorBar::RareOnceKnown,
            spares_repetition: true,
            opened_per_close: Some(1.3),
            most_idle: Some(2),
            ..strict
        },
        Script::Team(ending) => Bar {
            risky: ErrorBar::Any,
            idempotent: ErrorBar::OneInThousand,
            spares_repetition: true,
            opened_per_close: None,
            bears_silence: ending != Ending::Reset,
            ..strict
        },
        Script::Steady => Bar {
            opened_per_close: None,
            reuse: Some(0.99),
            ..strict
        },
        // The owner of such a backend gets honest failures: what counts is that nothing is done twice.
        Script::Act | Script::Silence | Script::Middlebox => Bar {
            risky: ErrorBar::Any,
            idempotent: ErrorBar::Any,
            spares_repetition: true,
            opened_per_close: None,
            ..strict
        },
    }
}

/// The bar of evenkeel against a real backend at its defaults.
pub(crate) fn of_real() -> Bar {
    Bar {
        unread: Unread::Rare,
        opened_per_close: None,
        ..of(Peer::EvenkeelOn, Way::Close)
    }
}

impl Bar {
    /// In which respects `run` misses it.
    pub(crate) fn missed_by(&self, run: &RunReport) -> Vec<String> {
        let mut missed: Vec<String> = run
            .methods
            .iter()
            .flat_map(|method| self.missed_by_method(method))
            .collect();
        if let (Some(limit), Some(opened)) = (self.opened_per_close, run.opened_per_close)
            && opened > limit
        {
            missed.push(format!(
                "{opened} connections opened per close of the backend, over {limit}"
            ));
        }
        if let Some(limit) = self.most_idle.filter(|limit| run.most_idle > *limit) {
            missed.push(format!(
                "{} connections idle at once, over {limit}",
                run.most_idle
            ));
        }
        if self.bears_silence {
            let limit = SILENCE_MS + 6.0 * run.delay_ms;
            missed.extend(
                run.methods
                    .iter()
                    .filter_map(|method| missed_in_silence(method, limit)),
            );
        }
        if let Some(limit) = self.reuse.filter(|limit| run.reuse < *limit) {
            missed.push(format!(
                "{:.2} % reuse, under {} %",
                run.reuse * 100.0,
                limit * 100.0
            ));
        }
        missed
    }

    fn missed_by_method(&self, report: &MethodReport) -> Vec<String> {
        let name = report.method.name();
        let idempotent = report.method.is_idempotent();
        let mut missed = Vec::new();
        let errors = match if idempotent { self.idempotent } else { self.risky } {
            ErrorBar::None if !idempotent => report.error_count() - self.spared(report),
            ErrorBar::None => report.error_count(),
            ErrorBar::RareOnceKnown if report.warm_errors * 10_000 < report.warm.max(1) => 0,
            ErrorBar::RareOnceKnown => report.warm_errors,
            ErrorBar::OneInThousand if report.error_count() * 1_000 <= report.met => 0,
            ErrorBar::OneInThousandInWindow if report.error_count() * 1_000 <= report.in_window => 0,
            ErrorBar::OneInThousand | ErrorBar::OneInThousandInWindow => report.error_count(),
            ErrorBar::RareAfterFirst if report.later_errors * 100 <= report.later_met => 0,
            ErrorBar::RareAfterFirst => report.later_errors,
            ErrorBar::Any => 0,
        };
        if errors > 0 {
            missed.push(format!(
                "{name}: {errors} errors of {} requests in the window",
                report.in_window
            ));
        }
        if report.handed_on > 0 {
            missed.push(format!(
                "{name}: {} requests were given what the backend had sent before",
                report.handed_on
            ));
        }
        if report.duplicates > 0 && !(idempotent && self.spares_repetition) {
            missed.push(format!(
                "{name}: {} requests applied more than once",
                report.duplicates
            ));
        }
        if report.lost > 0 {
            missed.push(format!(
                "{name}: {} requests answered and never applied",
                report.lost
            ));
        }
        if report.slowest_ms > self.slowest_ms {
            missed.push(format!("{name}: a client waited {:.0} ms", report.slowest_ms));
        }
        missed
    }
}

impl Bar {
    /// How many failed requests that must not be repeated are no failure.
    fn spared(&self, report: &MethodReport) -> u64 {
        match self.unread {
            Unread::Spared => report.unread_errors,
            Unread::Rare => report
                .error_count()
                .min((report.in_window / UNREAD_ONE_IN).max(UNREAD_FEW)),
        }
    }
}

fn missed_in_silence(report: &MethodReport, limit_ms: f64) -> Option<String> {
    let misses =
        report.repeatable_errors > 0 || report.repeatable_slowest_ms > limit_ms || report.followers_met > 0;
    misses.then(|| {
        format!(
            "{}: of {} that met silence and bear a repetition {} failed and the slowest took {:.0} ms; \
             {} met a silence that was known",
            report.method.name(),
            report.repeatable,
            report.repeatable_errors,
            report.repeatable_slowest_ms,
            report.followers_met
        )
    })
}

/// Within this and three round trips what met silence is answered.
const SILENCE_MS: f64 = 1_000.0;
/// Beyond this a request hangs: the longest attempt timeout of the lab twice (an idempotent request's
/// attempt and its retry), and room for a slow machine.
const HANGS_MS: f64 = 6_000.0;
