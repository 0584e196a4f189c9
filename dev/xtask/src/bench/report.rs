//! What was measured, and what follows from it: medians, and ratios within a round.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::bars::{self, Check, Standing};
use super::facts::Facts;
use super::line::Line;
use super::open::Quantiles;
use super::peers::Peer;
use super::plan::Scenario;
use crate::Verdict;

/// Everything that one call measured.
#[derive(Debug, Serialize)]
pub(super) struct BenchReport {
    /// Where, of what, when.
    pub(super) facts: Facts,
    /// Rounds that were asked for.
    pub(super) rounds: usize,
    /// Whether runs were cut short, so that figures show no more than that everything works.
    pub(super) quick: bool,
    /// How long it all took, in seconds.
    pub(super) seconds: u64,
    /// The bars, and how we stand.
    pub(super) bars: Vec<Check>,
    /// One entry for each scenario.
    pub(super) scenarios: Vec<ScenarioReport>,
    /// What was left out, and why.
    pub(super) skipped: Vec<String>,
}

/// One scenario.
#[derive(Debug, Serialize)]
pub(super) struct ScenarioReport {
    #[serde(serialize_with = "by_name")]
    pub(super) scenario: Scenario,
    /// The unit of the main figure.
    pub(super) unit: &'static str,
    pub(super) lines: Vec<LineReport>,
}

/// One line of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct LineReport {
    pub(super) name: String,
    /// The line that it is compared with.
    pub(super) base: &'static str,
    /// Whether it is evenkeel as it is measured, so that a failed request is ours.
    #[serde(skip)]
    pub(super) is_ours: bool,
    /// The main figure over all rounds.
    pub(super) figure: Option<Spread>,
    /// Its ratio to that of the line that it is compared with, within each round.
    pub(super) over_base: Option<Spread>,
    pub(super) samples: Vec<Sample>,
    /// Runs that failed, in words.
    pub(super) failures: Vec<String>,
}

/// One run.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    pub(super) round: usize,
    /// How often it was made again because others had used the proxy's core; the quietest is kept.
    pub(super) redone: usize,
    #[serde(flatten)]
    pub(super) measured: Measured,
}

/// What a run yields, by its kind.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Measured {
    Cost(Cost),
    Latency(Latency),
    Memory(Memory),
    Fairness(Fairness),
    Rest(Rest),
    Calls(Calls),
}

/// CPU time of the proxy, in the scenario's unit.
#[derive(Debug, Serialize)]
pub(super) struct Cost {
    /// All of it, in the middle one of the run's parts …
    pub(super) cost: f64,
    /// … and in each.
    pub(super) slices: Vec<f64>,
    /// The part in user mode.
    pub(super) user: f64,
    /// The part in the kernel.
    pub(super) system: f64,
    /// Requests that were counted.
    pub(super) requests: u64,
    /// Requests a second.
    pub(super) per_second: f64,
    /// The share of its time that the proxy was busy; above 1 with more workers.
    pub(super) busy: f64,
    /// The share of the proxy's core that others used; ticks are coarse, so it can be a little below 0.
    pub(super) others: Option<f64>,
    /// The same of the core of load and endpoint.
    pub(super) others_beside_load: Option<f64>,
}

/// Waiting time, in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    /// As clients saw it.
    pub(super) seen: Quantiles,
    /// What that is beyond the same without a proxy, in the same round.
    pub(super) added: Option<Quantiles>,
    /// The share of the proxy's core that others used.
    pub(super) others: f64,
}

/// Waiting time of small requests, in milliseconds, without and with a bulk transfer beside them.
#[derive(Debug, Serialize)]
pub(super) struct Fairness {
    /// The worst one without.
    pub(super) alone_worst_ms: f64,
    /// The worst one with it.
    pub(super) beside_worst_ms: f64,
    /// … and the hundredth worst of ten thousand.
    pub(super) beside_p99_ms: f64,
    /// What the bulk transfer moved meanwhile, in MiB a second.
    pub(super) bulk_mib_per_second: f64,
}

/// A proxy that nobody asks for anything.
#[derive(Debug, Serialize)]
pub(super) struct Rest {
    /// How often one of its threads is woken.
    pub(super) wakeups_per_second: f64,
    /// What it burns.
    pub(super) cpu_ms_per_second: f64,
}

/// Resident memory.
#[derive(Debug, Serialize)]
pub(super) struct Memory {
    /// At rest, in MiB.
    pub(super) rest_mib: f64,
    /// Of each idle client connection, in KiB.
    pub(super) idle_kib: f64,
    /// Of that, heap and stacks.
    pub(super) idle_anonymous_kib: f64,
    /// How many there were.
    pub(super) connections: usize,
}

/// System calls of a request.
#[derive(Debug, Serialize)]
pub(super) struct Calls {
    /// All of them.
    pub(super) all: f64,
    /// By name.
    pub(super) calls: BTreeMap<String, f64>,
}

/// The middle, and the ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl BenchReport {
    /// Sums up each line, and holds what was measured against the bars.
    pub(super) fn judge(&mut self) {
        for scenario in &mut self.scenarios {
            let ratios: Vec<Option<Spread>> = scenario
                .lines
                .iter()
                .map(|line| scenario.ratio(&line.name, line.base))
                .collect();
            for (line, ratio) in scenario.lines.iter_mut().zip(ratios) {
                line.figure = line.spread(Measured::figure);
                line.over_base = ratio;
            }
        }
        self.bars = bars::checks(&self.scenarios);
    }

    /// Failed if a request of ours failed; and, unless it was only a quick look, if a bar is missed.
    pub(super) fn verdict(&self) -> Verdict {
        let failed = self.scenarios.iter().any(ScenarioReport::has_failed);
        let missed = self.bars.iter().any(|check| check.standing == Standing::Missed);
        if failed || (missed && !self.quick) {
            Verdict::Failed
        } else {
            Verdict::Passed
        }
    }
}

impl ScenarioReport {
    /// One without runs yet.
    pub(super) fn new(scenario: Scenario, lines: &[Line]) -> Self {
        let line = |line: &Line| LineReport {
            name: line.name.clone(),
            base: line.base.unwrap_or(scenario.base()),
            is_ours: line.set_up.is_some_and(|set_up| set_up.peer == Peer::Evenkeel),
            ..LineReport::default()
        };
        Self {
            scenario,
            unit: scenario.unit(),
            lines: lines.iter().map(line).collect(),
        }
    }

    /// The line of this name.
    pub(super) fn line(&self, name: &str) -> Option<&LineReport> {
        self.lines.iter().find(|line| line.name == name)
    }

    /// How one line's main figure compares with another's, within each round that has both.
    pub(super) fn ratio(&self, line: &str, base: &str) -> Option<Spread> {
        let (line, base) = (self.line(line)?, self.line(base)?);
        let ratios = line.samples.iter().filter_map(|sample| {
            let beside = base.samples.iter().find(|beside| beside.round == sample.round)?;
            let (figure, beside) = (sample.measured.figure()?, beside.measured.figure()?);
            (beside > 0.0).then(|| figure / beside)
        });
        Spread::of(ratios.collect())
    }

    /// How one line's figure compares with the least of some others', within each round that has one of them.
    pub(super) fn ratio_to_best(
        &self,
        line: &str,
        bases: &[&str],
        figure: impl Fn(&Measured) -> Option<f64>,
    ) -> Option<Spread> {
        let line = self.line(line)?;
        let ratios = line.samples.iter().filter_map(|sample| {
            let bases = bases.iter().filter_map(|base| self.line(base));
            let beside = bases.flat_map(|base| base.samples.iter().filter(|s| s.round == sample.round));
            let best = beside
                .filter_map(|beside| figure(&beside.measured))
                .min_by(f64::total_cmp)?;
            (best > 0.0).then_some(figure(&sample.measured)? / best)
        });
        Spread::of(ratios.collect())
    }

    /// Whether a run of ours failed.
    fn has_failed(&self) -> bool {
        self.lines
            .iter()
            .any(|line| line.is_ours && !line.failures.is_empty())
    }
}

impl LineReport {
    /// The spread of one figure over its rounds.
    pub(super) fn spread(&self, figure: impl Fn(&Measured) -> Option<f64>) -> Option<Spread> {
        let figures = self.samples.iter().filter_map(|sample| figure(&sample.measured));
        Spread::of(figures.collect())
    }
}

impl Measured {
    /// The main figure.
    pub(super) fn figure(&self) -> Option<f64> {
        match self {
            Self::Cost(cost) => Some(cost.cost),
            Self::Latency(latency) => latency.added.map(|added| added.p50),
            Self::Memory(memory) => Some(memory.idle_kib),
            Self::Fairness(fairness) => Some(rounded(fairness.beside_worst_ms - fairness.alone_worst_ms)),
            Self::Rest(rest) => Some(rest.wakeups_per_second),
            Self::Calls(calls) => Some(calls.all),
        }
    }

    /// The share of the proxy's core that others used meanwhile.
    pub(super) fn others(&self) -> Option<f64> {
        match self {
            Self::Cost(cost) => cost.others,
            Self::Latency(latency) => Some(latency.others),
            Self::Memory(_) | Self::Fairness(_) | Self::Rest(_) | Self::Calls(_) => None,
        }
    }
}

impl Latency {
    /// Of what was seen, and what was seen without a proxy.
    pub(super) fn new(seen: Quantiles, direct: Option<Quantiles>, others: f64) -> Self {
        let added = direct.map(|direct| Quantiles {
            p50: rounded(seen.p50 - direct.p50),
            p99: rounded(seen.p99 - direct.p99),
            p999: rounded(seen.p999 - direct.p999),
        });
        Self { seen, added, others }
    }
}

impl Spread {
    /// Of none there is none. Of an even number the median is the mean of the middle two.
    pub(super) fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = if figures.len().is_multiple_of(2) {
            f64::midpoint(figures[middle - 1], figures[middle])
        } else {
            figures[middle]
        };
        let [median, least, most] = [median, least, most].map(rounded);
        Some(Self { median, least, most })
    }
}

/// To a thousandth: more digits would claim what no run can tell.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

fn by_name<S: Serializer>(scenario: &Scenario, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&scenario.name())
}

#[cfg(test)]
pub(super) mod tests {
    use clap::ValueEnum;

    use super::*;

    /// A scenario of which each line has these costs, round by round.
    pub(crate) fn measured(scenario: Scenario, lines: &[(&str, &[f64])]) -> ScenarioReport {
        let all = scenario.lines(Peer::value_variants());
        let line = |name: &str| all.iter().find(|line| line.name == name).cloned();
        let planned = lines
            .iter()
            .map(|(name, _)| line(name).expect("a line of the scenario"));
        let mut report = ScenarioReport::new(scenario, &planned.collect::<Vec<_>>());
        for (line, (_, costs)) in report.lines.iter_mut().zip(lines) {
            line.samples
                .extend(costs.iter().enumerate().map(|(round, cost)| Sample {
                    round,
                    redone: 0,
                    measured: Measured::Cost(Cost {
                        cost: *cost,
                        slices: vec![*cost],
                        user: cost / 4.0,
                        system: cost * 3.0 / 4.0,
                        requests: 1_000,
                        per_second: 40_000.0,
                        busy: 0.9,
                        others: Some(0.01),
                        others_beside_load: Some(0.0),
                    }),
                }));
        }
        report
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine was twice as slow in the second round: no ratio shows it.
        let report = measured(
            Scenario::Small,
            &[("evenkeel", &[8.0, 16.0, 8.0]), ("haproxy", &[10.0, 20.0, 10.0])],
        );
        let ratio = report.ratio("evenkeel", "haproxy");
        assert_eq!(
            ratio,
            Some(Spread {
                median: 0.8,
                least: 0.8,
                most: 0.8
            })
        );
        assert_eq!(report.ratio("evenkeel", "nginx"), None);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(
            Spread::of(vec![4.0, 1.0, 3.0, 2.0]).map(|spread| spread.median),
            Some(2.5)
        );
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn a_failed_request_is_held_against_us_only_where_the_proxy_is_ours() {
        let fails_with = |failing: &str| {
            let lines = [("2 workers", &[9.0][..]), ("haproxy", &[9.0])];
            let mut report = measured(Scenario::Scale, &lines);
            for line in report.lines.iter_mut().filter(|line| line.name == failing) {
                line.failures.push("3 requests failed".to_owned());
            }
            report.has_failed()
        };
        assert!(fails_with("2 workers"));
        assert!(!fails_with("haproxy"));
    }
}
