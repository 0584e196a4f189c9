//! What evenkeel is held to, and how it stands.

use serde::Serialize;

use super::line::{EVENKEEL, EVENKEEL_RELEASE, FLOOR, HAPROXY, NGINX, THOUSAND_ROUTES, TWO_WORKERS};
use super::plan::Scenario;
use super::report::{Measured, ScenarioReport};

/// How we stand at one bar.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    /// The scenario's name.
    pub(super) scenario: String,
    /// What is held against it.
    pub(super) what: String,
    /// What it was; `None` if it was not measured.
    pub(super) value: Option<f64>,
    /// The most that it may be.
    pub(super) limit: f64,
    /// What it would better be.
    pub(super) stretch: Option<f64>,
    /// So.
    pub(super) standing: Standing,
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Standing {
    /// At or below the limit.
    Held,
    /// Even below the stretch.
    Stretched,
    /// Above the limit.
    Missed,
    /// Not measured this time.
    Unmeasured,
}

struct Bar {
    scenario: Scenario,
    value: Value,
    limit: f64,
    stretch: Option<f64>,
}

/// What is compared with the limit.
enum Value {
    /// The median ratio of one line to another.
    Ratio(&'static str, &'static str),
    /// The median ratio of our p50, as clients see it, to that of the better one of HAProxy and nginx.
    BestP50,
    /// Milliseconds that a bulk transfer adds to the worst small request.
    AddedToWorst(&'static str),
    /// Wake-ups a second.
    Wakeups,
    /// KiB of an idle client connection.
    IdleKib,
    /// MiB at rest.
    RestMib,
}

/// All bars, in the order of the scenarios that were measured.
pub(super) fn checks(reports: &[ScenarioReport]) -> Vec<Check> {
    let measured = reports.iter().flat_map(|report| {
        BARS.iter()
            .filter(|bar| bar.scenario == report.scenario && bar.is_told(report))
            .map(move |bar| bar.check(report))
    });
    measured.collect()
}

impl Bar {
    /// The plain build takes part only where it is asked for; elsewhere its bar would say nothing.
    fn is_told(&self, report: &ScenarioReport) -> bool {
        match self.value {
            Value::Ratio(_, EVENKEEL_RELEASE) => report.line(EVENKEEL_RELEASE).is_some(),
            _ => true,
        }
    }

    fn check(&self, report: &ScenarioReport) -> Check {
        let ours = |figure: fn(&Measured) -> Option<f64>| {
            report
                .line(EVENKEEL)
                .and_then(|line| line.spread(figure))
                .map(|spread| spread.median)
        };
        let (what, value) = match self.value {
            Value::Ratio(line, base) => (
                format!("{line} over {base}"),
                report.ratio(line, base).map(|ratio| ratio.median),
            ),
            Value::BestP50 => {
                let p50 = |measured: &Measured| match measured {
                    Measured::Latency(latency) => Some(latency.seen.p50),
                    _ => None,
                };
                let ratio = report.ratio_to_best(EVENKEEL, &[HAPROXY, NGINX], p50);
                let what = "p50 over the better one of haproxy and nginx".to_owned();
                (what, ratio.map(|ratio| ratio.median))
            }
            Value::AddedToWorst(line) => {
                let spread = report.line(line).and_then(|line| line.spread(Measured::figure));
                let what = format!("{line}: ms added to the worst");
                (what, spread.map(|spread| spread.median))
            }
            Value::Wakeups => ("wake-ups a second".to_owned(), ours(Measured::figure)),
            Value::IdleKib => ("KiB for each idle connection".to_owned(), ours(Measured::figure)),
            Value::RestMib => (
                "MiB at rest".to_owned(),
                ours(|measured| match measured {
                    Measured::Memory(memory) => Some(memory.rest_mib),
                    _ => None,
                }),
            ),
        };
        let standing = match value {
            None => Standing::Unmeasured,
            Some(value) if self.stretch.is_some_and(|stretch| value <= stretch) => Standing::Stretched,
            Some(value) if value <= self.limit => Standing::Held,
            Some(_) => Standing::Missed,
        };
        Check {
            scenario: self.scenario.name(),
            what,
            value,
            limit: self.limit,
            stretch: self.stretch,
            standing,
        }
    }
}

impl Standing {
    /// For tables.
    pub(super) fn mark(self) -> &'static str {
        match self {
            Self::Held => "✓",
            Self::Stretched => "✓✓",
            Self::Missed => "✗",
            Self::Unmeasured => "not measured",
        }
    }
}

const fn over_haproxy(scenario: Scenario, limit: f64, stretch: Option<f64>) -> Bar {
    Bar {
        scenario,
        value: Value::Ratio(EVENKEEL, HAPROXY),
        limit,
        stretch,
    }
}

const fn ratio(scenario: Scenario, line: &'static str, base: &'static str, limit: f64) -> Bar {
    Bar {
        scenario,
        value: Value::Ratio(line, base),
        limit,
        stretch: None,
    }
}

const fn bar(scenario: Scenario, value: Value, limit: f64) -> Bar {
    Bar {
        scenario,
        value,
        limit,
        stretch: None,
    }
}

const BARS: [Bar; 24] = [
    over_haproxy(Scenario::Small, 0.80, Some(0.70)),
    ratio(Scenario::Small, EVENKEEL, FLOOR, 1.20),
    ratio(Scenario::Small, EVENKEEL, EVENKEEL_RELEASE, 1.05),
    over_haproxy(Scenario::Body16k, 0.75, None),
    over_haproxy(Scenario::Body1m, 0.65, None),
    over_haproxy(Scenario::Post, 0.80, None),
    over_haproxy(Scenario::Churn, 0.85, None),
    over_haproxy(Scenario::Log, 0.80, None),
    ratio(Scenario::Routes, THOUSAND_ROUTES, EVENKEEL, 1.05),
    over_haproxy(Scenario::Chunked100, 1.0, None),
    over_haproxy(Scenario::Chunked1k, 1.0, None),
    ratio(Scenario::Latency, EVENKEEL, FLOOR, 1.05),
    bar(Scenario::Latency, Value::BestP50, 1.15),
    bar(Scenario::Latency9k, Value::BestP50, 1.15),
    bar(Scenario::Latency15k, Value::BestP50, 1.15),
    bar(Scenario::Latency30k, Value::BestP50, 1.15),
    bar(Scenario::Fairness, Value::AddedToWorst("evenkeel, download"), 2.0),
    bar(Scenario::Fairness, Value::AddedToWorst("evenkeel, upload"), 2.0),
    bar(Scenario::Fairness, Value::AddedToWorst("evenkeel, tunnel"), 2.0),
    bar(
        Scenario::Fairness,
        Value::AddedToWorst("evenkeel, pipelining"),
        2.0,
    ),
    bar(Scenario::Rest, Value::Wakeups, 2.0),
    ratio(Scenario::Scale, TWO_WORKERS, EVENKEEL, 1.05),
    Bar {
        scenario: Scenario::Memory,
        value: Value::IdleKib,
        limit: 0.6,
        stretch: Some(0.3),
    },
    Bar {
        scenario: Scenario::Memory,
        value: Value::RestMib,
        limit: 15.0,
        stretch: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::tests::measured;

    #[test]
    fn a_bar_is_held_stretched_missed_or_unmeasured() {
        let standing = |ours: f64| {
            let report = measured(Scenario::Small, &[("evenkeel", &[ours]), ("haproxy", &[10.0])]);
            let checks = checks(&[report]);
            (checks[0].standing, checks[1].standing)
        };
        assert_eq!(standing(7.0), (Standing::Stretched, Standing::Unmeasured));
        assert_eq!(standing(8.0), (Standing::Held, Standing::Unmeasured));
        assert_eq!(standing(8.1), (Standing::Missed, Standing::Unmeasured));
    }

    #[test]
    fn the_plain_build_has_a_bar_only_where_it_takes_part() {
        let bars = |lines: &[(&str, &[f64])]| checks(&[measured(Scenario::Small, lines)]);
        let without = bars(&[("evenkeel", &[9.0])]);
        let with = bars(&[("evenkeel", &[9.0]), ("evenkeel-release", &[10.0])]);
        assert_eq!(with.len(), without.len() + 1);
        assert_eq!(
            with.iter()
                .filter(|check| check.standing == Standing::Held)
                .count(),
            1
        );
    }
}
