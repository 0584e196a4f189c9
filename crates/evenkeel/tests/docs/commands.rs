//! Command lines, as far as they can be tried without running them: the program takes their arguments,
//! the admin has their paths. (Those of `cargo xtask` are tried by its own tests.)

use std::fmt::Write as _;

use super::{Block, blocks, evenkeel, is_written, name, pages, read, repository, succeeds};
use crate::harness::{Gateway, Peer, Upstream};

/// The commands of a block: without comments and without what follows a pipe or a redirection.
fn commands(block: &Block) -> Vec<(String, Vec<String>)> {
    let text = block.text.replace("\\\n", " ");
    let lines = text.lines().map(str::trim);
    let commands = lines.map(|line| (format!("{}: {line}", block.place), words(line)));
    commands.filter(|(_, words)| !words.is_empty()).collect()
}

/// The blocks of commands.
fn shell() -> Vec<Block> {
    blocks().into_iter().filter(Block::is_commands).collect()
}

/// A line as a shell takes it apart, as far as the manual asks for.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (Some(_), letter) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '|' | '>' | '&' | ';') => break,
            (None, '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            (None, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// With `--help` behind them arguments are read, and nothing is started.
fn is_taken(place: &str, arguments: &[String]) {
    let arguments = [arguments, &["--help".to_owned()]].concat();
    succeeds(place, &evenkeel(&arguments, ""));
}

#[test]
fn every_command_line_of_the_manual_is_taken() {
    let (mut ours, mut all) = (0, 0);
    let blocks = shell();
    let commands = blocks.iter().flat_map(|block| {
        let is_run = block.not_run().is_none();
        commands(block)
            .into_iter()
            .map(move |(place, words)| (is_run, place, words))
    });
    for (is_run, place, words) in commands {
        all += 1;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        match words[..] {
            ["evenkeel", ref arguments @ ..] | ["cargo", "run", "--release", "--", ref arguments @ ..] => {
                ours += 1;
                is_taken(&place, &owned(arguments));
            }
            ["cargo", "install", "--path", path] => {
                assert!(repository().join(path).join("Cargo.toml").exists(), "{place}");
            }
            // The block is run, or the tests of `cargo xtask` parse the line.
            ["cargo", "xtask", ..] => {}
            _ if is_run => {}
            [
                "jq" | "sudo" | "systemctl" | "journalctl" | "python3" | "uvicorn" | "gunicorn" | "hypercorn"
                | "uwsgi",
                ..,
            ] => {}
            _ => panic!("{place}: this test does not know how to try this command"),
        }
    }
    assert!(ours >= 15 && all >= 60, "{ours} command lines of {all}");
}

/// The admin's paths, in the shell's blocks.
#[test]
fn every_path_of_the_admin_that_the_manual_asks_for_is_there() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    let mut asked = 0;
    let blocks = shell();
    let answered = blocks.iter().filter(|block| block.mark != "errors");
    for (place, words) in answered.flat_map(commands) {
        let Some(path) = words
            .iter()
            .find_map(|word| word.split_once(":9901"))
            .map(|(_, path)| path)
        else {
            continue;
        };
        // Those would end this test's gateway; the tests of the admin have them.
        if words[0] != "curl" || path.is_empty() || path.contains("quit") || path.contains("drain") {
            continue;
        }
        let method = if words.iter().any(|word| word == "POST" || word == "-XPOST") {
            "POST"
        } else {
            "GET"
        };
        let mut admin = Peer::connect(gateway.admin);
        admin.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ));
        let told = admin.response();
        assert_eq!(told.status(), 200, "{place}\n{}", told.text());
        asked += 1;
    }
    assert!(asked >= 15, "{asked} paths");
}

/// Commands within a sentence: `evenkeel check -o json`.
#[test]
fn every_command_within_a_sentence_is_taken() {
    let mut count = 0;
    for page in pages() {
        for (number, line) in read(&page).lines().enumerate() {
            let spans = line.split('`').skip(1).step_by(2);
            let commands = spans.filter_map(|span| span.strip_prefix("evenkeel "));
            // Words in capitals stand for something else.
            for command in
                commands.filter(|command| !command.contains(|c: char| c.is_ascii_uppercase() || c == '…'))
            {
                count += 1;
                is_taken(&format!("{}:{}", name(&page), number + 1), &words(command));
            }
        }
    }
    assert!(count >= 5, "{count} commands");
}

/// What `docs/command-line.md` says before the help texts.
const COMMAND_LINE: &str = include_str!("command_line.md");

/// The reference of the command line is made of the program's own help.
#[test]
fn the_reference_of_the_command_line_is_what_the_program_says() {
    let said = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let output = evenkeel(&arguments, "");
        succeeds("--help", &output);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect::<String>()
    };
    let all = said(&["--help"]);
    let listed = all.lines().skip_while(|line| *line != "Commands:").skip(1);
    // Names stand behind two spaces; what goes on over the line is indented deeper.
    let listed = listed.take_while(|line| !line.is_empty());
    let listed = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let listed: Vec<&str> = listed
        .filter(|name| !name.is_empty() && *name != "help")
        .collect();
    assert!(listed.len() >= 8, "{listed:?}");
    let mut page = COMMAND_LINE.to_owned();
    _ = write!(page, "\n## evenkeel\n\n```text\n{all}```\n");
    for command in listed {
        let help = said(&[command, "--help"]);
        _ = write!(page, "\n## evenkeel {command}\n\n```text\n{help}```\n");
    }
    is_written("docs/command-line.md", &page);
}
