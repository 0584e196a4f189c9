//! The table of fields as the reference page of the manual.

use std::fmt::Write as _;

use crate::code::{Code, Severity};
use crate::shape::check::listed;
use crate::shape::{API_VERSION, Choice, Field, KIND, KINDS, Kind, KindShape, META, STATUS, Shape, Support};
use crate::units;

/// `docs/configuration.md`.
#[must_use]
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n## Fields of every kind\n");
    table(&[API_VERSION, KIND, META, STATUS], &mut page);
    for shape in KINDS {
        kind(shape, &mut page);
    }
    page.push_str(CODES);
    for code in Code::ALL {
        let severity = if code.severity() == Severity::Warning {
            "Warning: "
        } else {
            ""
        };
        _ = writeln!(
            page,
            "| `{}` | {severity}{} |",
            code.number(),
            cell(code.explain())
        );
    }
    page
}

const INTRODUCTION: &str = "\
# Configuration

For whoever writes a configuration: every kind, every field, its default, and every mistake by its code. Each kind
begins with a complete configuration, which a test loads.

```sh
evenkeel check examples/quickstart.yaml     # every mistake at once: file, line, column, and what would be right
evenkeel run -c examples/quickstart.yaml    # a file or a folder
```

<!-- Generated from the table of fields in crates/config/src/shape. To rewrite it:
     UPDATE_DOCS=1 cargo test -p evenkeel-config the_reference_page -->

A configuration is a set of Gateway API resources in YAML or JSON files. A file may hold several documents, separated
by `---`; their order does not matter. `evenkeel schema` prints a JSON Schema of all that is below, for editors.

Durations have the form of GEP-2257: `250ms`, `30s`, `1h30m`. Quantities of bytes take the suffixes `k`, `M`, `G`,
`Ki`, `Mi` and `Gi`. Only `true` and `false` are booleans: `no` and `off` are texts. evenkeel refuses a field that an
API has and evenkeel does not support yet; it never ignores one silently.

evenkeel reads a list of resources (`kind: List`, as `kubectl get -o yaml` writes it) like its items. It ignores kinds
of APIs that it does not support at all, such as Deployment, with one warning for each kind. It refuses kinds of the
Gateway API and of Envoy Gateway that it does not support yet.

A route's reference to a Backend or Service of another namespace needs a ReferenceGrant there. A
`backendRefs` entry without `kind` and `port` names a Backend; with `port`, it names a Service. The endpoints
of a Service are, in this order:

1. what `--backends` says, of `run` and `check`: `--backends web.shop:80=10.0.0.1:8080,10.0.0.2:8080`, that is
   `SERVICE[.NAMESPACE][:PORT]=ENDPOINT[,ENDPOINT…]`, where an endpoint is `IP:PORT`, `NAME:PORT`, `:PORT` of
   this machine, or `unix:PATH`. `--backends FILE` names a file with one entry a line; it is watched like the
   configuration;
2. the ready endpoints of its EndpointSlices in the same files;
3. its `clusterIP`, if it has one.

If nothing says where a Service is, its share of a rule's requests is answered with 500, and a warning says so.
Every example of the directory `examples` is a complete configuration.
";

const CODES: &str = "
## Mistakes

Each kind of mistake has a number that keeps its meaning. `evenkeel check -o json` lists mistakes and warnings
as objects with `severity`, `code`, `file`, `line`, `column`, `message` and `help`. `evenkeel explain CODE` says more of one.

| Code | Meaning |
|---|---|
";

fn kind(shape: &KindShape, page: &mut String) {
    let (name, doc, example) = (shape.name, shape.doc, shape.example);
    _ = writeln!(page, "\n## {name}\n\n{doc}\n\n```yaml\n{example}```\n");
    _ = writeln!(page, "`apiVersion`: {}.", listed(shape.versions.iter().copied()));
    if !shape.old_versions.is_empty() {
        _ = writeln!(
            page,
            "Accepted with a warning: {}.",
            listed(shape.old_versions.iter().copied())
        );
    }
    let common = ["apiVersion", "kind", "metadata", "status"];
    let own = shape
        .root
        .fields
        .iter()
        .filter(|field| !common.contains(&field.name));
    table(&own.copied().collect::<Vec<Field>>(), page);
}

/// Fields and all that is in them, and below them what comes later.
fn table(fields: &[Field], page: &mut String) {
    page.push_str("\n| Field | Type | Default | Meaning |\n|---|---|---|---|\n");
    let mut walk = Walk {
        page,
        seen: Vec::new(),
        later: Vec::new(),
    };
    fields.iter().for_each(|field| walk.fields("", field));
    if !walk.later.is_empty() {
        let later = walk.later.join(", ");
        _ = writeln!(page, "\nNot supported yet, so refused: {later}.");
    }
}

/// One kind's fields, depth first.
struct Walk<'p> {
    page: &'p mut String,
    /// Shapes that are in the table already, and where.
    seen: Vec<(*const Shape, String)>,
    later: Vec<String>,
}

impl Walk<'_> {
    fn shape(&mut self, path: &str, shape: &'static Shape) {
        shape.fields.iter().for_each(|field| self.fields(path, field));
    }

    fn fields(&mut self, path: &str, field: &Field) {
        let (name, default) = (
            format!("{path}{}", field.name),
            if field.required { "required" } else { field.default },
        );
        if matches!(field.support, Support::Later(_)) {
            self.later.push(format!("`{name}`"));
            return;
        }
        let (inner, suffix) = match field.kind {
            Kind::Object(shape) | Kind::IntOr(_, shape) => (Some(shape), "."),
            Kind::Objects { of, .. } => (Some(of), "[]."),
            _ => (None, ""),
        };
        let known = inner.and_then(|shape| self.seen.iter().find(|(seen, _)| std::ptr::eq(*seen, shape)));
        let mut doc = match field.support {
            Support::Ignored(why) => format!("No effect: {why}."),
            _ => field.doc.to_owned(),
        };
        if let Some((_, place)) = known {
            doc += &format!(" Fields as in `{place}`.");
        }
        let words = cell(&type_words(field.kind));
        _ = writeln!(
            self.page,
            "| `{name}` | {words} | {} | {} |",
            cell(default),
            cell(&doc)
        );
        if let (Some(shape), None) = (inner, known) {
            self.seen.push((std::ptr::from_ref(shape), name.clone()));
            self.shape(&format!("{name}{suffix}"), shape);
        }
        if let Kind::Choice(choices) | Kind::Choices { of: choices, .. } = field.kind {
            let later = choices
                .iter()
                .filter(|choice| matches!(choice.support, Support::Later(_)));
            self.later
                .extend(later.map(|choice| format!("`{name}: {}`", choice.word)));
        }
    }
}

/// A type in a few words, for the page and for "add this field".
pub(crate) fn type_words(kind: Kind) -> String {
    match kind {
        Kind::Text(format) => format.noun().to_owned(),
        Kind::Texts { of, .. } => format!("list of {}", of.noun()),
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::Int(least, most) => format!("number, {least} to {most}"),
        Kind::Number(least, most) => format!("number, {least} to {most}, may have a fraction"),
        Kind::IntOr((least, most), _) => format!("number, {least} to {most}, or object"),
        Kind::Ints {
            of: (least, most), ..
        } => format!("list of numbers, {least} to {most}"),
        Kind::Duration { least_ms: 0 } => "duration".to_owned(),
        Kind::Duration { least_ms } => format!("duration, at least `{least_ms}ms`"),
        Kind::Quantity(least, most) => format!("bytes, {} to {}", units::bytes(least), units::bytes(most)),
        Kind::Choice(choices) => words(choices),
        Kind::Choices { of, .. } => format!("list of {}", words(of)),
        Kind::Object(_) => "object".to_owned(),
        Kind::Objects { least, most, .. } => format!("list of {least} to {most} objects"),
        Kind::Labels => "object of texts".to_owned(),
        Kind::Anything => "anything".to_owned(),
    }
}

fn words(choices: &[Choice]) -> String {
    let usable = choices
        .iter()
        .filter(|choice| !matches!(choice.support, Support::Later(_)));
    listed(usable.map(|choice| choice.word))
}

/// A bar would end the table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
