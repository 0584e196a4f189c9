//! Results for people: Markdown whose columns also line up in a terminal.

use std::fmt::Write;

use super::plan::Kind;
use super::report::{BenchReport, LineReport, Measured, ScenarioReport, Spread};

/// The whole report.
pub(super) fn render(report: &BenchReport) -> String {
    let mut text = String::new();
    // Writing to a String can not fail.
    let _ = writeln!(text, "{}\n", heading(report));
    if !report.bars.is_empty() {
        let _ = writeln!(text, "## Bars\n\n{}", bars(report));
    }
    for scenario in &report.scenarios {
        let _ = writeln!(text, "{}", section(scenario));
    }
    if !report.skipped.is_empty() {
        let _ = writeln!(text, "## Left out\n");
        for skipped in &report.skipped {
            let _ = writeln!(text, "- {skipped}");
        }
    }
    text
}

fn heading(report: &BenchReport) -> String {
    let facts = &report.facts;
    let kind = if report.quick {
        "A quick look, of which no figure counts"
    } else {
        "Medians"
    };
    let versions = facts
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"));
    format!(
        "# The cost of a request\n\n{kind}. Rounds: {}; {} s in all; {}, commit {}. Linux {}, {}, {} cores.\n\
         Versions: {}.",
        report.rounds,
        report.seconds,
        facts.date,
        facts.commit,
        facts.kernel,
        facts.cpu,
        facts.cores,
        versions.collect::<Vec<_>>().join(", ")
    )
}

fn bars(report: &BenchReport) -> String {
    let rows = report.bars.iter().map(|check| {
        vec![
            check.scenario.clone(),
            check.what.clone(),
            check
                .value
                .map_or_else(|| "-".into(), |value| format!("{value:.2}")),
            format!("{:.2}", check.limit),
            check
                .stretch
                .map_or_else(String::new, |stretch| format!("{stretch:.2}")),
            check.standing.mark().to_owned(),
        ]
    });
    let head = ["scenario", "what", "is", "at most", "better", ""];
    aligned(&head, rows.collect())
}

/// One scenario: its name, its table, and what went wrong.
pub(super) fn section(report: &ScenarioReport) -> String {
    let scenario = report.scenario;
    let mut text = format!("## {}: {}\n\n", scenario.name(), scenario.meaning());
    text.push_str(&match scenario.kind() {
        Kind::Cost(_) => cost_table(report),
        Kind::Latency(_) => latency_table(report),
        Kind::Fairness => fairness_table(report),
        Kind::Rest => rest_table(report),
        Kind::Memory => memory_table(report),
        Kind::Syscalls(_) => calls_table(report),
    });
    for line in &report.lines {
        let mut failures = line.failures.clone();
        failures.dedup();
        for failure in failures {
            // Writing to a String can not fail.
            let _ = writeln!(text, "\nFAILED: {}: {failure}", line.name);
        }
    }
    text
}

fn cost_table(report: &ScenarioReport) -> String {
    let over = report.scenario.over();
    let head = [
        report.unit,
        "min–max",
        "user",
        "sys",
        &over,
        "min–max",
        "req/s",
        "busy",
        "others",
        "redone",
    ];
    table(report, &head, |line| {
        let cost = |figure: fn(&super::report::Cost) -> Option<f64>| {
            line.spread(|measured| match measured {
                Measured::Cost(cost) => figure(cost),
                _ => None,
            })
        };
        let ratio = report.ratio(&line.name, line.base);
        vec![
            median(cost(|cost| Some(cost.cost)), 2),
            range(cost(|cost| Some(cost.cost)), 2),
            median(cost(|cost| Some(cost.user)), 1),
            median(cost(|cost| Some(cost.system)), 1),
            median(ratio, 2),
            range(ratio, 2),
            median(cost(|cost| Some(cost.per_second)), 0),
            percent(cost(|cost| Some(cost.busy))),
            percent(cost(|cost| cost.others)),
            redone(line),
        ]
    })
}

fn latency_table(report: &ScenarioReport) -> String {
    let over = format!("added, {}", report.scenario.over());
    let head = [
        "p50 µs",
        "p99",
        "p99.9",
        "added p50",
        "min–max",
        "p99",
        "p99.9",
        &over,
        "others",
        "redone",
    ];
    table(report, &head, |line| {
        let latency = |figure: fn(&super::report::Latency) -> Option<f64>| {
            line.spread(|measured| match measured {
                Measured::Latency(latency) => figure(latency),
                _ => None,
            })
        };
        vec![
            median(latency(|latency| Some(latency.seen.p50)), 0),
            median(latency(|latency| Some(latency.seen.p99)), 0),
            median(latency(|latency| Some(latency.seen.p999)), 0),
            median(latency(|latency| Some(latency.added?.p50)), 1),
            range(latency(|latency| Some(latency.added?.p50)), 1),
            median(latency(|latency| Some(latency.added?.p99)), 0),
            median(latency(|latency| Some(latency.added?.p999)), 0),
            median(report.ratio(&line.name, line.base), 2),
            percent(line.spread(Measured::others)),
            redone(line),
        ]
    })
}

fn memory_table(report: &ScenarioReport) -> String {
    let head = [
        "MiB at rest",
        "KiB each idle",
        "min–max",
        "of it anonymous",
        "idle",
    ];
    table(report, &head, |line| {
        let memory = |figure: fn(&super::report::Memory) -> f64| {
            line.spread(|measured| match measured {
                Measured::Memory(memory) => Some(figure(memory)),
                _ => None,
            })
        };
        vec![
            median(memory(|memory| memory.rest_mib), 1),
            median(memory(|memory| memory.idle_kib), 2),
            range(memory(|memory| memory.idle_kib), 2),
            median(memory(|memory| memory.idle_anonymous_kib), 2),
            median(memory(|memory| memory.connections as f64), 0),
        ]
    })
}

fn fairness_table(report: &ScenarioReport) -> String {
    let head = [
        "ms added to the worst",
        "min–max",
        "worst alone",
        "worst beside it",
        "p99 beside it",
        "bulk MiB/s",
    ];
    table(report, &head, |line| {
        let fairness = |figure: fn(&super::report::Fairness) -> f64| {
            line.spread(|measured| match measured {
                Measured::Fairness(fairness) => Some(figure(fairness)),
                _ => None,
            })
        };
        vec![
            median(line.spread(Measured::figure), 2),
            range(line.spread(Measured::figure), 2),
            median(fairness(|fairness| fairness.alone_worst_ms), 2),
            median(fairness(|fairness| fairness.beside_worst_ms), 2),
            median(fairness(|fairness| fairness.beside_p99_ms), 2),
            median(fairness(|fairness| fairness.bulk_mib_per_second), 0),
        ]
    })
}

fn rest_table(report: &ScenarioReport) -> String {
    table(report, &["wake-ups/s", "CPU ms/s"], |line| {
        let rest = |figure: fn(&super::report::Rest) -> f64| {
            line.spread(|measured| match measured {
                Measured::Rest(rest) => Some(figure(rest)),
                _ => None,
            })
        };
        vec![
            median(rest(|rest| rest.wakeups_per_second), 1),
            median(rest(|rest| rest.cpu_ms_per_second), 2),
        ]
    })
}

fn calls_table(report: &ScenarioReport) -> String {
    table(report, &[report.unit, "which"], |line| {
        let which = line.samples.first().map(|sample| match &sample.measured {
            Measured::Calls(calls) => {
                let mut calls: Vec<(&String, &f64)> = calls.calls.iter().collect();
                calls.sort_by(|one, other| other.1.total_cmp(one.1));
                let told = calls.iter().filter(|(_, count)| **count >= CALLS_TOLD);
                let told: Vec<String> = told.map(|(name, count)| format!("{name} {count:.2}")).collect();
                told.join(", ")
            }
            _ => String::new(),
        });
        vec![
            median(line.spread(Measured::figure), 2),
            which.unwrap_or_default(),
        ]
    })
}

/// A row for each line, the best main figure first; lines without one are last. Where lines are not all compared
/// with the same, those that are stay together.
fn table(report: &ScenarioReport, head: &[&str], row: impl Fn(&LineReport) -> Vec<String>) -> String {
    let figure = |line: &LineReport| {
        line.spread(Measured::figure)
            .map_or(f64::MAX, |spread| spread.median)
    };
    let place_of_base = |line: &LineReport| report.lines.iter().position(|base| base.name == line.base);
    let mut lines: Vec<&LineReport> = report.lines.iter().collect();
    lines.sort_by(|one, other| {
        let by_base = place_of_base(one).cmp(&place_of_base(other));
        by_base.then(figure(one).total_cmp(&figure(other)))
    });
    let rows = lines.into_iter().map(|line| {
        let mut cells = vec![line.name.clone()];
        cells.extend(row(line));
        cells
    });
    aligned(&[&["peer"], head].concat(), rows.collect())
}

/// A Markdown table: the first column to the left, numbers to the right.
fn aligned(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(head[column].chars().count()).max(3)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let is_text = |column: usize| {
        column == 0
            || rows
                .iter()
                .any(|row| row[column].chars().next().is_some_and(char::is_alphabetic))
    };
    let text: Vec<bool> = (0..head.len()).map(is_text).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::from("|");
        for (column, cell) in cells.enumerate() {
            let width = widths[column];
            let padded = if text[column] {
                format!(" {cell:<width$} |")
            } else {
                format!(" {cell:>width$} |")
            };
            line.push_str(&padded);
        }
        line + "\n"
    };
    let mut table = line(&mut head.iter().copied());
    for (column, width) in widths.iter().enumerate() {
        let end = if text[column] { "-" } else { ":" };
        table.push_str(&format!("| {}{end} ", "-".repeat(width - 1)));
    }
    table.push_str("|\n");
    for row in &rows {
        table.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    table
}

fn median(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(|| "-".into(), |spread| format!("{:.digits$}", spread.median))
}

fn range(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(
        || "-".into(),
        |spread| format!("{:.digits$}–{:.digits$}", spread.least, spread.most),
    )
}

fn percent(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "-".into(), |spread| format!("{:.0} %", spread.median * 100.0))
}

fn redone(line: &LineReport) -> String {
    let redone = line.samples.iter().map(|sample| sample.redone);
    redone.sum::<usize>().to_string()
}

/// Calls rarer than this are not told by name.
const CALLS_TOLD: f64 = 0.01;

#[cfg(test)]
mod tests {
    use super::super::plan::Scenario;
    use super::super::report::tests::measured;
    use super::*;

    #[test]
    fn a_scenario_is_one_table_with_the_best_first_and_its_failures_after() {
        let mut report = measured(
            Scenario::Small,
            &[
                ("haproxy", &[20.0, 22.0, 21.0]),
                ("evenkeel", &[15.0, 16.5, 15.75]),
            ],
        );
        report.lines[0].failures.push("3 requests failed".to_owned());
        let expected = "\
## small: GET, 100 B body, 64 connections

| peer     | CPU µs/request |     min–max | user |  sys | × haproxy |   min–max | req/s | busy | others | redone |
| -------- | -------------: | ----------: | ---: | ---: | --------: | --------: | ----: | ---: | -----: | -----: |
| evenkeel |          15.75 | 15.00–16.50 |  3.9 | 11.8 |      0.75 | 0.75–0.75 | 40000 | 90 % |    1 % |      0 |
| haproxy  |          21.00 | 20.00–22.00 |  5.2 | 15.8 |      1.00 | 1.00–1.00 | 40000 | 90 % |    1 % |      0 |

FAILED: haproxy: 3 requests failed
";
        assert_eq!(section(&report), expected);
    }

    #[test]
    fn of_scale_each_pair_stands_together_over_its_own_line_with_one_worker() {
        let report = measured(
            Scenario::Scale,
            &[
                ("evenkeel", &[13.0]),
                ("2 workers", &[12.0]),
                ("haproxy", &[12.5]),
                ("haproxy, 2 threads", &[15.0]),
            ],
        );
        let section = section(&report);
        let rows = section.lines().skip(4).map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            (cells[1], cells[6])
        });
        assert_eq!(
            rows.collect::<Vec<_>>(),
            [
                ("2 workers", "0.92"),
                ("evenkeel", "1.00"),
                ("haproxy", "1.00"),
                ("haproxy, 2 threads", "1.20"),
            ]
        );
        assert!(section.contains("| × 1 worker |"), "{section}");
    }
}
