//! The same numbers in Envoy's two forms, text and JSON. Prometheus' are in [`super::prometheus`].

use std::fmt::Write as _;

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

/// Which of the numbers are wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only those whose dotted name has a match.
    pub filter: Option<Regex>,
    /// Only those that are not zero.
    pub used_only: bool,
    /// For Prometheus, those of clusters too that tell of what never happened.
    pub unused: bool,
}

impl Selection {
    pub(super) fn wants(&self, sample: &Sample) -> bool {
        let used = match &sample.value {
            Value::Counter(value) | Value::Gauge(value) | Value::Unmoved(value) | Value::Percent(value) => {
                *value > 0
            }
            Value::Span(_) | Value::Total(_) => true,
            Value::Times(summary) => summary.count() > 0,
        };
        (used || !self.used_only)
            && self
                .filter
                .as_ref()
                .is_none_or(|filter| filter.is_match(&sample.name))
    }

    fn of<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Sample> {
        snapshot.samples.iter().filter(|sample| self.wants(sample))
    }
}

/// Envoy's text form: `name: value` by name, then the histograms. Parts are added in the order of
/// their names.
#[derive(Debug, Default)]
pub struct Text {
    selection: Selection,
    numbers: String,
    histograms: String,
}

impl Text {
    /// Nothing yet.
    #[must_use]
    pub fn new(selection: Selection) -> Self {
        Self {
            selection,
            ..Self::default()
        }
    }

    /// Adds a part.
    pub fn add(&mut self, part: &Snapshot) {
        let (numbers, histograms) = (&mut self.numbers, &mut self.histograms);
        for sample in self.selection.of(part) {
            // Writing to a String cannot fail.
            let _ = match &sample.value {
                Value::Counter(value)
                | Value::Gauge(value)
                | Value::Unmoved(value)
                | Value::Percent(value) => writeln!(numbers, "{}: {value}", sample.name),
                Value::Span(span) | Value::Total(span) => {
                    writeln!(numbers, "{}: {}", sample.name, span.as_millis())
                }
                Value::Times(summary) => writeln!(histograms, "{}: {}", sample.name, quantiles(summary)),
            };
        }
    }

    /// The page.
    #[must_use]
    pub fn finish(self) -> String {
        self.numbers + &self.histograms
    }
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
#[derive(Debug, Default)]
pub struct JsonForm {
    selection: Selection,
    stats: Vec<serde_json::Value>,
    computed: Vec<serde_json::Value>,
}

impl JsonForm {
    /// Nothing yet.
    #[must_use]
    pub fn new(selection: Selection) -> Self {
        Self {
            selection,
            ..Self::default()
        }
    }

    /// Adds a part.
    pub fn add(&mut self, part: &Snapshot) {
        let (stats, computed) = (&mut self.stats, &mut self.computed);
        for sample in self.selection.of(part) {
            match &sample.value {
                Value::Counter(value)
                | Value::Gauge(value)
                | Value::Unmoved(value)
                | Value::Percent(value) => stats.push(json!({ "name": sample.name, "value": value })),
                Value::Span(span) | Value::Total(span) => {
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
    }

    /// The page.
    #[must_use]
    pub fn finish(self) -> serde_json::Value {
        let Self {
            mut stats, computed, ..
        } = self;
        let supported = QUANTILES.map(|(_, share)| share * 100.0);
        stats.push(json!({
            "histograms": { "supported_quantiles": supported, "computed_quantiles": computed }
        }));
        json!({ "stats": stats })
    }
}
