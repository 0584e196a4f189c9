//! Prometheus' text form, version 0.0.4, and OpenMetrics 1.0: each family in one piece, with its help
//! and type.
//!
//! Clusters come one after the other and families must not, so each family has a piece of its own that
//! grows; the pieces are the page. Of a cluster, what never happened is left out: of a thousand clusters
//! most of it is zeros.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::catalogue::{Detail, Sample, Snapshot, Value};
use super::exposition::Selection;
use super::histogram::Summary;

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

/// Which of the two forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Prometheus' text form, version 0.0.4.
    Text,
    /// OpenMetrics 1.0. A counter without `_total` in its name is of type `unknown` there, so that it
    /// keeps the name that Envoy's dashboards ask for.
    OpenMetrics,
}

impl Form {
    /// What an `Accept` field asks for: OpenMetrics if it is named, since whoever names it prefers it.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let mut kinds = accept.split(',').map(|kind| kind.split(';').map(str::trim));
        let wanted = kinds.any(|mut kind| {
            kind.next()
                .is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"))
                && kind.all(|parameter| !matches!(parameter, "q=0" | "q=0.0"))
        });
        if wanted { Self::OpenMetrics } else { Self::Text }
    }

    /// The media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A page that grows part by part.
#[derive(Debug)]
pub struct Exposition {
    form: Form,
    selection: Selection,
    families: BTreeMap<Cow<'static, str>, String>,
    /// Scratch, for the labels of one sample.
    labels: String,
}

impl Exposition {
    /// Nothing yet.
    #[must_use]
    pub fn new(form: Form, selection: Selection) -> Self {
        Self {
            form,
            selection,
            families: BTreeMap::new(),
            labels: String::new(),
        }
    }

    /// Adds the numbers of the process: those are told even if they are zero.
    pub fn add_process(&mut self, part: Snapshot) {
        part.samples.iter().for_each(|sample| self.add(sample));
    }

    /// What a cluster's numbers need to have.
    #[must_use]
    pub fn detail(&self) -> Detail {
        if self.selection.unused || self.selection.filter.is_some() {
            Detail::Full
        } else {
            Detail::Happened
        }
    }

    /// Adds a cluster's numbers.
    pub fn add_cluster(&mut self, part: Snapshot) {
        let (unused, samples) = (self.selection.unused, part.samples);
        let happened = |sample: &&Sample| unused || sample.value.happened();
        samples
            .iter()
            .filter(happened)
            .for_each(|sample| self.add(sample));
    }

    fn add(&mut self, sample: &Sample) {
        if !self.selection.wants(sample) {
            return;
        }
        let form = self.form;
        let piece = match self.families.get_mut(&sample.family) {
            Some(piece) => piece,
            None => {
                let begun = begin(form, sample);
                self.families.entry(sample.family.clone()).or_insert(begun)
            }
        };
        self.labels.clear();
        write_labels(&mut self.labels, &sample.labels);
        series(piece, form, &self.labels, sample);
    }

    /// The page, in pieces.
    #[must_use]
    pub fn finish(self) -> Vec<String> {
        let mut pieces: Vec<String> = self.families.into_values().collect();
        if self.form == Form::OpenMetrics {
            pieces.push("# EOF\n".to_owned());
        }
        pieces
    }
}

/// A family's help and type.
fn begin(form: Form, sample: &Sample) -> String {
    let family: &str = &sample.family;
    let (name, kind) = match (&sample.value, form) {
        (Value::Counter(_) | Value::Total(_), Form::Text) => (family, "counter"),
        (Value::Counter(_) | Value::Total(_), Form::OpenMetrics) => match family.strip_suffix("_total") {
            Some(name) => (name, "counter"),
            None => (family, "unknown"),
        },
        (Value::Gauge(_) | Value::Unmoved(_) | Value::Span(_) | Value::Percent(_), _) => (family, "gauge"),
        (Value::Times(_), _) => (family, "histogram"),
    };
    let mut text = format!("# HELP {name} {}\n# TYPE {name} {kind}\n", sample.help);
    let unit = ["seconds", "bytes", "ratio"].into_iter().find(|unit| {
        let before = name.strip_suffix(unit);
        before.is_some_and(|before| before.ends_with('_'))
    });
    if let (Form::OpenMetrics, Some(unit)) = (form, unit) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# UNIT {name} {unit}");
    }
    text
}

fn series(page: &mut String, form: Form, labels: &str, sample: &Sample) {
    let family = &sample.family;
    let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
    let _ = match &sample.value {
        Value::Counter(value) | Value::Gauge(value) | Value::Unmoved(value) => {
            writeln!(page, "{family}{open}{labels}{close} {value}")
        }
        Value::Percent(value) => writeln!(page, "{family}{open}{labels}{close} {}", *value as f64 / 100.0),
        Value::Span(span) | Value::Total(span) => {
            writeln!(page, "{family}{open}{labels}{close} {}", span.as_secs_f64())
        }
        Value::Times(summary) => {
            buckets(page, form, labels, (family, summary));
            let count = summary.count();
            let _ = writeln!(page, "{family}_sum{open}{labels}{close} {}", summary.sum_ms());
            writeln!(page, "{family}_count{open}{labels}{close} {count}")
        }
    };
}

fn buckets(page: &mut String, form: Form, labels: &str, (family, summary): (&str, &Summary)) {
    let comma = if labels.is_empty() { "" } else { "," };
    for (micros, le) in BOUNDS {
        let count = summary.at_most(Duration::from_micros(micros));
        // OpenMetrics writes every bound as a number with a point.
        let point = if form == Form::OpenMetrics && !le.contains('.') {
            ".0"
        } else {
            ""
        };
        let _ = writeln!(
            page,
            "{family}_bucket{{{labels}{comma}le=\"{le}{point}\"}} {count}"
        );
    }
    let count = summary.count();
    let _ = writeln!(page, "{family}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}");
}

/// `a="1",b="2"`, with `\`, `"` and line feeds escaped.
fn write_labels(text: &mut String, labels: &[(&str, String)]) {
    for (name, value) in labels {
        let comma = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{comma}{name}=\"");
        for letter in value.chars() {
            match letter {
                '\\' => text.push_str(r"\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str(r"\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
}
