//! Inside `proxy` the folders are layers: each imports only those below it, and HTTP/1 is named only where it is
//! spoken.

use super::Text;

const PROXY: &str = "crates/proxy/src/";

/// The layers, from the top. Folders of one row may import each other. `worker/run` is above `downstream`, since it
/// starts listeners; the rest of `worker` is what everyone on the thread may hold.
const LAYERS: [&[&str]; 12] = [
    &["sim"],
    &["control", "admin"],
    &["worker/run"],
    &["downstream"],
    &["exchange"],
    &["upstream"],
    &["worker/context"],
    &["snapshot"],
    &["cluster"],
    &["telemetry"],
    &["transport"],
    &["engine"],
];

/// Imports upwards that still stand: the file, and the module of which it names something.
const UPWARD: [(&str, &str); 10] = [
    ("exchange/answer.rs", "downstream::client"),
    ("exchange/answer/pending_body.rs", "downstream::client"),
    ("exchange/attempt.rs", "downstream::client"),
    ("exchange/attempt_result.rs", "downstream::client"),
    ("exchange/forward.rs", "downstream::client"),
    ("exchange/mod.rs", "downstream::client"),
    ("exchange/relay.rs", "downstream::client"),
    ("exchange/reply.rs", "downstream::client"),
    ("exchange/route.rs", "downstream::client"),
    ("exchange/route/filters.rs", "downstream::client"),
];

/// Files outside `downstream/h1` and `upstream/h1` that still name `wire::h1`. Heads and body lengths belong into a
/// message without a version.
const NAMING_H1: [&str; 32] = [
    "control/health/check.rs",
    "downstream/begun.rs",
    "downstream/client.rs",
    "downstream/idle.rs",
    "exchange/answer.rs",
    "exchange/answer/pending_body.rs",
    "exchange/answer/unused.rs",
    "exchange/attempt_result.rs",
    "exchange/explain.rs",
    "exchange/fault.rs",
    "exchange/forward.rs",
    "exchange/hedge.rs",
    "exchange/local_reply.rs",
    "exchange/mirror.rs",
    "exchange/mod.rs",
    "exchange/reply.rs",
    "exchange/route.rs",
    "exchange/route/host.rs",
    "exchange/route/owner.rs",
    "exchange/route/paths.rs",
    "exchange/view.rs",
    "snapshot/mod.rs",
    "telemetry/record.rs",
    "upstream/attempt.rs",
    "upstream/body.rs",
    "upstream/body/download.rs",
    "upstream/body/download/reframe.rs",
    "upstream/body/download/taken.rs",
    "upstream/body/upload.rs",
    "upstream/interim.rs",
    "upstream/lease.rs",
    "upstream/protocol_probe.rs",
];

pub(super) fn check(files: &[&Text]) -> Vec<String> {
    let ours: Vec<&Text> = files
        .iter()
        .filter(|file| file.path.starts_with(PROXY) && !is_test(&file.path))
        .copied()
        .collect();
    let mut wrong = Vec::new();
    let mut upward = Vec::new();
    let mut naming = Vec::new();
    for file in &ours {
        let name = &file.path[PROXY.len()..];
        for (number, import) in imports(&file.text) {
            if !is_upward(name, &import) {
                continue;
            }
            let module: Vec<&str> = import.split("::").take(2).collect();
            let module = module.join("::");
            if !UPWARD.contains(&(name, module.as_str())) {
                wrong.push(format!(
                    "{}:{number}: imports crate::{import}, which is a layer above; hand the fact down, or move the type",
                    file.path
                ));
            }
            upward.push((name, module));
        }
        if names_h1(&file.text) && !speaks_h1(name) {
            naming.push(name);
            if !NAMING_H1.contains(&name) {
                wrong.push(format!(
                    "{}: names wire::h1; only downstream/h1 and upstream/h1 speak it",
                    file.path
                ));
            }
        }
    }
    let stale = UPWARD
        .iter()
        .filter(|(name, module)| !upward.iter().any(|(file, to)| file == name && to == module));
    wrong.extend(stale.map(|(name, module)| {
        format!("{PROXY}{name}: imports crate::{module} no more; strike the exception")
    }));
    let stale = NAMING_H1.iter().filter(|name| !naming.contains(name));
    wrong.extend(stale.map(|name| format!("{PROXY}{name}: names wire::h1 no more; strike the exception")));
    wrong
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

fn speaks_h1(name: &str) -> bool {
    ["downstream/h1", "upstream/h1"]
        .iter()
        .any(|folder| name.starts_with(folder))
}

fn names_h1(text: &str) -> bool {
    code(text).any(|(_, line)| line.contains("wire::h1"))
}

/// Whether a file of this name may not import this path, which begins behind `crate::`.
fn is_upward(name: &str, import: &str) -> bool {
    let path = import.replace("::", "/");
    match (layer(name), layer(&path)) {
        (Some(from), Some(to)) => to < from,
        _ => false,
    }
}

/// The row of a file or a path in [`LAYERS`].
fn layer(path: &str) -> Option<usize> {
    let is_in = |folder: &&str| {
        path.strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']))
    };
    LAYERS.iter().position(|row| row.iter().any(is_in))
}

/// What a file names of its own crate, with the line: the paths behind `crate::`, each path of a list in braces.
fn imports(text: &str) -> impl Iterator<Item = (usize, String)> {
    let joined: Vec<(usize, &str)> = code(text).collect();
    let mut found = Vec::new();
    for (at, (number, line)) in joined.iter().enumerate() {
        for (start, _) in line.match_indices("crate::") {
            let before = line[..start].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_') {
                continue;
            }
            let mut tail = line[start + "crate::".len()..].to_owned();
            // A list in braces may go on for lines.
            for (_, more) in joined.iter().skip(at + 1) {
                if tail.matches('{').count() == tail.matches('}').count() {
                    break;
                }
                tail.push_str(more.trim());
            }
            let path: String = tail
                .chars()
                .take_while(|&letter| letter.is_alphanumeric() || "_:".contains(letter))
                .collect();
            let list = tail[path.len()..]
                .strip_prefix('{')
                .and_then(|list| list.split('}').next());
            match list {
                Some(list) => found.extend(
                    list.split(',')
                        .map(|one| (*number, format!("{path}{}", one.trim()))),
                ),
                None => found.push((*number, path.trim_end_matches(':').to_owned())),
            }
        }
    }
    found.into_iter()
}

/// A file's lines of code with their numbers: no comments, and no module of tests at its end.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end]
        .lines()
        .map(|line| line.split("//").next().unwrap_or(line));
    (1..).zip(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        let file = Text {
            path: format!("{PROXY}{path}"),
            text: text.to_owned(),
        };
        let all = check(&[&file]);
        all.into_iter().filter(|line| !line.contains("strike")).collect()
    }

    #[test]
    fn an_import_of_a_layer_above_is_wrong_however_it_is_written() {
        for text in [
            "use crate::downstream::client::Client;\n",
            "use crate::{engine, downstream::client::Client};\n",
            "use crate::{\n    engine,\n    exchange::Exchange,\n};\n",
            "fn f() {\n    crate::worker::run::run();\n}\n",
            "use crate::exchange;\n",
            "pub(crate) use crate::control::{reload::Control, server};\n",
        ] {
            assert!(!complaints("upstream/lease.rs", text).is_empty(), "{text}");
        }
    }

    #[test]
    fn imports_downwards_of_ones_own_layer_and_in_tests_and_comments_are_right() {
        for text in [
            "use crate::engine::{self, Alarm};\n",
            "use crate::upstream::connect;\n",
            "use crate::worker::context::Worker;\n",
            "// crate::exchange is above\n",
            "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::exchange::Exchange;\n}\n",
            "use mycrate::exchange::Exchange;\n",
            "use crate::NAME;\n",
        ] {
            assert_eq!(complaints("upstream/lease.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn an_exception_that_is_not_needed_any_more_is_to_be_struck() {
        let file = Text {
            path: format!("{PROXY}exchange/mod.rs"),
            text: String::new(),
        };
        let (name, module) = UPWARD
            .first()
            .copied()
            .unwrap_or(("exchange/mod.rs", "downstream::client"));
        let told = check(&[&file]);
        let expected = format!("{PROXY}{name}: imports crate::{module} no more; strike the exception");
        assert_eq!(told.contains(&expected), !UPWARD.is_empty());
    }

    #[test]
    fn http_1_is_named_only_where_it_is_spoken() {
        let text = "use wire::h1::head::Limits;\n";
        assert_eq!(complaints("exchange/nowhere.rs", text).len(), 1);
        assert_eq!(complaints("downstream/h1.rs", text), [""; 0]);
        assert_eq!(complaints("upstream/h1/body.rs", text), [""; 0]);
    }
}
