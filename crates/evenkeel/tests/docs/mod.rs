//! The documentation, tried out: commands are run, blocks of YAML are loaded, links lead somewhere.
//!
//! The word behind three backticks, and what follows it, says what a test does with a block:
//!
//! | block | what is done |
//! |---|---|
//! | `sh` | run, in the order of the page (`run`): backends listen on ports 3000 to 3002 |
//! | `sh errors` | the same, and answers with a status of 400 and more are no failure |
//! | `sh no-run: REASON` | not run; its commands are only parsed (`commands`), and it is listed in `not_run.txt` |
//! | `text output` | lines that the block of commands before it printed, whatever their figures (`run`) |
//! | `yaml` | a whole configuration: `evenkeel check` accepts it (`yaml`) |
//! | `yaml file=NAME` | the same, and the page's commands find it under that name |
//! | `yaml fragment` | a part of a resource, or some resources: the test adds what is missing |
//! | `yaml refused: CODE` | the same, and `evenkeel check` refuses it with this code: what can not be done yet |
//! | `json` | parsed |
//! | `ini`, `nginx`, `haproxy`, `text`, … | of other programs, or of none: not tried |

mod commands;
mod run;
mod yaml;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::harness::{Gateway, Upstream};

/// A block between fences.
struct Block {
    /// File and line, for whoever mends it.
    place: String,
    /// The first word behind the fence.
    language: String,
    /// What follows it.
    mark: String,
    text: String,
}

impl Block {
    /// Why its commands are not run, if they are not.
    fn not_run(&self) -> Option<&str> {
        self.mark.strip_prefix("no-run:").map(str::trim)
    }

    fn is_commands(&self) -> bool {
        self.language == "sh"
    }
}

fn repository() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    crates.canonicalize().expect("the repository")
}

/// The files of the top folder that are documentation, and every page of `docs`.
fn pages() -> Vec<PathBuf> {
    let root = repository();
    let docs = std::fs::read_dir(root.join("docs")).expect("docs");
    let docs = docs.filter_map(|entry| Some(entry.ok()?.path()));
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let named = ["README", "SECURITY", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG"];
    let named = named.map(|name| root.join(format!("{name}.md")));
    let mut pages: Vec<PathBuf> = named.into_iter().chain(docs).collect();
    pages.sort_unstable();
    pages
}

/// A page's name within the repository.
fn name(page: &Path) -> String {
    let within = page.strip_prefix(repository()).expect("a page of the repository");
    within.display().to_string()
}

fn read(page: &Path) -> String {
    std::fs::read_to_string(page).unwrap_or_else(|why| panic!("{}: {why}", page.display()))
}

fn blocks() -> Vec<Block> {
    pages().iter().flat_map(|page| blocks_of(page)).collect()
}

fn blocks_of(page: &Path) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in read(page).lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(info)) => {
                let (language, mark) = info.trim().split_once(' ').unwrap_or((info.trim(), ""));
                open = Some(Block {
                    place: format!("{}:{}", name(page), number + 1),
                    language: language.to_owned(),
                    mark: mark.trim().to_owned(),
                    text: String::new(),
                });
            }
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: a block does not end", page.display());
    blocks
}

fn evenkeel(arguments: &[String], input: &str) -> Output {
    use std::io::Write as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(arguments)
        .current_dir(repository())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    // Whoever does not read it has ended.
    drop(child.stdin.take().expect("piped").write_all(input.as_bytes()));
    child.wait_with_output().expect("our own child")
}

#[track_caller]
fn succeeds(place: &str, output: &Output) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(
        output.status.success(),
        "{place}\n{}",
        String::from_utf8_lossy(&said)
    );
}

/// Compares `text` with a file of the repository, or writes it there where `UPDATE_DOCS` is set.
#[track_caller]
fn is_written(path: &str, text: &str) {
    let file = repository().join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, text).expect("writable");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == text,
        "{path} is not what it would be now; run: UPDATE_DOCS=1 cargo test -p evenkeel --test blackbox docs::\n{text}"
    );
}

#[test]
fn every_block_says_what_it_is() {
    let ours = ["", "fragment", "output"];
    for block in blocks() {
        let known = match block.language.as_str() {
            "sh" => {
                ["", "errors"].contains(&block.mark.as_str())
                    || block.not_run().is_some_and(|why| why.contains(' '))
            }
            "yaml" => {
                let begins = ["file=", "refused: "];
                ours.contains(&block.mark.as_str())
                    || begins.iter().any(|begin| block.mark.starts_with(begin))
            }
            "text" | "json" => ours.contains(&block.mark.as_str()),
            // Of other programs. A block without a language is one of text.
            "" | "ini" | "nginx" | "haproxy" | "promql" => block.mark.is_empty(),
            _ => false,
        };
        assert!(
            known,
            "{}: what is a block of `{} {}`?",
            block.place, block.language, block.mark
        );
    }
}

#[test]
fn every_page_of_the_manual_says_whom_it_is_for_and_has_an_example_early() {
    for page in pages() {
        let (name, text) = (name(&page), read(&page));
        if name.starts_with("docs/") {
            let begin = text.split("\n## ").next().unwrap_or_default();
            assert!(begin.contains("\nFor who"), "{name} does not say whom it is for");
            let early = blocks_of(&page).into_iter().any(|block| {
                let line = block.place.rsplit(':').next().and_then(|line| line.parse().ok());
                block.is_commands() && block.not_run().is_none() && line.is_some_and(|line: u32| line < 100)
            });
            assert!(
                early,
                "{name} has no example that runs in its first hundred lines"
            );
        }
    }
}

/// Whoever writes a block that is not run adds it to the list, so that a review sees it.
#[test]
fn blocks_that_are_not_run_are_listed_with_their_reasons() {
    let mut list = String::new();
    let all = blocks();
    for block in &all {
        if let Some(why) = block.not_run() {
            let page = block.place.split(':').next().unwrap_or_default();
            let first = block.text.lines().next().unwrap_or_default();
            list += &format!("{page}: {first}\n    {why}\n");
        }
    }
    let not_run = all.iter().filter(|block| block.not_run().is_some()).count();
    let run = all.iter().filter(|block| block.is_commands()).count() - not_run;
    println!("{run} blocks of commands are run, {not_run} are not:\n{list}");
    is_written("crates/evenkeel/tests/docs/not_run.txt", &list);
}

#[test]
fn the_admins_own_list_and_its_page_name_the_same_paths() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    let help = gateway.admin_get("/help").text();
    let listed: Vec<&str> = help
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .collect();
    let page = read(&repository().join("docs/admin.md"));
    let told: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `/")?.split('`').next())
        .collect();
    let listed: Vec<&str> = listed.iter().map(|path| &path[1..]).collect();
    assert_eq!(told, listed, "docs/admin.md and /help");
}

#[test]
fn every_block_of_json_in_the_manual_is_json() {
    for block in blocks().iter().filter(|block| block.language == "json") {
        let whole = serde_json::from_str::<serde_json::Value>(&block.text);
        let member = serde_json::from_str::<serde_json::Value>(&format!("{{{}}}", block.text));
        assert!(whole.is_ok() || member.is_ok(), "{}", block.place);
    }
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    for page in pages() {
        let folder = page.parent().expect("a folder");
        for (number, line) in read(&page).lines().enumerate() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let (file, _) = link.split_once('#').unwrap_or((link, ""));
                let is_elsewhere = file.contains("://") || file.is_empty() || file.contains(' ');
                assert!(
                    is_elsewhere || folder.join(file).exists(),
                    "{}:{}: there is no {file}",
                    page.display(),
                    number + 1
                );
            }
        }
    }
}

#[test]
fn read_on_lists_every_page() {
    let readme = read(&repository().join("README.md"));
    for page in pages() {
        let name = name(&page);
        assert!(
            name == "README.md" || readme.contains(&format!("({name})")),
            "README.md does not lead to {name}"
        );
    }
}

#[test]
fn the_page_on_services_has_the_unit_that_packages_have() {
    let unit = read(&repository().join("dev/package/evenkeel.service"));
    let page = read(&repository().join("docs/service.md"));
    assert!(page.contains(&format!("```ini\n{unit}```\n")), "docs/service.md");
}
