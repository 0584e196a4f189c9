//! The manual's command lines of `cargo xtask`, tried out: each is one that this program takes.

use std::path::Path;

use clap::CommandFactory as _;

use crate::Cli;

/// The arguments of each line that begins with `cargo xtask`, in the shell's blocks of README and docs.
fn lines() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = std::fs::read_dir(root.join("docs")).expect("docs");
    let docs = docs.filter_map(|entry| Some(entry.ok()?.path()));
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let pages = ["README.md", "CONTRIBUTING.md"].map(|name| root.join(name));
    let mut lines = Vec::new();
    for page in pages.into_iter().chain(docs) {
        let text = std::fs::read_to_string(&page).expect("a page");
        let commands = text.lines().filter(|line| line.starts_with("cargo xtask "));
        lines.extend(commands.map(|line| line.split(" #").next().unwrap_or(line).trim().to_owned()));
    }
    lines
}

#[test]
fn every_command_line_of_the_manual_is_taken() {
    let lines = lines();
    assert!(lines.len() >= 15, "{} lines", lines.len());
    for line in lines {
        let words = line.split_whitespace().skip(1);
        let taken = Cli::command().try_get_matches_from(words);
        assert!(taken.is_ok(), "{line}\n{}", taken.expect_err("it is not taken"));
    }
}
