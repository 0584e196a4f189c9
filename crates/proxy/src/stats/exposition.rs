//! The same numbers in three forms: Envoy's text, Envoy's JSON, and Prometheus' text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use regex::Regex;
use serde_json::json;

use super::catalogue::{Sample, Snapshot, Value};
use super::histogram::Summary;

/// The quantiles that Envoy prints, in percent.
const QUANTILES: [(&str, f64); 10] = [
    ("0", 0.0),
    ("25", 0.25),
    ("50", 0.5),
    ("75", 0.75),
    ("90", 0.9),
    ("95", 0.95),
    ("99", 0.99),
    ("99.5", 0.995),
    ("99.9", 0.999),
    ("100", 1.0),
];

/// Envoy's default histogram bounds, in microseconds and as `le` has them, in milliseconds.
const BOUNDS: [(u64, &str); 19] = [
    (500, "0.5"),
    (1_000, "1"),
    (5_000, "5"),
    (10_000, "10"),
    (25_000, "25"),
    (50_000, "50"),
    (100_000, "100"),
    (250_000, "250"),
    (500_000, "500"),
    (1_000_000, "1000"),
    (2_500_000, "2500"),
    (5_000_000, "5000"),
    (10_000_000, "10000"),
    (30_000_000, "30000"),
    (60_000_000, "60000"),
    (300_000_000, "300000"),
    (600_000_000, "600000"),
    (1_800_000_000, "1800000"),
    (3_600_000_000, "3600000"),
];

/// Which of the numbers are wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only those whose dotted name has a match.
    pub filter: Option<Regex>,
    /// Only those that are not zero.
    pub used_only: bool,
}

impl Selection {
    fn wants(&self, sample: &Sample) -> bool {
        let used = match &sample.value {
            Value::Counter(value) | Value::Gauge(value) => *value > 0,
            Value::Span(_) => true,
            Value::Times(summary) => summary.count() > 0,
        };
        (used || !self.used_only)
            && self
                .filter
                .as_ref()
                .is_none_or(|filter| filter.is_match(&sample.name))
    }

    fn of<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Sample> {
        snapshot.samples().iter().filter(|sample| self.wants(sample))
    }
}

/// Envoy's text form: `name: value` by name, then the histograms.
#[must_use]
pub fn text(snapshot: &Snapshot, selection: &Selection) -> String {
    let (mut numbers, mut histograms) = (String::new(), String::new());
    for sample in selection.of(snapshot) {
        // Writing to a String cannot fail.
        let _ = match &sample.value {
            Value::Counter(value) | Value::Gauge(value) => writeln!(numbers, "{}: {value}", sample.name),
            Value::Span(span) => writeln!(numbers, "{}: {}", sample.name, span.as_millis()),
            Value::Times(summary) => writeln!(histograms, "{}: {}", sample.name, quantiles(summary)),
        };
    }
    numbers + &histograms
}

/// Envoy prints the last interval and everything for each quantile. There are no intervals here, so
/// the first is always `nan`.
fn quantiles(summary: &Summary) -> String {
    if summary.count() == 0 {
        return "No recorded values".to_owned();
    }
    let one = |(percent, share): &(&str, f64)| {
        format!(
            "P{percent}(nan,{})",
            rounded(summary.quantile_ms(*share).unwrap_or(f64::NAN))
        )
    };
    QUANTILES.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Whole microseconds: interpolation has no more to say.
fn rounded(millis: f64) -> f64 {
    (millis * 1000.0).round() / 1000.0
}

/// Envoy's JSON form.
#[must_use]
pub fn json(snapshot: &Snapshot, selection: &Selection) -> serde_json::Value {
    let (mut stats, mut computed) = (Vec::new(), Vec::new());
    for sample in selection.of(snapshot) {
        match &sample.value {
            Value::Counter(value) | Value::Gauge(value) => {
                stats.push(json!({ "name": sample.name, "value": value }));
            }
            Value::Span(span) => {
                stats.push(json!({ "name": sample.name, "value": span.as_millis() as u64 }));
            }
            Value::Times(summary) => {
                let value = |share| summary.quantile_ms(share).map(rounded);
                let values =
                    QUANTILES.map(|(_, share)| json!({ "interval": null, "cumulative": value(share) }));
                computed.push(json!({ "name": sample.name, "values": values }));
            }
        }
    }
    let supported = QUANTILES.map(|(_, share)| share * 100.0);
    stats.push(json!({
        "histograms": { "supported_quantiles": supported, "computed_quantiles": computed }
    }));
    json!({ "stats": stats })
}

/// Prometheus' text form, version 0.0.4: each family once, with its help and type.
#[must_use]
pub fn prometheus(snapshot: &Snapshot, selection: &Selection) -> String {
    let mut families: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in selection.of(snapshot) {
        families.entry(&sample.family).or_default().push(sample);
    }
    let mut page = String::new();
    for (family, samples) in families {
        let kind = match samples[0].value {
            Value::Counter(_) => "counter",
            Value::Gauge(_) | Value::Span(_) => "gauge",
            Value::Times(_) => "histogram",
        };
        let _ = writeln!(
            page,
            "# HELP {family} {}\n# TYPE {family} {kind}",
            samples[0].help
        );
        samples
            .iter()
            .for_each(|sample| series(&mut page, family, sample));
    }
    page
}

fn series(page: &mut String, family: &str, sample: &Sample) {
    let labels = labels(&sample.labels);
    let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
    let _ = match &sample.value {
        Value::Counter(value) | Value::Gauge(value) => {
            writeln!(page, "{family}{open}{labels}{close} {value}")
        }
        Value::Span(span) => writeln!(page, "{family}{open}{labels}{close} {}", span.as_secs_f64()),
        Value::Times(summary) => {
            let comma = if labels.is_empty() { "" } else { "," };
            for (micros, le) in BOUNDS {
                let count = summary.at_most(Duration::from_micros(micros));
                let _ = writeln!(page, "{family}_bucket{{{labels}{comma}le=\"{le}\"}} {count}");
            }
            let count = summary.count();
            let _ = writeln!(page, "{family}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}");
            let _ = writeln!(page, "{family}_sum{open}{labels}{close} {}", summary.sum_ms());
            writeln!(page, "{family}_count{open}{labels}{close} {count}")
        }
    };
}

/// `a="1",b="2"`, with `\`, `"` and line feeds escaped.
fn labels(labels: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        let comma = if text.is_empty() { "" } else { "," };
        let value = value
            .replace('\\', r"\\")
            .replace('"', "\\\"")
            .replace('\n', r"\n");
        let _ = write!(text, "{comma}{name}=\"{value}\"");
    }
    text
}
