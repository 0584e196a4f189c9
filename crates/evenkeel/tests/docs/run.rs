//! Pages as stories: their blocks of commands are run one after the other, in a folder that has the page's
//! files and the repository's examples, before backends that listen where the page says.
//!
//! Ports are replaced, so that nothing on this machine is in the way; `evenkeel run` is started in the
//! background and waited for, since a reader goes on in another terminal. A second one ends the first.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::{Block, blocks_of, name, pages, repository};
use crate::harness::{Upstream, free_port, reply};

/// How long a block of commands may take; some seconds are usual.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the pages call by its name. The gateway's ports have defaults, which a page need not write.
const EVENKEEL: &str = r#"#!/bin/sh
case "$1" in run | quickstart) ;; *) exec PROGRAM "$@" ;; esac
case " $* " in *" --admin "*) ;; *) set -- "$@" --admin 127.0.0.1:9901 ;; esac
case " $* " in
*" --listen "*) ;;
" quickstart "* | *" --to "*) set -- "$@" --listen 127.0.0.1:8080 ;;
esac
if [ "$1" = quickstart ]; then exec PROGRAM "$@"; fi
if [ -f gateway.pid ]; then
    kill -9 "$(cat gateway.pid)" 2>/dev/null
    while kill -0 "$(cat gateway.pid)" 2>/dev/null; do sleep 0.05; done
fi
: >gateway.log
PROGRAM "$@" >>access.log 2>>gateway.log &
echo $! >gateway.pid
until grep -q 'is running' gateway.log; do
    if ! kill -0 "$(cat gateway.pid)"; then cat gateway.log >&2; exit 1; fi
    sleep 0.05
done
"#;

/// One page's folder, backends and ports.
struct Story {
    folder: tempfile::TempDir,
    /// The ports of the page, and those that stand for them.
    ports: Vec<(String, String)>,
    _backends: Vec<Upstream>,
}

impl Story {
    fn new() -> Self {
        let backends: Vec<Upstream> = (0..3)
            .map(|number| Upstream::answering(move |_| reply(&format!("backend {number}\n"))))
            .collect();
        let mut ports: Vec<(String, String)> = ["8080", "8081", "8443", "9901", "9902"]
            .map(|port| (port.to_owned(), free_port().to_string()))
            .to_vec();
        let listening = backends.iter().enumerate();
        ports.extend(
            listening
                .map(|(number, backend)| (format!("{}", 3000 + number), backend.address.port().to_string())),
        );
        let story = Self {
            folder: tempfile::tempdir().expect("a folder"),
            ports,
            _backends: backends,
        };
        story.write(
            "bin/evenkeel",
            &EVENKEEL.replace("PROGRAM", env!("CARGO_BIN_EXE_evenkeel")),
        );
        let curl = "silent\nshow-error\nmax-time = 20\n";
        story.write("curl/.curlrc", &format!("{curl}fail\n"));
        story.write("curl-errors/.curlrc", curl);
        let allowed = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(story.folder.path().join("bin/evenkeel"), allowed).expect("ours");
        for example in fs::read_dir(repository().join("examples")).expect("examples") {
            let example = example.expect("readable").path();
            let file = example.file_name().and_then(|file| file.to_str()).expect("UTF-8");
            story.write(
                &format!("examples/{file}"),
                &fs::read_to_string(&example).expect("readable"),
            );
        }
        story
    }

    /// Numbers that are ports of the page become those that stand for them.
    fn ported(&self, text: &str) -> String {
        let (mut out, mut word) = (String::new(), String::new());
        for letter in text.chars().chain(['\n']) {
            if letter.is_ascii_alphanumeric() {
                word.push(letter);
                continue;
            }
            let port = self.ports.iter().find(|(port, _)| *port == word);
            out.push_str(port.map_or(word.as_str(), |(_, other)| other));
            word.clear();
            out.push(letter);
        }
        out.pop();
        out
    }

    fn write(&self, file: &str, text: &str) {
        let file = self.folder.path().join(file);
        fs::create_dir_all(file.parent().expect("within")).expect("a folder");
        fs::write(file, self.ported(text)).expect("a file");
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap_or_default()
    }

    /// Runs a block; gives what it printed.
    fn run(&self, block: &Block) -> Result<String, String> {
        let file = |file: &str| fs::File::create(self.folder.path().join(file)).expect("a file");
        let path = std::env::var("PATH").unwrap_or_default();
        let curl = if block.mark == "errors" {
            "curl-errors"
        } else {
            "curl"
        };
        let mut command = Command::new("bash");
        command
            .args(["-e", "-c", &self.ported(&block.text)])
            .current_dir(self.folder.path())
            .env("PATH", format!("{}/bin:{path}", self.folder.path().display()))
            .env("CURL_HOME", self.folder.path().join(curl))
            .env_remove("STATE_DIRECTORY")
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"));
        // A group of its own, so that all of a block that takes too long can be ended.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|why| format!("bash: {why}"))?;
        let since = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|why| why.to_string())? {
                break status;
            }
            if since.elapsed() > PATIENCE {
                let group = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
                // It fails only when all of it has ended already.
                let _ = killpg(group, Signal::SIGKILL);
                drop(child.wait());
                return Err(format!("{}: still runs after {PATIENCE:?}", block.place));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let (said, complained) = (self.read("stdout"), self.read("stderr"));
        if status.success() {
            return Ok(said);
        }
        Err(format!(
            "{}: {status}\n{}\nstdout: {said}\nstderr: {complained}\ngateway: {}",
            block.place,
            block.text,
            self.read("gateway.log")
        ))
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if let Ok(gateway) = self.read("gateway.pid").trim().parse() {
            // It fails only when the gateway has ended already.
            let _ = kill(Pid::from_raw(gateway), Signal::SIGKILL);
        }
    }
}

/// A text with every number the same.
fn without_figures(text: &str) -> String {
    let mut out = String::new();
    for letter in text.trim_end().chars() {
        match letter {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            letter => out.push(letter),
        }
    }
    out
}

/// Whether `line` is `told`, in which `…` stands for anything.
fn is_told(told: &str, line: &str) -> bool {
    let (told, line) = (without_figures(told), without_figures(line));
    let Some((first, others)) = told.split_once('…') else {
        return told == line;
    };
    let (inner, last) = others.rsplit_once('…').unwrap_or(("", others));
    let within = line.strip_prefix(first).and_then(|rest| rest.strip_suffix(last));
    let mut parts = inner.split('…');
    within.is_some_and(|rest| {
        parts
            .try_fold(rest, |rest, part| Some(rest.split_once(part)?.1))
            .is_some()
    })
}

/// The first line of the block that was not printed, if there is one: lines come in the page's order,
/// and others may come between them.
fn missing<'t>(told: &'t str, said: &str) -> Option<&'t str> {
    let mut said = said.lines();
    let lines = told.lines().filter(|line| !matches!(line.trim(), "" | "…"));
    lines
        .into_iter()
        .find(|line| !said.any(|other| is_told(line, other)))
}

/// Runs one page; gives what went wrong.
fn tell(page: &Path) -> Result<usize, String> {
    let blocks = blocks_of(page);
    if !blocks
        .iter()
        .any(|block| block.is_commands() && block.not_run().is_none())
    {
        return Ok(0);
    }
    let story = Story::new();
    let (mut run, mut said) = (0, None);
    for block in &blocks {
        if let Some(file) = block.mark.strip_prefix("file=") {
            story.write(file, &block.text);
        } else if block.is_commands() && block.not_run().is_none() {
            said = Some(story.run(block)?);
            run += 1;
        } else if block.mark == "output" {
            let said = said
                .as_deref()
                .ok_or_else(|| format!("{}: of what?", block.place))?;
            if let Some(line) = missing(&block.text, said) {
                return Err(format!(
                    "{}: it does not print `{line}`, but\n{said}",
                    block.place
                ));
            }
        }
    }
    Ok(run)
}

#[test]
fn the_commands_of_every_page_run_and_print_what_the_page_says() {
    let pages = pages();
    let told: Vec<(String, Result<usize, String>)> = std::thread::scope(|scope| {
        let started: Vec<_> = pages
            .iter()
            .map(|page| (name(page), scope.spawn(|| tell(page))))
            .collect();
        let joined = started.into_iter().map(|(name, page)| {
            let result = page
                .join()
                .unwrap_or_else(|_| Err("the test panicked".to_owned()));
            (name, result)
        });
        joined.collect()
    });
    let (mut blocks, mut wrong) = (0, String::new());
    for (name, result) in told {
        match result {
            Ok(run) => blocks += run,
            Err(why) => _ = writeln!(wrong, "{name}\n{why}\n"),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(blocks >= 20, "{blocks} blocks of commands");
}

/// A page whose output is stale, or whose command fails, is found.
#[test]
fn lines_that_were_not_printed_are_found() {
    let said = "cluster::cx::5\nother::1\nid: 3af\nend\n";
    assert_eq!(missing("cluster::cx::1,0\nend\n", said), Some("cluster::cx::1,0"));
    assert_eq!(missing("cluster::cx::17\n…\nid: …\nend\n", said), None);
    assert_eq!(missing("end\ncluster::cx::5\n", said), Some("cluster::cx::5"));
    assert_eq!(
        missing("cluster::cx::5 more\n", said),
        Some("cluster::cx::5 more")
    );
    assert_eq!(missing("id: … x\n", said), Some("id: … x"));
}

#[test]
fn a_command_that_fails_is_found() {
    let block = |text: &str| Block {
        place: "here:1".to_owned(),
        language: "sh".to_owned(),
        mark: String::new(),
        text: text.to_owned(),
    };
    let story = Story::new();
    assert_eq!(
        story.run(&block("echo 'one  two'\n")),
        Ok("one  two\n".to_owned())
    );
    assert!(story.run(&block("false\necho on\n")).is_err());
    assert!(
        story
            .run(&block("evenkeel check there-is-no-such-file.yaml\n"))
            .is_err()
    );
    assert!(story.run(&block("curl http://127.0.0.1:8080/\n")).is_err());
}
