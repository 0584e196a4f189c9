//! `cargo xtask tidy`: the walls that no compiler checks.

mod floors;
mod layers;
mod sizes;
mod words;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::race::install::repository;
use crate::{Fallible, Verdict};

/// A file of the repository, read.
pub(crate) struct Text {
    /// From the root.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Looks at every file and reports all that is wrong.
///
/// # Errors
/// Git or cargo cannot be asked.
pub(crate) fn tidy() -> Fallible<Verdict> {
    let root = repository();
    let files = files(&root)?;
    let rust: Vec<&Text> = files.iter().filter(|file| file.path.ends_with(".rs")).collect();
    let mut wrong = sizes::check(&rust);
    wrong.extend(words::check(&rust));
    wrong.extend(layers::check(&rust));
    wrong.extend(leftovers(&files));
    wrong.extend(named_paths(&root, &files));
    wrong.extend(floors::check(&root)?);
    for complaint in &wrong {
        println!("{complaint}");
    }
    eprintln!("tidy: {} files, {} to mend", files.len(), wrong.len());
    Ok(if wrong.is_empty() {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}

/// The files that git tracks or would track, as far as they are text.
fn files(root: &Path) -> Fallible<Vec<Text>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root);
    let output = git.output().map_err(|why| format!("git: {why}"))?;
    if !output.status.success() {
        return Err(format!("git: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let paths = String::from_utf8(output.stdout)?;
    let texts = paths.split_terminator('\0').filter_map(|path| {
        let text = std::fs::read_to_string(root.join(path)).ok()?;
        Some(Text {
            path: path.to_owned(),
            text,
        })
    });
    Ok(texts.collect())
}

/// What is easily left behind: unfinished code, tests switched off without a reason, paths of the
/// machine that it was written on.
fn leftovers(files: &[Text]) -> Vec<String> {
    // Put together here, so that this file is not found guilty itself.
    let unfinished = ["todo", "unimplemented"].map(|word| format!("{word}!("));
    let machine = ["work", "root", "home", "farm"].map(|folder| format!("/{folder}/"));
    let ignored = format!("#[{}]", "ignore");
    let mut wrong = Vec::new();
    for file in files {
        for (number, line) in (1..).zip(file.text.lines()) {
            let at = format!("{}:{number}", file.path);
            if file.path.ends_with(".rs") && unfinished.iter().any(|word| line.contains(word.as_str())) {
                wrong.push(format!("{at}: unfinished code; finish it or leave it out"));
            }
            if file.path.ends_with(".rs") && line.trim() == ignored {
                wrong.push(format!(
                    "{at}: a test that is switched off says why: #[ignore = \"…\"]"
                ));
            }
            if file.path != "Cargo.lock" && machine.iter().any(|path| names_machine_path(line, path)) {
                wrong.push(format!(
                    "{at}: a path of one machine; name it from the repository's root"
                ));
            }
        }
    }
    wrong
}

/// Whether `line` has `folder` at the beginning of a path (not inside a URL's or a longer one).
fn names_machine_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|before| before.is_whitespace() || "\"'`(=:".contains(before))
    })
}

/// ARCHITECTURE.md must not describe a house that is not there.
fn named_paths(root: &Path, files: &[Text]) -> Vec<String> {
    const NAME: &str = "ARCHITECTURE.md";
    let Some(map) = files.iter().find(|file| file.path == NAME) else {
        return vec![format!("{NAME} is missing")];
    };
    let is_path = |word: &str| {
        ["crates/", "dev/", "docs/", "examples/", ".ci/"]
            .iter()
            .any(|top| word.starts_with(top))
            && !word.contains(['*', '{', '<', ' ', '…'])
    };
    let words = map
        .text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| is_path(word));
    words
        .map(|word| PathBuf::from(word.split(':').next().unwrap_or(word)))
        .filter(|path| !root.join(path).exists())
        .map(|path| format!("{NAME}: {} does not exist", path.display()))
        .collect()
}
