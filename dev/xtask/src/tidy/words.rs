//! One name per idea: synonyms that the vocabulary rejects, in identifiers and comments alike.

use super::Text;

/// Rejected words and what is said instead. Words that are good English or good HTTP in other
/// senses (host, target, link, rule, origin) are left to reviewers.
const REJECTED: [(&str, &str); 24] = [
    ("frontend", "downstream or listener"),
    ("vhost", "route"),
    ("middleware", "filter"),
    ("session", "connection or exchange"),
    ("transaction", "exchange"),
    ("acquire", "checkout"),
    ("backend", "endpoint, cluster or upstream"),
    ("lobby", "idle connections"),
    ("doorkeeper", "slot keeper"),
    ("knock", "readable, or on_readable"),
    ("visitor", "ready connection"),
    ("usher", "dispatch"),
    ("workspace", "scratch buffers"),
    ("timekeeper", "attempt deadlines"),
    ("postmortem", "record of a failure"),
    ("autopsy", "evidence of a failure"),
    ("twin", "replay clone"),
    ("pulse", "progress counter"),
    ("mouth", "tunnel side"),
    ("asker", "checkout request"),
    ("roster", "endpoint set"),
    ("rota", "round-robin schedule"),
    ("nest", "prefix index"),
    ("milliard", "billion"),
];

/// Where a rejected word is the right one, and why.
const ALLOWED: [(&str, &str, &str); 12] = [
    (
        "backend",
        "crates/config/",
        "the configuration's kind `Backend`, and Gateway API's `backendRefs`",
    ),
    (
        "backend",
        "crates/policy/src/route",
        "Gateway API's `backendRefs`, as configured",
    ),
    (
        "backend",
        "crates/policy/src/filter",
        "Gateway API's `backendRefs`, as configured",
    ),
    (
        "backend",
        "crates/policy/src/plan",
        "Gateway API's `backendRequest`, and the kind `BackendTrafficPolicy`",
    ),
    (
        "backend",
        "crates/policy/src/outcome",
        "sentences for operators, in their own word",
    ),
    (
        "backend",
        "crates/proxy/",
        "Gateway API's `backendRefs`, and sentences for operators",
    ),
    (
        "backend",
        "crates/evenkeel/",
        "what operators call it: `--to` a backend",
    ),
    (
        "asker",
        "crates/config/",
        "who names a cluster in a configuration",
    ),
    ("visitor", "crates/config/src/text", "serde's own name of a trait"),
    ("session", "crates/config/", "Gateway API's `sessionPersistence`"),
    (
        "middleware",
        "crates/proxy/src/admin",
        "axum's own name of a module",
    ),
    (
        "acquire",
        "crates/proxy/src/admin",
        "tokio's own name of a method",
    ),
];

pub(super) fn check(files: &[&Text]) -> Vec<String> {
    let ours = files
        .iter()
        .filter(|file| file.path.starts_with("crates/") && file.path.contains("/src/"));
    ours.flat_map(|file| {
        (1..).zip(file.text.lines()).flat_map(move |(number, line)| {
            rejected(line)
                .filter(|(word, _)| !is_allowed(word, &file.path))
                .map(move |(word, instead)| {
                    format!("{}:{number}: `{word}` is not our word; say {instead}", file.path)
                })
        })
    })
    .collect()
}

fn is_allowed(word: &str, path: &str) -> bool {
    ALLOWED
        .iter()
        .any(|(allowed, folder, _)| *allowed == word && path.starts_with(folder))
}

/// The rejected words of a line. The standard library's own name for a memory ordering is none.
fn rejected(line: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let line = line.replace("Ordering::Acquire", "");
    REJECTED.into_iter().filter(move |(word, _)| {
        words(&line).any(|found| found == *word || found.strip_suffix('s') == Some(word))
    })
}

/// A line's words in lower case; `snake_case` and `CamelCase` are several.
fn words(line: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in line.chars() {
        let begins = letter.is_uppercase() && before.is_lowercase();
        if !letter.is_alphabetic() || begins {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_alphabetic(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.into_iter().filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_every_spelling() {
        for line in [
            "let frontend = 1;",
            "struct HttpSession;",
            "fn acquire_one()",
            "// two transactions",
            "MIDDLEWARE",
        ] {
            assert_eq!(rejected(line).count(), 1, "{line}");
        }
        for line in [
            "obsession()",
            "load(Ordering::Acquire)",
            "acquired",
            "let endpoint = 1;",
        ] {
            assert_eq!(rejected(line).count(), 0, "{line}");
        }
    }
}
