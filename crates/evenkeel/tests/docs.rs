//! The manual, tried out: every command line of it is one that the program takes, every path of the
//! admin is there, every block of YAML is a configuration without a mistake. (Those of `cargo xtask` are
//! tried by its own tests.)

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::harness::{Gateway, Peer, Upstream, yaml};

/// A block between fences.
struct Block {
    /// File and line, for whoever mends it.
    place: String,
    language: String,
    text: String,
}

fn repository() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    crates.canonicalize().expect("the repository")
}

/// README, SECURITY, and every page of `docs`.
fn pages() -> Vec<PathBuf> {
    let root = repository();
    let docs = std::fs::read_dir(root.join("docs")).expect("docs");
    let docs = docs.filter_map(|entry| Some(entry.ok()?.path()));
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let named =
        ["README.md", "SECURITY.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root.join(name));
    let mut pages: Vec<PathBuf> = named.into_iter().chain(docs).collect();
    pages.sort_unstable();
    pages
}

fn read(page: &Path) -> String {
    std::fs::read_to_string(page).unwrap_or_else(|why| panic!("{}: {why}", page.display()))
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for page in pages() {
        let mut open: Option<Block> = None;
        for (number, line) in read(&page).lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            match (&mut open, fence) {
                (None, Some(language)) => {
                    open = Some(Block {
                        place: format!("{}:{}", page.display(), number + 1),
                        language: language.trim().to_owned(),
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
    }
    blocks
}

/// The commands of the shell's blocks: without comments and without what follows a pipe or a redirection.
fn commands() -> Vec<(String, Vec<String>)> {
    let shell = |block: &Block| ["sh", "bash", "shell", "console"].contains(&block.language.as_str());
    let mut commands = Vec::new();
    for block in blocks().iter().filter(|block| shell(block)) {
        for line in block.text.replace("\\\n", " ").lines() {
            let line = line.trim().trim_start_matches("$ ");
            let words = words(line);
            if !words.is_empty() {
                commands.push((format!("{}: {line}", block.place), words));
            }
        }
    }
    commands
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
            (None, '|' | '>' | '&') => break,
            (None, '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            (None, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
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

/// With `--help` behind them arguments are read, and nothing is started.
fn is_taken(place: &str, arguments: &[String]) {
    let arguments = [arguments, &["--help".to_owned()]].concat();
    succeeds(place, &evenkeel(&arguments, ""));
}

fn try_evenkeel(place: &str, arguments: &[String]) {
    let file = arguments.iter().find(|word| word.ends_with(".yaml"));
    let is_here = file.is_none_or(|file| repository().join(file).exists());
    match arguments.first().map(String::as_str) {
        Some("check" | "schema" | "version" | "explain" | "help") if is_here => {
            succeeds(place, &evenkeel(arguments, ""));
        }
        _ => is_taken(place, arguments),
    }
}

#[test]
fn every_command_line_of_the_manual_is_taken() {
    let (mut ours, mut all) = (0, 0);
    for (place, words) in commands() {
        all += 1;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        match words[..] {
            ["evenkeel", ref arguments @ ..] | ["cargo", "run", "--release", "--", ref arguments @ ..] => {
                ours += 1;
                try_evenkeel(&place, &owned(arguments));
            }
            ["cargo", "install", "--path", path] => {
                assert!(repository().join(path).join("Cargo.toml").exists(), "{place}");
            }
            ["cargo", "xtask", ..] | ["curl", ..] => {}
            [
                "cargo" | "kill" | "docker" | "systemctl" | "sudo" | "dpkg" | "apt" | "cd" | "git" | "npx",
                ..,
            ] => {}
            _ => panic!("{place}: this test does not know how to try this command"),
        }
    }
    assert!(ours >= 5 && all >= 20, "{ours} command lines of {all}");
}

/// The admin's paths, in the shell's blocks and wherever a page names one behind its address.
#[test]
fn every_path_of_the_admin_that_the_manual_asks_for_is_there() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    let mut asked = 0;
    for (place, words) in commands() {
        let Some(path) = words
            .iter()
            .find_map(|word| word.split_once(":9901"))
            .map(|(_, path)| path)
        else {
            continue;
        };
        if words[0] != "curl" || path.is_empty() {
            continue;
        }
        let method = if words.iter().any(|word| word == "POST" || word == "-XPOST") {
            "POST"
        } else {
            "GET"
        };
        assert!(
            !path.contains("quit") && !path.contains("drain"),
            "{place}: would end this test's gateway"
        );
        let mut admin = Peer::connect(gateway.admin);
        admin.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ));
        let told = admin.response();
        assert_eq!(told.status(), 200, "{place}\n{}", told.text());
        asked += 1;
    }
    assert!(asked >= 5, "{asked} paths");
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

/// A part of a resource, in the resource that its first field belongs to.
fn in_its_resource(part: &str) -> String {
    let first = part.split([':', '\n']).next().unwrap_or_default().trim();
    let indented = |by: usize| -> String {
        let by = " ".repeat(by);
        part.lines().map(|line| format!("{by}{line}\n")).collect()
    };
    let policy = |kind: &str, target: &str| {
        format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: part}}\nspec:\n  targetRefs: [{target}]\n{}",
            indented(2)
        )
    };
    match first {
        "filters" | "matches" | "backendRefs" | "timeouts" => {
            let rest = if part.contains("backendRefs") {
                String::new()
            } else {
                format!("    backendRefs: [{}]\n", yaml::reference("app"))
            };
            yaml::route("part", &format!("  - name: part\n{}{rest}", indented(4)))
        }
        "clientIPDetection" | "headers" | "path" | "http1" | "connection" | "enableProxyProtocol" => policy(
            "ClientTrafficPolicy",
            "{group: gateway.networking.k8s.io, kind: Gateway, name: edge}",
        ),
        _ => policy(
            "BackendTrafficPolicy",
            "{group: evenkeel.dev, kind: Backend, name: app}",
        ),
    }
}

/// A block of YAML is a whole configuration, or some resources of one, or a part of a resource.
fn as_configuration(text: &str) -> String {
    let text = if text.contains("kind:") {
        text.to_owned()
    } else {
        in_its_resource(text)
    };
    let mut whole = text.clone() + "\n---\n";
    let resources: Vec<&str> = text.split("\n---").collect();
    let has = |kind: &str, name: &str| {
        resources.iter().any(|one| {
            one.contains(&format!("kind: {kind}\n"))
                && (name.is_empty()
                    || one.contains(&format!("name: {name}}}"))
                    || one.contains(&format!("name: {name}\n")))
        })
    };
    if !has("Gateway", "") {
        whole += &yaml::gateway(8080);
    }
    for name in ["app", "api", "cart", "cart-next"] {
        if text.contains(name) && !has("Backend", name) {
            whole += &yaml::backend(name, &[([127, 0, 0, 1], 3000).into()]);
        }
    }
    if !has("HTTPRoute", "") {
        whole += &yaml::route("app", &yaml::to("app"));
    }
    whole
}

#[test]
fn every_block_of_yaml_in_the_manual_is_a_configuration_without_a_mistake() {
    let mut count = 0;
    for block in blocks().iter().filter(|block| block.language == "yaml") {
        count += 1;
        let text = as_configuration(&block.text);
        let arguments = ["check", "-c", "-"].map(str::to_owned);
        let place = format!("{}\n{text}", block.place);
        succeeds(&place, &evenkeel(&arguments, &text));
    }
    assert!(count >= 6, "{count} blocks");
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
        let name = page
            .strip_prefix(repository())
            .expect("within")
            .display()
            .to_string();
        assert!(
            name == "README.md" || readme.contains(&format!("({name})")),
            "README.md does not lead to {name}"
        );
    }
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
                is_taken(&format!("{}:{}", page.display(), number + 1), &words(command));
            }
        }
    }
    assert!(count >= 1, "{count} commands");
}
