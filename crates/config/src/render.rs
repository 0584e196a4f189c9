//! Mistakes as a person reads them: the line, the place marked, and what would be right.

use annotate_snippets::{Annotation, AnnotationKind, Element, Level, Origin, Renderer, Snippet};

use crate::Source;
use crate::code::Severity;
use crate::mistake::{Mistake, Mistakes, floor};
use crate::node::Spot;

impl Mistakes {
    /// All of them with source snippets, and a last line that counts them. `color` adds ANSI
    /// colours.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let mut text = self.render_list(color);
        text.push_str(&self.count());
        text.push('\n');
        text
    }

    /// The same without the last line.
    #[must_use]
    pub fn render_list(&self, color: bool) -> String {
        let rendered = self.list.iter().map(|m| self.render_one(m, color) + "\n\n");
        rendered.collect()
    }

    /// One text each, without colours, for a log.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.list.iter().map(|mistake| self.render_one(mistake, false))
    }

    fn count(&self) -> String {
        let errors = self.errors();
        let warnings = self.list.len() - (errors - self.dropped);
        let plural =
            |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let mut line = plural(errors, "error");
        if warnings > 0 {
            line += &format!(", {}", plural(warnings, "warning"));
        }
        if self.dropped > 0 {
            line += &format!(" (the last {} are not shown)", self.dropped);
        }
        line
    }

    fn render_one(&self, mistake: &Mistake, color: bool) -> String {
        let level = match mistake.code.severity() {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level
            .primary_title(mistake.message.as_str())
            .id(mistake.code.number())
            .elements(self.places(mistake));
        if let Some(help) = &mistake.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        renderer.render(&[group])
    }

    /// The mistake's own place, and the second one, in one snippet if they are near each other.
    fn places<'a>(&'a self, mistake: &'a Mistake) -> Vec<Element<'a>> {
        let primary = Mark {
            kind: AnnotationKind::Primary,
            spot: mistake.spot,
            label: "",
        };
        let also = mistake.also.as_ref().map(|(spot, label)| Mark {
            kind: AnnotationKind::Context,
            spot: *spot,
            label,
        });
        let source = |mark: &Mark<'_>| self.sources.get(mark.spot.source as usize);
        let Some(own) = source(&primary) else {
            return Vec::new();
        };
        if let Some(also) = &also
            && also.spot.source == mistake.spot.source
            && let Some(both) = snippet(own, &[&primary, also])
        {
            return vec![both.into()];
        }
        let other = also.and_then(|mark| Some(alone(source(&mark)?, &mark)));
        std::iter::once(alone(own, &primary)).chain(other).collect()
    }
}

/// A place to be marked.
struct Mark<'a> {
    kind: AnnotationKind,
    spot: Spot,
    label: &'a str,
}

/// One place with its line; without, if the line is too long to be read.
fn alone<'a>(source: &'a Source, mark: &Mark<'a>) -> Element<'a> {
    if let Some(snippet) = snippet(source, &[mark]) {
        return snippet.into();
    }
    let before = &source.text[..floor(&source.text, mark.spot.start as usize)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Origin::path(source.name.as_str())
        .line(before.bytes().filter(|byte| *byte == b'\n').count() + 1)
        .char_column(before[line_start..].chars().count() + 1)
        .into()
}

/// The lines that hold all of the places, unless they are too many to be read.
fn snippet<'a>(source: &'a Source, marks: &[&Mark<'a>]) -> Option<Snippet<'a, Annotation<'a>>> {
    let text = source.text.as_str();
    let low = marks.iter().map(|mark| mark.spot.start as usize).min()?;
    let high = marks.iter().map(|mark| mark.spot.end as usize).max()?;
    let (low, high) = (floor(text, low), floor(text, high));
    let start = text[..low].rfind('\n').map_or(0, |at| at + 1);
    let end = text[high..].find('\n').map_or(text.len(), |at| high + at);
    if end - start > SNIPPET_BYTES_MAX {
        return None;
    }
    let window = &text[start..end];
    let at = |byte: u32| floor(window, (byte as usize).saturating_sub(start));
    let annotation = |mark: &&Mark<'a>| {
        let annotation = mark.kind.span(at(mark.spot.start)..at(mark.spot.end));
        if mark.label.is_empty() {
            annotation
        } else {
            annotation.label(mark.label)
        }
    };
    let line = text[..start].bytes().filter(|byte| *byte == b'\n').count() + 1;
    let snippet = Snippet::source(window)
        .line_start(line)
        .path(source.name.as_str());
    Some(snippet.annotations(marks.iter().map(annotation)))
}

/// Drawing costs time for every byte between two places, and nobody reads that far.
const SNIPPET_BYTES_MAX: usize = 64 * 1024;
