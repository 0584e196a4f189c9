//! Whatever is in a file, reading it ends with a model or with mistakes that can be shown.

use config::{ReadOptions, Source, read};
use proptest::prelude::*;

const EXAMPLES: [&str; 5] = [
    include_str!("../../../examples/quickstart.yaml"),
    include_str!("../../../examples/canary.yaml"),
    include_str!("../../../examples/retries.yaml"),
    include_str!("../../../examples/limits.yaml"),
    include_str!("../../../examples/overload.yaml"),
];

/// What changes a meaning rather than a letter.
const SPLINTERS: [&str; 22] = [
    "null",
    "[]",
    "{}",
    "\"\"",
    "-1",
    "1e99",
    "99999999999999999999",
    "true",
    "*a",
    "&a",
    "!!int x",
    "|\n",
    "\t",
    "---",
    "'",
    "\u{feff}",
    "é",
    "\r",
    "Gateway",
    "name",
    "0s",
    "99999h99999h",
];

fn read_and_show(text: String) {
    let source = Source {
        name: "any".to_owned(),
        text,
    };
    match read(std::slice::from_ref(&source), &ReadOptions::default()) {
        Ok(model) => assert!(!model.listeners.is_empty()),
        Err(mistakes) => {
            assert!(mistakes.errors() > 0);
            assert!(mistakes.render(true).len() >= mistakes.render(false).len());
            let lines = source.text.lines().count() as u32 + 1;
            assert!(
                mistakes
                    .list()
                    .iter()
                    .all(|m| m.line >= 1 && m.column >= 1 && m.line <= lines.max(1))
            );
            assert!(mistakes.to_json().is_array());
        }
    }
}

/// A place in a text, a length, and what is put there.
fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, prop::sample::Index)>> {
    prop::collection::vec(
        (
            any::<prop::sample::Index>(),
            0_usize..12,
            any::<prop::sample::Index>(),
        ),
        1..8,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_answered(text in "(\\PC|[\\n\\t :\\-{}\\[\\]#&*!|>'\"%]){0,200}") {
        read_and_show(text);
    }

    #[test]
    fn a_damaged_configuration_is_answered(which in 0..EXAMPLES.len(), edits in edits()) {
        let mut text: Vec<char> = EXAMPLES[which].chars().collect();
        for (place, length, splinter) in edits {
            let start = place.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, splinter.get(&SPLINTERS).chars());
        }
        read_and_show(text.into_iter().collect());
    }

    #[test]
    fn a_configuration_with_exchanged_values_is_answered(which in 0..EXAMPLES.len(), edits in edits()) {
        let mut lines: Vec<String> = EXAMPLES[which].lines().map(str::to_owned).collect();
        for (place, kind, splinter) in edits {
            let at = place.index(lines.len());
            match (kind % 3, lines[at].split_once(": ").map(|(key, _)| key.to_owned())) {
                (0, Some(key)) => lines[at] = format!("{key}: {}", splinter.get(&SPLINTERS)),
                (1, _) => _ = lines.remove(at),
                _ => lines.insert(at, lines[splinter.index(lines.len())].clone()),
            }
        }
        read_and_show(lines.join("\n"));
    }
}
