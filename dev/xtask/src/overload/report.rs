//! Results: for people a table for each scenario, for machines the same as JSON.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use super::peers::Peer;
use crate::race::install;
use crate::{Fallible, Verdict};

/// All that was run.
#[derive(Serialize)]
pub(crate) struct Report {
    /// What ran where.
    conditions: Vec<String>,
    /// Results, in the order in which they came.
    rows: Vec<Row>,
    /// What was not run.
    skipped: Vec<Skipped>,
}

/// What was not run.
#[derive(Serialize)]
struct Skipped {
    what: String,
    proxy: &'static str,
    why: String,
}

/// One scenario with one proxy.
#[derive(Serialize)]
pub(crate) struct Row {
    /// The table that it belongs to.
    pub(crate) table: &'static str,
    /// The scenario's own variant, if it has any.
    pub(crate) variant: String,
    /// Which proxy.
    pub(crate) proxy: &'static str,
    /// What was found.
    pub(crate) figures: Vec<Figure>,
    /// 99 of 100 requests were sent no later than this after they were due: what the load itself adds.
    pub(crate) load_late_ms: f64,
}

/// One figure, and whether it passes its bar.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    name: &'static str,
    /// As people read it.
    text: String,
    /// As machines do; `None` of words, of nothing, and of what never came.
    value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bar: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passed: Option<bool>,
    /// By what it is compared with the same figure of another run: its share of the bar, or itself.
    #[serde(skip)]
    rank: f64,
}

impl Figure {
    /// A number, infinite for what never came. A unit follows it; it may be empty.
    pub(crate) fn number(name: &'static str, value: f64, unit: &str) -> Self {
        let text = if value.is_infinite() {
            "never".into()
        } else {
            format!("{} {unit}", short(value)).trim_end().to_owned()
        };
        Self {
            name,
            text,
            value: Some(value).filter(|value| value.is_finite()),
            bar: None,
            passed: None,
            rank: value,
        }
    }

    /// A number that there may be none of; then no bar judges it.
    pub(crate) fn maybe(name: &'static str, value: Option<f64>, unit: &str) -> Self {
        value.map_or_else(|| Self::words(name, "-"), |value| Self::number(name, value, unit))
    }

    /// How many.
    pub(crate) fn count(name: &'static str, value: usize) -> Self {
        Self::number(name, value as f64, "")
    }

    /// What is no number.
    pub(crate) fn words(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            name,
            text: text.into(),
            value: None,
            bar: None,
            passed: None,
            rank: 0.0,
        }
    }

    /// Passes up to `limit`.
    pub(crate) fn at_most(self, limit: f64) -> Self {
        self.judged('≤', limit, |value| value <= limit)
    }

    /// Passes from `limit` on.
    pub(crate) fn at_least(self, limit: f64) -> Self {
        self.judged('≥', limit, |value| value >= limit)
    }

    fn judged(mut self, sign: char, limit: f64, passes: impl Fn(f64) -> bool) -> Self {
        self.passed = match self.value {
            Some(value) => Some(passes(value)),
            None if self.text == "never" => Some(false),
            None => None,
        };
        self.bar = Some(format!("{sign} {}", short(limit)));
        if limit > 0.0 {
            self.rank /= limit;
        }
        self
    }

    fn cell(&self) -> String {
        match (self.passed, &self.bar) {
            (Some(true), _) => format!("{} ✓", self.text),
            (Some(false), Some(bar)) => format!("{} ✗ ({bar})", self.text),
            _ => self.text.clone(),
        }
    }
}

impl Row {
    /// Of each figure the median of several runs, each with the bar of its own run.
    ///
    /// # Panics
    /// Without a run.
    pub(crate) fn median(mut runs: Vec<Self>) -> Self {
        let middle = (runs.len() - 1) / 2;
        runs.sort_by(|one, other| one.load_late_ms.total_cmp(&other.load_late_ms));
        for index in 0..runs[middle].figures.len() {
            let mut all: Vec<Figure> = runs.iter().map(|run| run.figures[index].clone()).collect();
            all.sort_by(|one, other| one.rank.total_cmp(&other.rank));
            runs[middle].figures[index] = all.swap_remove(middle);
        }
        runs.swap_remove(middle)
    }

    /// In a few words, for those who wait: what it missed.
    pub(crate) fn line(&self) -> String {
        let judged = self.figures.iter().filter(|figure| figure.passed.is_some());
        let missed: Vec<String> = judged
            .clone()
            .filter(|figure| figure.passed == Some(false))
            .map(|figure| format!("{}: {}", figure.name, figure.cell()))
            .collect();
        let name = [self.table, &self.variant, self.proxy]
            .into_iter()
            .filter(|part| !part.is_empty());
        let name = name.collect::<Vec<_>>().join(", ");
        if missed.is_empty() {
            format!("{name}: {} of {0} bars", judged.count())
        } else {
            format!("{name}: misses {}", missed.join("; "))
        }
    }

    fn missed(&self) -> bool {
        self.figures.iter().any(|figure| figure.passed == Some(false))
    }
}

impl Report {
    /// Nothing yet, on this machine with this code.
    pub(crate) fn new() -> Self {
        Self {
            conditions: conditions(),
            rows: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Notes the release of a proxy.
    pub(crate) fn note_release(&mut self, peer: Peer, release: &str) {
        self.conditions.push(format!("{}: {release}", peer.name()));
    }

    /// Adds a result.
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Notes that something was left out.
    pub(crate) fn skip(&mut self, what: &str, peer: Peer, why: &str) {
        self.skipped.push(Skipped {
            what: what.to_owned(),
            proxy: peer.name(),
            why: why.to_owned(),
        });
    }

    /// Failed if evenkeel misses a bar, or did not run where it should have. Peers are measured, not judged.
    pub(crate) fn verdict(&self) -> Verdict {
        let ours = Peer::Evenkeel.name();
        let missed = self.rows.iter().any(|row| row.proxy == ours && row.missed());
        if missed || self.skipped.iter().any(|skipped| skipped.proxy == ours) {
            Verdict::Failed
        } else {
            Verdict::Passed
        }
    }

    /// All tables, in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("# Calm under overload\n\n");
        for condition in &self.conditions {
            // Writing to a String can not fail.
            let _ = writeln!(text, "- {condition}");
        }
        text.push_str(
            "\nEvery request has a moment at which it is due, and its time counts from then. ✓ and ✗ say whether \
             evenkeel's bar is passed; peers are held against it for comparison. *Load late*: 99 of 100 requests \
             were sent within this time of being due; a run that was later than 1 ms was \
             disturbed by something else on the machine, and so was its repetition. Bulkhead and overflow, whose \
             bars are tails of a short run, are played three times by evenkeel, and each figure is the \
             median of three.\n",
        );
        let mut tables: Vec<&str> = self.rows.iter().map(|row| row.table).collect();
        // Those of one table came one after the other.
        tables.dedup();
        for table in tables {
            let rows: Vec<&Row> = self.rows.iter().filter(|row| row.table == table).collect();
            let _ = write!(text, "\n## {table}\n\n{}", aligned(&cells(&rows)));
        }
        if !self.skipped.is_empty() {
            text.push_str("\n## Not run\n\n");
            for skipped in &self.skipped {
                let _ = writeln!(text, "- {}, {}: {}", skipped.what, skipped.proxy, skipped.why);
            }
        }
        text
    }

    /// Writes both forms into `directory`.
    ///
    /// # Errors
    /// When it can not be written to.
    pub(crate) fn write(&self, directory: &Path) -> Fallible<()> {
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("overload.md"), self.markdown())?;
        let json = serde_json::to_string_pretty(self)? + "\n";
        Ok(std::fs::write(directory.join("overload.json"), json)?)
    }
}

/// A table's cells, its heading first. Variants are left out where there are none.
fn cells(rows: &[&Row]) -> Vec<Vec<String>> {
    let has_variants = rows.iter().any(|row| !row.variant.is_empty());
    let Some(first) = rows.first() else {
        return Vec::new();
    };
    let frame = |variant: &str, proxy: &str, figures: Vec<String>, late: String| {
        let variant = has_variants.then(|| variant.to_owned());
        let fixed = variant.into_iter().chain([proxy.to_owned()]);
        fixed.chain(figures).chain([late]).collect::<Vec<_>>()
    };
    let names = first.figures.iter().map(|figure| figure.name.to_owned());
    let heading = frame("", "", names.collect(), "load late".into());
    let body = rows.iter().map(|row| {
        let figures = row.figures.iter().map(Figure::cell).collect();
        frame(
            &row.variant,
            row.proxy,
            figures,
            format!("{} ms", short(row.load_late_ms)),
        )
    });
    std::iter::once(heading).chain(body).collect()
}

/// A Markdown table that can be read as it is.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let widths = rows.iter().filter_map(|row| row.get(column));
        widths.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
            widths
                .iter()
                .for_each(|width| text.push_str(&format!("|-{}-", "-".repeat(*width))));
            text.push_str("|\n");
        }
    }
    text
}

/// Three digits or so.
fn short(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 1_000.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn conditions() -> Vec<String> {
    let first_line = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(install::repository())
            .output();
        let said = output.map_or_else(|_| Vec::new(), |output| output.stdout);
        String::from_utf8_lossy(&said).trim().to_owned()
    };
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let cpu = cpu.map_or("unknown", |cpu| cpu.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    vec![
        format!(
            "commit: {}",
            first_line("git", &["describe", "--always", "--dirty"])
        ),
        format!("kernel: {}", first_line("uname", &["-sr"])),
        format!("processor: {cpu}, {cores} cores; the proxy on the first, load and endpoints on the second"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(proxy: &'static str, figures: Vec<Figure>) -> Row {
        Row {
            table: "One of four",
            variant: String::new(),
            proxy,
            figures,
            load_late_ms: 0.1,
        }
    }

    #[test]
    fn the_median_of_runs_keeps_each_figure_with_the_bar_of_its_run() {
        let run = |value: f64, limit: f64| Row {
            table: "T",
            variant: String::new(),
            proxy: "evenkeel",
            figures: vec![
                Figure::number("p99", value, "ms").at_most(limit),
                Figure::words("answers", "200"),
            ],
            load_late_ms: value,
        };
        let median = Row::median(vec![run(9.0, 6.0), run(7.0, 8.0), run(1.0, 6.0)]);
        assert_eq!(median.figures[0].cell(), "7 ms ✓");
        assert_eq!(median.load_late_ms, 7.0);
        let missed = Row::median(vec![run(9.0, 6.0), run(7.0, 6.5), run(1.0, 6.0)]);
        assert_eq!(missed.figures[0].cell(), "7 ms ✗ (≤ 6.50)");
    }

    #[test]
    fn what_never_came_fails_its_bar_and_what_there_is_none_of_is_not_judged() {
        assert_eq!(
            Figure::number("back", f64::INFINITY, "s").at_most(1.0).passed,
            Some(false)
        );
        assert_eq!(Figure::maybe("refusals", None, "ms").at_most(1.0).passed, None);
        assert_eq!(
            Figure::number("goodput", 78.0, "/s").at_least(78.0).passed,
            Some(true)
        );
    }

    #[test]
    fn only_our_own_misses_fail_the_run() {
        let mut report = Report::new();
        report.add(row("nginx", vec![Figure::count("failed", 3).at_most(0.0)]));
        assert_eq!(report.verdict(), Verdict::Passed);
        report.add(row("evenkeel", vec![Figure::count("failed", 1).at_most(0.0)]));
        assert_eq!(report.verdict(), Verdict::Failed);
        let text = report.markdown();
        assert!(text.contains("| nginx    | 3 ✗ (≤ 0) | 0.10 ms   |"), "{text}");
    }

    #[test]
    fn evenkeel_that_could_not_run_fails_the_run() {
        let mut report = Report::new();
        report.skip("Hedging", Peer::Nginx, "has no hedging");
        assert_eq!(report.verdict(), Verdict::Passed);
        report.skip("Hedging", Peer::Evenkeel, "ended at its start");
        assert_eq!(report.verdict(), Verdict::Failed);
    }
}
