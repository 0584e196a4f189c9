//! Text -> trees with spans. The only file that names the YAML parser, so that it can be replaced
//! in a day. JSON is read by the same code, being YAML.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::thread::{Builder, ScopedJoinHandle};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::Source;
use crate::indent;
use crate::mistake::{Code, Report};
use crate::node::{Entry, Node, Spot, Value};
use crate::shape::check::listed;

/// Reads every document of every source, in their order. A document that cannot be read is reported and
/// left out; the others are read all the same.
pub(crate) fn parse_all(sources: &Arc<[Source]>, report: &mut Report) -> Vec<Node> {
    let mut pieces = Vec::new();
    for (index, source) in (0_u32..).zip(sources.iter()) {
        pieces.extend(cut(index, &source.text, report));
    }
    let bytes = pieces.iter().map(|piece| piece.range.len()).sum::<usize>();
    let hands = std::thread::available_parallelism().map_or(1, usize::from);
    let hands = hands.min(HANDS_MAX).min(1 + bytes / HAND_BYTES);
    let share = pieces.len().div_ceil(hands).max(1);
    let read = |share: &[Piece<'_>]| {
        let mut report = Report::new(sources.clone());
        let nodes: Vec<Node> = share.iter().filter_map(|piece| piece.read(&mut report)).collect();
        (nodes, report)
    };
    let mut nodes = Vec::with_capacity(pieces.len());
    std::thread::scope(|scope| {
        let mut shares = pieces.chunks(share);
        let own = shares.next().unwrap_or_default();
        let others: Vec<_> = shares
            .map(|share| (share, Builder::new().spawn_scoped(scope, move || read(share))))
            .collect();
        let mut gather = |(mut read, noted): (Vec<Node>, Report)| {
            nodes.append(&mut read);
            report.join(noted);
        };
        gather(read(own));
        for (share, thread) in others {
            // Without another thread, this one does its work.
            gather(match thread.map(ScopedJoinHandle::join) {
                Ok(done) => done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => read(share),
            });
        }
    });
    nodes
}

/// More threads than this would take too much from the workers of a proxy that is running.
const HANDS_MAX: usize = 4;
/// Starting a thread for less than this is not worth while.
const HAND_BYTES: usize = 256 << 10;

/// One document of a source.
struct Piece<'a> {
    source: u32,
    range: Range<usize>,
    text: &'a str,
}

impl Piece<'_> {
    /// Its tree, unless it is empty, or cannot be read, which is reported.
    fn read(&self, report: &mut Report) -> Option<Node> {
        let node = document(self.source, self.range.clone(), self.text, report);
        if node.is_none() {
            report.lost_text();
        }
        node.filter(|node| !matches!(node.value, Value::Null))
    }
}

/// The documents of one source; none (and a mistake) if it is too large.
fn cut<'a>(source: u32, text: &'a str, report: &mut Report) -> Vec<Piece<'a>> {
    let start = Spot {
        source,
        start: 0,
        end: 0,
    };
    let mut refuse = |what: String, limit: String| {
        report
            .error(Code::TooLarge, start, format!("this file has {what}"))
            .help(format!("the limit is {limit} a file; split it"));
        report.lost_text();
        Vec::new()
    };
    if text.len() > SOURCE_BYTES_MAX {
        return refuse(
            format!("{} bytes", text.len()),
            format!("{} MiB", SOURCE_BYTES_MAX >> 20),
        );
    }
    let ranges = documents(text);
    if ranges.len() > DOCUMENTS_MAX {
        return refuse(format!("{} documents", ranges.len()), DOCUMENTS_MAX.to_string());
    }
    let piece = |range| Piece { source, range, text };
    ranges.into_iter().map(piece).collect()
}

/// Larger files are refused: ten thousand routes with their Backends have 5 MiB, and spans are kept in
/// 32 bits.
const SOURCE_BYTES_MAX: usize = 64 << 20;
/// More documents in one file are refused: each takes time even if it is nearly empty.
const DOCUMENTS_MAX: usize = 100_000;
/// Deeper nesting is refused: our own kinds need 12, and walking is recursive.
const DEPTH_MAX: usize = 64;
/// Aliases that stand for more than this are refused: a few lines could stand for millions.
const ALIAS_EVENTS_MAX: usize = 50_000;

/// The byte ranges of a text's documents. YAML 1.2 (9.1.2) forbids `---` and `...` at a line's
/// start inside any scalar, so splitting at them is exact, and one bad document does not hide
/// the mistakes of the others.
fn documents(text: &str) -> Vec<Range<usize>> {
    let bom = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let (mut chunks, mut from, mut at) = (Vec::new(), bom, bom);
    for line in text[bom..].split_inclusive('\n') {
        let marker = line
            .get(..3)
            .is_some_and(|start| start == "---" || start == "...");
        if marker && line[3..].chars().next().is_none_or(char::is_whitespace) {
            chunks.push(from..at);
            from = at + 3;
        }
        at += line.len();
    }
    chunks.push(from..text.len());
    chunks.retain(|chunk| {
        text[chunk.clone()]
            .lines()
            .map(str::trim)
            .any(|line| !line.is_empty() && !line.starts_with(['#', '%']))
    });
    chunks
}

/// One document as a tree; `None` (and a mistake) if it cannot be read.
fn document(source: u32, chunk: Range<usize>, text: &str, report: &mut Report) -> Option<Node> {
    let piece = &text[chunk.clone()];
    if let Some(tab) = tab_indent(piece) {
        let start = (chunk.start + tab) as u32;
        report
            .error(
                Code::Tab,
                Spot {
                    source,
                    start,
                    end: start + 1,
                },
                "a tab indents this line",
            )
            .help("YAML indents with spaces only");
        return None;
    }
    let base = Base {
        source,
        offset: chunk.start,
    };
    match read(piece, Duplicates::Refuse) {
        Ok(tree) => Some(base.node(tree)),
        Err(error) => {
            let duplicate = matches!(
                error.without_snippet(),
                serde_saphyr::Error::DuplicateMappingKey { .. }
            );
            let code = if duplicate {
                Code::DuplicateKey
            } else {
                Code::Syntax
            };
            let rendered = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            let message = rendered
                .split_once(" at line ")
                .map_or(rendered.as_str(), |(before, _)| before);
            let spot = base.error_spot(piece, &error);
            if duplicate {
                report
                    .error(code, spot, message.trim_end_matches(" not allowed here"))
                    .help("remove one of the two; each key may be there once");
                return read(piece, Duplicates::TakeFirst)
                    .ok()
                    .map(|tree| base.node(tree));
            }
            match indent::misaligned(piece) {
                Some(line) => {
                    let start = (chunk.start + line.start) as u32;
                    let spot = Spot {
                        source,
                        start,
                        end: start + 1,
                    };
                    let columns = |levels: &[usize]| {
                        let levels: Vec<String> = levels.iter().map(usize::to_string).collect();
                        listed(levels.iter().map(String::as_str))
                    };
                    let message = format!(
                        "this line is indented by {} spaces, where nothing above it begins",
                        line.found
                    );
                    report.error(code, spot, message).help(format!(
                        "fields of one mapping begin in one column: indent it by {} spaces, by what it belongs to",
                        columns(&line.levels)
                    ));
                }
                None => {
                    report.error(code, spot, format!("this is not YAML: {message}"));
                }
            }
            None
        }
    }
}

/// Where the first line that a tab indents starts. Inside a JSON document tabs are mere space.
fn tab_indent(piece: &str) -> Option<usize> {
    if piece.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut at = 0;
    for line in piece.split_inclusive('\n') {
        let content = line.trim_start();
        if line.starts_with('\t') && !content.is_empty() && !content.starts_with('#') {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// What becomes of a key that is there twice.
#[derive(Clone, Copy)]
enum Duplicates {
    Refuse,
    /// Once the mistake is reported, reading goes on for the sake of the other mistakes.
    TakeFirst,
}

fn read(piece: &str, duplicates: Duplicates) -> Result<Spanned<Tree>, serde_saphyr::Error> {
    let mut options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        duplicate_keys: match duplicates {
            Duplicates::Refuse => serde_saphyr::DuplicateKeyPolicy::Error,
            Duplicates::TakeFirst => serde_saphyr::DuplicateKeyPolicy::FirstWins,
        },
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX },
    };
    options.alias_limits.max_total_replayed_events = ALIAS_EVENTS_MAX;
    serde_saphyr::from_str_with_options(piece, options)
}

/// Where a document stands in its source.
struct Base {
    source: u32,
    offset: usize,
}

impl Base {
    fn node(&self, tree: Spanned<Tree>) -> Node {
        let spot = self.spot(tree.referenced);
        let value = match tree.value {
            Tree::Null => Value::Null,
            Tree::Bool(value) => Value::Bool(value),
            Tree::Int(value) => Value::Int(value),
            Tree::Float(value) => Value::Float(value),
            Tree::Text(text) => Value::Text(text),
            Tree::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            Tree::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| Entry {
                        key_spot: self.spot(key.referenced),
                        key: key.value,
                        value: self.node(value),
                    })
                    .collect(),
            ),
        };
        Node { value, spot }
    }

    fn spot(&self, location: serde_saphyr::Location) -> Spot {
        let span = location.span();
        let start = self.offset as u64 + span.byte_offset().unwrap_or(0);
        Spot {
            source: self.source,
            start: start as u32,
            end: (start + span.byte_len().unwrap_or(0)) as u32,
        }
    }

    /// Some errors of the parser know only line and column (in characters, from 1).
    fn error_spot(&self, piece: &str, error: &serde_saphyr::Error) -> Spot {
        let Some(location) = error.location() else {
            let start = self.offset as u32;
            return Spot {
                source: self.source,
                start,
                end: start,
            };
        };
        if location.span().byte_offset().is_some() {
            return self.spot(location);
        }
        let line = usize::try_from(location.line()).unwrap_or(1).saturating_sub(1);
        let column = usize::try_from(location.column()).unwrap_or(1).saturating_sub(1);
        let before: usize = piece.split_inclusive('\n').take(line).map(str::len).sum();
        let within: usize = piece[before..].chars().take(column).map(char::len_utf8).sum();
        let start = (self.offset + (before + within).min(piece.len())) as u32;
        Spot {
            source: self.source,
            start,
            end: start,
        }
    }
}

/// The parser's view of a value; becomes a [`Node`] once its spans are made absolute.
enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(i64::try_from(value).map_or(Tree::Float(value as f64), Tree::Int))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Tree, E> {
        if value.is_finite() {
            Ok(Tree::Float(value))
        } else {
            Err(E::custom("a number must be finite"))
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
            if map.len() > MAP_ENTRIES_MAX {
                return Err(A::Error::custom("a mapping has too many keys"));
            }
        }
        Ok(Tree::Map(map))
    }
}

/// Larger mappings are refused: fields are looked up one by one.
const MAP_ENTRIES_MAX: usize = 4096;
