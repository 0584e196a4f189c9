//! Mistakes: what is wrong, where, and what would be right. They are collected, never thrown, so
//! that an operator sees all of them at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::Source;
use crate::code::Severity;
use crate::node::Spot;
use crate::shape::ResourceKind;

pub use crate::code::Code;

/// One mistake or warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Its kind, with a stable number.
    pub code: Code,
    /// The source's name, as given.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    pub(crate) spot: Spot,
    pub(crate) also: Option<(Spot, String)>,
}

impl Mistake {
    /// Whether it keeps the configuration from being used; a warning does not.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.code.severity() == Severity::Error
    }

    /// What would be right.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// A second place that explains the first, with a few words beside it.
    pub(crate) fn also(&mut self, spot: Spot, label: impl Into<String>) -> &mut Self {
        self.also = Some((spot, label.into()));
        self
    }

    /// This mistake as JSON: `severity`, `code`, `file`, `line`, `column`, `message`, `help`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "severity": self.code.severity().word(),
            "code": self.code.number(),
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "help": self.help,
        })
    }
}

/// All that is wrong with a configuration, in the order of its sources.
#[derive(Clone, Debug, Default)]
pub struct Mistakes {
    pub(crate) sources: Arc<[Source]>,
    pub(crate) list: Vec<Mistake>,
    /// How many more there were than are kept.
    pub(crate) dropped: usize,
}

impl Mistakes {
    /// The mistakes, and the warnings among them.
    #[must_use]
    pub fn list(&self) -> &[Mistake] {
        &self.list
    }

    /// Whether there are none, warnings included.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// An array of [`Mistake::to_json`], for `-o json`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.list.iter().map(Mistake::to_json).collect()
    }

    /// How many are errors, those past the limit included.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.list
            .iter()
            .filter(|m| m.code.severity() == Severity::Error)
            .count()
            + self.dropped
    }
}

impl std::fmt::Display for Mistakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Mistakes {}

/// More than this are counted, not kept: nobody reads them, and a hostile file could ask for
/// millions.
const MISTAKES_MAX: usize = 500;

/// Collects mistakes while a configuration is read.
#[derive(Debug)]
pub(crate) struct Report {
    sources: Arc<[Source]>,
    list: Vec<Mistake>,
    dropped: usize,
    failed: bool,
    /// A whole document was lost, of whatever kind.
    lost: bool,
    /// Kinds of which one has no readable name.
    nameless: BTreeSet<ResourceKind>,
    /// Where mistakes past the limit are written, to be forgotten.
    scratch: Mistake,
}

impl Report {
    pub(crate) fn new(sources: Arc<[Source]>) -> Self {
        let scratch = Mistake {
            code: Code::Syntax,
            file: String::new(),
            line: 1,
            column: 1,
            message: String::new(),
            help: None,
            spot: Spot::default(),
            also: None,
        };
        Self {
            sources,
            list: Vec::new(),
            dropped: 0,
            failed: false,
            lost: false,
            nameless: BTreeSet::new(),
            scratch,
        }
    }

    /// Notes a mistake or warning (its code says which), to be completed by the caller.
    pub(crate) fn error(&mut self, code: Code, spot: Spot, message: impl Into<String>) -> &mut Mistake {
        let fatal = code.severity() == Severity::Error;
        self.failed |= fatal;
        if self.is_full() {
            self.dropped += usize::from(fatal);
            return &mut self.scratch;
        }
        let blank = self.scratch.clone();
        let mistake = Mistake {
            code,
            spot,
            message: message.into(),
            help: None,
            also: None,
            ..blank
        };
        self.list.push(mistake);
        self.list.last_mut().unwrap_or(&mut self.scratch)
    }

    /// Adds what another report of the same sources has noted.
    pub(crate) fn join(&mut self, other: Self) {
        let room = MISTAKES_MAX.saturating_sub(self.list.len());
        let surplus = other.list.iter().skip(room);
        let fatal = surplus.filter(|mistake| mistake.code.severity() == Severity::Error);
        self.dropped += other.dropped + fatal.count();
        self.list.extend(other.list.into_iter().take(room));
        self.failed |= other.failed;
        self.lost |= other.lost;
        self.nameless.extend(other.nameless);
    }

    /// A document could not be read: what seems to be missing may be in there.
    pub(crate) fn lost_text(&mut self) {
        self.lost = true;
    }

    /// A resource of this kind has no name that could be read.
    pub(crate) fn lost_name(&mut self, kind: ResourceKind) {
        self.nameless.insert(kind);
    }

    /// Whether a reference to a resource of this kind that is not there surely dangles.
    pub(crate) fn complete(&self, kind: ResourceKind) -> bool {
        !self.lost && !self.nameless.contains(&kind)
    }

    /// Whether further mistakes are only counted, so that advice for them would be wasted.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= MISTAKES_MAX
    }

    /// Whether anything but warnings was noted.
    pub(crate) fn failed(&self) -> bool {
        self.failed
    }

    /// The text at a spot, as written.
    pub(crate) fn written(&self, spot: Spot) -> &str {
        self.sources
            .get(spot.source as usize)
            .and_then(|source| source.text.get(spot.start as usize..spot.end as usize))
            .unwrap_or_default()
    }

    /// All of it, in the order of the sources.
    pub(crate) fn finish(mut self) -> Mistakes {
        self.list
            .sort_by(|a, b| (a.spot, a.code, &a.message).cmp(&(b.spot, b.code, &b.message)));
        // What is read twice (a route under two Gateways' policies) is told once.
        self.list.dedup();
        let mut places = Places::default();
        for mistake in &mut self.list {
            if let Some(source) = self.sources.get(mistake.spot.source as usize) {
                mistake.file.clone_from(&source.name);
                (mistake.line, mistake.column) = places.of(source, mistake.spot);
            }
        }
        Mistakes {
            sources: self.sources,
            list: self.list,
            dropped: self.dropped,
        }
    }
}

/// Turns rising spots into lines and columns in one pass over each source.
#[derive(Default)]
struct Places {
    source: u32,
    at: usize,
    line: u32,
    line_start: usize,
}

impl Places {
    fn of(&mut self, source: &Source, spot: Spot) -> (u32, u32) {
        if self.source != spot.source {
            *self = Self {
                source: spot.source,
                ..Self::default()
            };
        }
        let target = floor(&source.text, spot.start as usize);
        for (offset, byte) in source.text.bytes().enumerate().take(target).skip(self.at) {
            if byte == b'\n' {
                self.line += 1;
                self.line_start = offset + 1;
            }
        }
        self.at = target.max(self.at);
        let column = source.text[self.line_start..target].chars().count();
        (self.line + 1, u32::try_from(column).unwrap_or(u32::MAX - 1) + 1)
    }
}

/// The nearest character boundary at or before `at`.
pub(crate) fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}
