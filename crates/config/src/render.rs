//! Mistakes as a person reads them: the line, the place marked, and what would be right.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use crate::Source;
use crate::code::Severity;
use crate::mistake::{Mistake, Mistakes, floor};
use crate::node::Spot;

impl Mistakes {
    /// All of them with source snippets, and a last line that counts them. `color` adds ANSI
    /// colours.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let mut text: String = self
            .list
            .iter()
            .map(|m| self.render_one(m, color) + "\n\n")
            .collect();
        text.push_str(&self.count());
        text.push('\n');
        text
    }

    /// The warnings alone, one text each.
    pub(crate) fn render_warnings(&self) -> Vec<String> {
        let warnings = self
            .list
            .iter()
            .filter(|mistake| mistake.code.severity() == Severity::Warning);
        warnings.map(|mistake| self.render_one(mistake, false)).collect()
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
            .elements(
                self.sources
                    .get(mistake.spot.source as usize)
                    .map(|source| snippet(source, mistake)),
            );
        group = self.elsewhere(group, mistake);
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

    /// The second place, if it stands in another file.
    fn elsewhere<'a>(&'a self, group: Group<'a>, mistake: &'a Mistake) -> Group<'a> {
        match &mistake.also {
            Some((spot, label)) if spot.source != mistake.spot.source => {
                let source = self.sources.get(spot.source as usize);
                group.elements(source.map(|source| {
                    let window = Window::around(&source.text, &[*spot]);
                    window
                        .snippet(source)
                        .annotation(window.mark(AnnotationKind::Context, *spot, label))
                }))
            }
            _ => group,
        }
    }
}

/// The mistake's own source, with its place marked and the second one if it is there, too.
fn snippet<'a>(source: &'a Source, mistake: &'a Mistake) -> Snippet<'a, Annotation<'a>> {
    let also = mistake
        .also
        .as_ref()
        .filter(|(spot, _)| spot.source == mistake.spot.source);
    let spots: Vec<Spot> = std::iter::once(mistake.spot)
        .chain(also.map(|(spot, _)| *spot))
        .collect();
    let window = Window::around(&source.text, &spots);
    window
        .snippet(source)
        .annotation(window.mark(AnnotationKind::Primary, mistake.spot, ""))
        .annotations(also.map(|(spot, label)| window.mark(AnnotationKind::Context, *spot, label)))
}

/// The lines that matter, so that a large file is not searched again for every mistake.
struct Window<'a> {
    text: &'a str,
    start: usize,
    line: usize,
}

impl<'a> Window<'a> {
    fn around(text: &'a str, spots: &[Spot]) -> Self {
        let low = spots.iter().map(|spot| spot.start as usize).min().unwrap_or(0);
        let high = spots.iter().map(|spot| spot.end as usize).max().unwrap_or(0);
        let (low, high) = (floor(text, low), floor(text, high));
        let start = text[..low].rfind('\n').map_or(0, |at| at + 1);
        let end = text[high..].find('\n').map_or(text.len(), |at| high + at);
        let line = text[..start].bytes().filter(|byte| *byte == b'\n').count() + 1;
        Self {
            text: &text[start..end],
            start,
            line,
        }
    }

    fn snippet(&self, source: &'a Source) -> Snippet<'a, Annotation<'a>> {
        Snippet::source(self.text)
            .line_start(self.line)
            .path(source.name.as_str())
    }

    fn mark(&self, kind: AnnotationKind, spot: Spot, label: &'a str) -> Annotation<'a> {
        let at = |byte: u32| floor(self.text, (byte as usize).saturating_sub(self.start));
        let annotation = kind.span(at(spot.start)..at(spot.end));
        if label.is_empty() {
            annotation
        } else {
            annotation.label(label)
        }
    }
}
