//! Holds a tree against the table: every unknown, missing, mistyped or ill-formed field is noted,
//! and the walk goes on.

use super::{Choice, Field, Format, Kind, Shape, Support};
use crate::mistake::{Code, Report};
use crate::node::{Entry, Node, Spot, Value, quoted};
use crate::suggest::nearest;
use crate::units;

/// Checks a mapping's fields. `at` is the place to mark if one is missing.
pub(crate) fn check_object(shape: &Shape, node: &Node, at: Spot, report: &mut Report) {
    let Some(entries) = node.entries() else {
        wrong_type("a mapping", node, at, report);
        return;
    };
    // What is beside a variant that is not supported yet belongs to it, and cannot be judged.
    if let Some((field, entry)) = entries.iter().find_map(|entry| later_variant(shape, entry)) {
        check_field(field, entry, report);
        return;
    }
    for entry in entries {
        match shape.field(&entry.key) {
            Some(field) => check_field(field, entry, report),
            None => unknown(shape, entries, entry, report),
        }
    }
    for field in shape.fields.iter().filter(|field| field.required) {
        let there = entries
            .iter()
            .any(|e| e.key == field.name && !matches!(e.value.value, Value::Null));
        if !there {
            report
                .error(
                    Code::Missing,
                    at,
                    format!("{} has no `{}`", shape.name, field.name),
                )
                .help(format!(
                    "add `{}`: {}",
                    field.name,
                    crate::reference::type_words(field.kind)
                ));
        }
    }
}

/// A field that is known one level deeper or less deep is probably indented wrongly.
fn level(shape: &Shape, key: &str) -> Option<String> {
    let inner = |field: &Field| match field.kind {
        Kind::Object(inner) | Kind::Objects { of: inner, .. } | Kind::IntOr(_, inner) => Some(inner),
        _ => None,
    };
    let usable = |field: &&Field| !matches!(field.support, Support::Later(_));
    let deeper = shape
        .fields
        .iter()
        .filter(usable)
        .find(|field| inner(field).is_some_and(|inner| inner.field(key).filter(usable).is_some()));
    if let Some(field) = deeper {
        return Some(format!(
            "it is a field of `{}`: indent it by more, below `{}:`",
            field.name, field.name
        ));
    }
    let outer = super::holder(shape).filter(|outer| outer.field(key).filter(usable).is_some())?;
    Some(format!("it is a field of {}: indent it by less", outer.name))
}

/// The entry that chooses a variant which is not supported yet.
fn later_variant<'e>(shape: &Shape, entry: &'e Entry) -> Option<(&'static Field, &'e Entry)> {
    let field = shape
        .field(&entry.key)
        .filter(|field| matches!(field.name, "type" | "kind"))?;
    let Kind::Choice(choices) = field.kind else {
        return None;
    };
    let chosen = choices
        .iter()
        .find(|choice| Some(choice.word) == entry.value.text())?;
    matches!(chosen.support, Support::Later(_)).then_some((field, entry))
}

fn unknown(shape: &Shape, entries: &[Entry], entry: &Entry, report: &mut Report) {
    let message = format!("{} has no field {}", shape.name, quoted(&entry.key));
    let full = report.is_full();
    let mistake = report.error(Code::UnknownField, entry.key_spot, message);
    if full {
        return;
    }
    let usable = || {
        shape
            .fields
            .iter()
            .filter(|field| !matches!(field.support, Support::Later(_)))
    };
    let free = usable()
        .map(|field| field.name)
        .filter(|name| entries.iter().all(|e| e.key != *name));
    let help = match (nearest(&entry.key, free), level(shape, &entry.key)) {
        (_, Some(help)) => help,
        (Some(name), None) => format!("did you mean `{name}`?"),
        (None, None) => format!("known fields: {}", listed(usable().map(|field| field.name))),
    };
    mistake.help(help);
}

fn check_field(field: &Field, entry: &Entry, report: &mut Report) {
    match field.support {
        Support::Full => {}
        Support::Later(instead) => {
            later(field.name, instead, entry.key_spot, report);
            return;
        }
        Support::Ignored(why) => {
            report
                .error(
                    Code::Ignored,
                    entry.key_spot,
                    format!("`{}` has no effect", field.name),
                )
                .help(why);
        }
    }
    // Kubernetes reads a key without value as absent.
    if !matches!(entry.value.value, Value::Null) {
        check_value(field.kind, &entry.value, entry.key_spot, report);
    }
}

fn later(what: &str, instead: &str, spot: Spot, report: &mut Report) {
    report
        .error(Code::Later, spot, format!("`{what}` is not supported yet"))
        .help(instead);
}

fn check_value(kind: Kind, node: &Node, key: Spot, report: &mut Report) {
    match kind {
        Kind::Text(format) => check_text(format, node, key, report),
        Kind::Texts { of, least, most } => {
            each(node, (least, most), key, report, |item, report| {
                check_text(of, item, item.spot, report)
            });
        }
        Kind::Bool => {
            if !matches!(node.value, Value::Bool(_)) {
                wrong_type("`true` or `false`", node, key, report);
            }
        }
        Kind::Int(least, most) => check_int((least, most), node, key, report),
        Kind::Number(least, most) => check_number((least, most), node, key, report),
        Kind::IntOr(_, shape) if node.entries().is_some() => check_object(shape, node, key, report),
        Kind::IntOr(bounds, _) => check_int(bounds, node, key, report),
        Kind::Ints { of, most } => {
            each(node, (0, most), key, report, |item, report| {
                check_int(of, item, item.spot, report)
            });
        }
        Kind::Duration { least_ms } => check_duration(least_ms, node, key, report),
        Kind::Quantity(least, most) => check_quantity((least, most), node, key, report),
        Kind::Choice(choices) => check_choice(choices, node, key, report),
        Kind::Choices { of, most } => {
            each(node, (0, most), key, report, |item, report| {
                check_choice(of, item, item.spot, report)
            });
        }
        Kind::Object(shape) => check_object(shape, node, key, report),
        Kind::Objects { of, least, most } => {
            each(node, (least, most), key, report, |item, report| {
                check_object(of, item, first_key(item), report);
            });
        }
        Kind::Labels => check_labels(node, key, report),
        Kind::Anything => {}
    }
}

/// A mapping in a list has no key of its own: its first field is marked instead.
fn first_key(item: &Node) -> Spot {
    item.entries()
        .and_then(<[Entry]>::first)
        .map_or(item.spot, |entry| entry.key_spot)
}

fn each(
    node: &Node,
    (least, most): (usize, usize),
    key: Spot,
    report: &mut Report,
    mut check: impl FnMut(&Node, &mut Report),
) {
    let Value::List(items) = &node.value else {
        wrong_type("a list", node, key, report).help("put `- ` before each item");
        return;
    };
    if items.len() < least || items.len() > most {
        report
            .error(
                Code::OutOfRange,
                key,
                format!("this list has {} items", items.len()),
            )
            .help(format!("it must have {least} to {most}"));
    }
    items.iter().for_each(|item| check(item, report));
}

fn check_text(format: Format, node: &Node, key: Spot, report: &mut Report) {
    let Some(text) = node.text() else {
        let written = quoted(report.written(node.spot).trim());
        let scalar = !matches!(node.value, Value::List(_) | Value::Map(_) | Value::Null);
        let mistake = wrong_type("a text", node, key, report);
        if scalar {
            mistake.help(format!("put it in quotes: `\"{}\"`", written.trim_matches('`')));
        }
        return;
    };
    if let Err(complaint) = format.check(text) {
        report
            .error(complaint.code, node.spot, complaint.message)
            .help(complaint.help);
    }
}

fn check_int((least, most): (i64, i64), node: &Node, key: Spot, report: &mut Report) {
    match &node.value {
        Value::Int(value) if (least..=most).contains(value) => {}
        Value::Int(value) => {
            report
                .error(Code::OutOfRange, node.spot, format!("{value} is out of range"))
                .help(format!("use {least} to {most}"));
        }
        Value::Text(text) if text.parse::<i64>().is_ok() => {
            let help = format!("write {text} without quotes");
            wrong_type("a number", node, key, report).help(help);
        }
        _ => {
            wrong_type("a whole number", node, key, report);
        }
    }
}

fn check_number((least, most): (f64, f64), node: &Node, key: Spot, report: &mut Report) {
    match (node.number(), node.text()) {
        (Some(value), _) if (least..=most).contains(&value) => {}
        (Some(value), _) => {
            report
                .error(Code::OutOfRange, node.spot, format!("{value} is out of range"))
                .help(format!("use {least} to {most}"));
        }
        (None, Some(text)) if text.parse::<f64>().is_ok_and(f64::is_finite) => {
            let help = format!("write {text} without quotes");
            wrong_type("a number", node, key, report).help(help);
        }
        (None, _) => {
            wrong_type("a number", node, key, report);
        }
    }
}

fn check_duration(least_ms: u64, node: &Node, key: Spot, report: &mut Report) {
    let Some(text) = node.text() else {
        let help = match &node.value {
            Value::Int(seconds) => format!("add a unit: `{seconds}s` or `{seconds}ms`"),
            _ => "write it as `30s`, `250ms` or `1h30m`".to_owned(),
        };
        wrong_type("a duration", node, key, report).help(help);
        return;
    };
    match units::duration(text) {
        Err(help) => {
            report
                .error(
                    Code::BadDuration,
                    node.spot,
                    format!("{} is not a duration", quoted(text)),
                )
                .help(help);
        }
        Ok(span) if span.as_millis() < u128::from(least_ms) => {
            report
                .error(
                    Code::OutOfRange,
                    node.spot,
                    format!("{} is too short", quoted(text)),
                )
                .help(format!("use at least `{least_ms}ms`"));
        }
        Ok(_) => {}
    }
}

fn check_quantity((least, most): (u64, u64), node: &Node, key: Spot, report: &mut Report) {
    let bytes = match &node.value {
        Value::Int(bytes) => u64::try_from(*bytes).ok(),
        Value::Text(text) => units::quantity(text),
        _ => {
            wrong_type("a quantity of bytes", node, key, report).help("write it as `65536` or `64Ki`");
            return;
        }
    };
    let help = format!("use {} to {}", units::bytes(least), units::bytes(most));
    match bytes {
        None => {
            let message = format!("{} is not a quantity of bytes", node.what());
            report
                .error(Code::BadQuantity, node.spot, message)
                .help("write it as `65536`, `64Ki` or `1Mi`");
        }
        Some(bytes) if bytes < least || bytes > most => {
            report
                .error(
                    Code::OutOfRange,
                    node.spot,
                    format!("{bytes} bytes is out of range"),
                )
                .help(help);
        }
        Some(_) => {}
    }
}

fn check_choice(choices: &[Choice], node: &Node, key: Spot, report: &mut Report) {
    let Some(text) = node.text() else {
        wrong_type("a text", node, key, report).help(format!("one of {}", listed(usable(choices))));
        return;
    };
    match choices.iter().find(|choice| choice.word == text) {
        Some(Choice {
            support: Support::Full,
            ..
        }) => {}
        Some(Choice {
            word,
            support: Support::Later(instead),
        }) => later(word, instead, node.spot, report),
        Some(Choice {
            word,
            support: Support::Ignored(why),
        }) => {
            report
                .error(Code::Ignored, node.spot, format!("`{word}` has no effect"))
                .help(*why);
        }
        None => {
            let help = match nearest(text, usable(choices)) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("use {}", listed(usable(choices))),
            };
            report
                .error(
                    Code::NotAllowed,
                    node.spot,
                    format!("{} is not allowed here", quoted(text)),
                )
                .help(help);
        }
    }
}

fn usable(choices: &[Choice]) -> impl Iterator<Item = &'static str> {
    choices
        .iter()
        .filter(|choice| !matches!(choice.support, Support::Later(_)))
        .map(|choice| choice.word)
}

fn check_labels(node: &Node, key: Spot, report: &mut Report) {
    match node.entries() {
        None => {
            wrong_type("a mapping", node, key, report);
        }
        Some(entries) => entries
            .iter()
            .for_each(|e| check_text(Format::Plain, &e.value, e.key_spot, report)),
    }
}

/// The value itself is marked, or its key if it spans lines.
fn wrong_type<'r>(
    wanted: &str,
    node: &Node,
    key: Spot,
    report: &'r mut Report,
) -> &'r mut crate::mistake::Mistake {
    let spot = if matches!(node.value, Value::List(_) | Value::Map(_)) {
        key
    } else {
        node.spot
    };
    report.error(
        Code::WrongType,
        spot,
        format!("expected {wanted}, found {}", node.what()),
    )
}

/// `a`, `b` or `c`, each in backticks.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}
