//! The tables of `cargo xtask race-cost`, and its bar.

use std::fmt::Write as _;

use clap::ValueEnum;

use super::{Kind, METHODS, Ran, Sample, TRAFFIC, Wire, kind};

/// The tables, and in which respects evenkeel misses its bar.
pub(super) fn report(all: &[Ran], minutes: u64) -> (String, Vec<String>) {
    let (mut text, mut missed) = (String::new(), Vec::new());
    let kinds = (0..TRAFFIC.len() * METHODS.len()).map(|nth| kind(nth, 1));
    for kind in kinds {
        let _ = write!(
            text,
            "\n{kind}: p50 / p90 in ms by minute; from the second minute on:\n{:16}",
            ""
        );
        for minute in 1..=minutes {
            let _ = write!(text, "{:>15}", format!("minute {minute}"));
        }
        let columns = ["p50 / p90", "two steps", "opened", "failed"];
        let _ = writeln!(
            text,
            "  |{:>15}{:>11}{:>8}{:>8}",
            columns[0], columns[1], columns[2], columns[3]
        );
        for ran in all {
            let _ = write!(text, "  {:14}", ran.name);
            for minute in 0..minutes {
                let figures = Figures::of(ran, kind, Some(minute));
                let _ = write!(text, "{:>15}", figures.times());
            }
            let later = Figures::of(ran, kind, None);
            let share = format!("{:.1} %", later.two_steps * 100.0);
            let _ = writeln!(
                text,
                "  |{:>15}{share:>11}{:>8}{:>8}",
                later.times(),
                later.opened,
                later.failed
            );
        }
        if let [ours, theirs, ..] = all {
            let (ours, theirs) = (Figures::of(ours, kind, None), Figures::of(theirs, kind, None));
            missed.extend(
                ours.misses(&theirs)
                    .into_iter()
                    .map(|why| format!("{kind}: {why}")),
            );
        }
    }
    (text, missed)
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let traffic = TRAFFIC[self.traffic].to_possible_value();
        let traffic = traffic.as_ref().map_or("", |value| value.get_name());
        write!(f, "{} {traffic}", METHODS[self.method])
    }
}

/// What requests of one kind took; in one minute, or from the second one on.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    p50: f64,
    p90: f64,
    failed: usize,
    /// The share that was written in two steps, and the connections opened, both from the second minute on.
    two_steps: f64,
    opened: u64,
}

impl Figures {
    fn of(ran: &Ran, kind: Kind, minute: Option<u64>) -> Self {
        let counts = |sample: &&Sample| {
            let within = minute.map_or(sample.minute >= 1, |minute| sample.minute == minute);
            within && sample.kind == kind
        };
        let samples: Vec<&Sample> = ran.samples.iter().filter(counts).collect();
        let mut took: Vec<f64> = samples
            .iter()
            .filter_map(|sample| Some(sample.took?.as_secs_f64() * 1000.0))
            .collect();
        took.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or(0.0);
        let wire = ran.wire.iter().find(|(of, _)| *of == kind);
        let wire = wire.map_or_else(Wire::default, |(_, wire)| *wire);
        Self {
            p50: at(50),
            p90: at(90),
            failed: samples.len() - took.len(),
            two_steps: wire.two_steps as f64 / samples.len().max(1) as f64,
            opened: wire.opened,
        }
    }

    fn times(&self) -> String {
        format!("{:.1} / {:.1}", self.p50, self.p90)
    }

    /// In which respects these miss the bar that the other proxy's set.
    fn misses(&self, bar: &Self) -> Vec<String> {
        let mut missed = Vec::new();
        let mut hold = |what: &str, ours: f64, most: f64| {
            if ours > most {
                missed.push(format!("{what} {ours:.2}, at most {most:.2}"));
            }
        };
        hold("p50 in ms", self.p50, bar.p50 * 1.05);
        hold("p90 in ms", self.p90, bar.p90 * 1.10);
        hold("share in two steps", self.two_steps, 0.02);
        hold(
            "connections opened",
            self.opened as f64,
            (bar.opened as f64 * 1.05).ceil(),
        );
        hold("failed", self.failed as f64, bar.failed as f64);
        missed
    }
}

#[cfg(test)]
mod tests;
