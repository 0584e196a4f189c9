//! `cargo xtask test`: every test there is, with what the lanes of real programs need installed,
//! and what was skipped said plainly.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::geteuid;

use crate::race::install::{is_program, lanes_directory, python_with, repository};
use crate::step::{Outcome, Steps, apt, cargo, run};
use crate::{Fallible, Verdict, h2spec};

/// Programs that the lanes run, and Debian's packages of them. (uvicorn and gunicorn come into a
/// Python venv of the lanes' own.)
const PROGRAMS: [(&str, &str); 6] = [
    ("node", "nodejs"),
    ("nginx", "nginx-light"),
    ("apache2", "apache2-bin"),
    ("haproxy", "haproxy"),
    ("go", "golang-go"),
    ("ip", "iproute2"),
];

/// Runs the black-box tests that are ignored beside others.
const ALONE: [&str; 9] = [
    "test",
    "--locked",
    "-p",
    "evenkeel",
    "--test",
    "blackbox",
    "--",
    "--ignored",
    "--test-threads=1",
];

/// Single tests, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Tally {
    /// Counts a lane as one test.
    fn count(&mut self, lane: &Outcome) {
        match lane {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Skipped(_) => self.skipped += 1,
        }
    }
}

/// Runs every test.
///
/// # Errors
/// The lanes' folder cannot be made.
pub(crate) fn test() -> Fallible<Verdict> {
    let mut steps = Steps::default();
    let mut tally = Tally::default();
    let lanes = lanes_directory()?;
    steps.take("install", install);
    let all = ["test", "--workspace", "--locked", "--no-fail-fast"];
    steps.take("cargo test", || cargo_test(&all, &mut tally));
    // Tests that ask for a machine of their own, one after the other.
    let mut alone = Tally::default();
    steps.take("cargo test, alone", || cargo_test(&ALONE, &mut alone));
    tally.passed += alone.passed;
    tally.failed += alone.failed;
    tally.skipped = tally.skipped.saturating_sub(alone.passed + alone.failed);
    steps.take("h2spec", || {
        let outcome = h2spec::lane();
        tally.count(&outcome);
        outcome
    });
    for lane in ["race", "real"] {
        steps.take(&format!("{lane} --quick"), || run_lane(lane, &lanes, &mut tally));
    }
    println!("\n{}", steps.table());
    println!(
        "{} passed, {} failed, {} skipped",
        tally.passed, tally.failed, tally.skipped
    );
    Ok(if steps.hold() && tally.failed == 0 {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}

/// Installs what is missing, where we may; a lane that still lacks something says so itself.
fn install() -> Outcome {
    let missing: Vec<_> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_installed(program))
        .collect();
    if missing.is_empty() && has_venv() {
        return Outcome::Passed;
    }
    let names = missing
        .iter()
        .map(|(program, _)| *program)
        .collect::<Vec<_>>()
        .join(", ");
    if !geteuid().is_root() {
        return Outcome::Skipped(format!("not root, so these stay missing: {names}"));
    }
    if !is_program("apt-get") {
        return Outcome::Skipped(format!("no Debian, so these stay missing: {names}"));
    }
    apt(&["update"]);
    // One by one: a package that is not to be had must not keep the others away.
    let venv = [("venv", "python3-venv")];
    let wanted = missing
        .into_iter()
        .chain(if has_venv() { &[] } else { venv.as_slice() });
    let failed: Vec<&str> = wanted
        .filter(|(_, package)| apt(&["install", "-y", "--no-install-recommends", package]) != Outcome::Passed)
        .map(|(_, package)| *package)
        .collect();
    if failed.is_empty() {
        Outcome::Passed
    } else {
        Outcome::Skipped(format!("not to be had: {}", failed.join(", ")))
    }
}

/// Servers are found in `/usr/sbin` too, which is not in everybody's path.
fn is_installed(program: &str) -> bool {
    is_program(program)
        || ["/usr/sbin", "/usr/local/go/bin", "/sbin"]
            .iter()
            .any(|folder| Path::new(folder).join(program).exists())
}

fn has_venv() -> bool {
    let mut python = Command::new("python3");
    python
        .args(["-c", "import venv, ensurepip"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

fn cargo_test(arguments: &[&str], tally: &mut Tally) -> Outcome {
    let mut command = cargo(arguments);
    // Most tests wait more than they compute.
    command.env(
        "RUST_TEST_THREADS",
        std::env::var("RUST_TEST_THREADS").unwrap_or_else(|_| "4".to_owned()),
    );
    // The HTTP/2 codec's tests say so where they miss it.
    if let Ok(python) = python_with("hpack") {
        command.env("H2_PYTHON", python);
    }
    command
        .current_dir(repository())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(why) => {
            eprintln!("cargo test: {why}");
            return Outcome::Failed;
        }
    };
    for line in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|stdout| BufReader::new(stdout).lines().map_while(Result::ok))
    {
        println!("{line}");
        if let Some(counted) = counted(&line) {
            tally.passed += counted.passed;
            tally.failed += counted.failed;
            tally.skipped += counted.skipped;
        }
    }
    match child.wait() {
        Ok(status) if status.success() => Outcome::Passed,
        _ => {
            // A test binary that did not even build or end well counts, too.
            tally.failed = tally.failed.max(1);
            Outcome::Failed
        }
    }
}

/// The figures of a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn counted(line: &str) -> Option<Tally> {
    let rest = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let figure = |word: &str| {
        rest.split(';')
            .find_map(|part| part.trim().strip_suffix(word)?.trim().parse::<usize>().ok())
            .unwrap_or(0)
    };
    Some(Tally {
        passed: figure("passed"),
        failed: figure("failed"),
        skipped: figure("ignored"),
    })
}

/// Runs a lane of the lab in a process of its own and counts it as one test; what it skipped
/// counts, too.
fn run_lane(lane: &str, lanes: &Path, tally: &mut Tally) -> Outcome {
    let outcome = match hindrance() {
        Some(why) => Outcome::Skipped(why),
        None => match std::env::current_exe() {
            Ok(program) => {
                let report = lanes.join(format!("{lane}.json"));
                let mut command = Command::new(program);
                command
                    .args([lane, "--quick", "--format", "json", "--out"])
                    .arg(&report);
                let outcome = run(command);
                tally.skipped += skipped(&report);
                outcome
            }
            Err(why) => Outcome::Skipped(why.to_string()),
        },
    };
    tally.count(&outcome);
    outcome
}

/// Why the lab cannot run on this machine.
fn hindrance() -> Option<String> {
    if !geteuid().is_root() {
        return Some("not root: the lab needs network namespaces".to_owned());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("no /dev/net/tun: the lab's wire needs it".to_owned());
    }
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--net", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let may = unshare.status().is_ok_and(|status| status.success());
    (!may).then(|| "network namespaces are forbidden here".to_owned())
}

/// How many parts a lane's report says it skipped.
fn skipped(report: &Path) -> usize {
    let text = std::fs::read_to_string(report).unwrap_or_default();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    report["skipped"].as_array().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_and_other_lines_are_not() {
        let line = "test result: FAILED. 12 passed; 1 failed; 2 ignored; 0 measured; 3 filtered out; finished in 0.5s";
        assert_eq!(
            counted(line),
            Some(Tally {
                passed: 12,
                failed: 1,
                skipped: 2
            })
        );
        assert_eq!(counted("test passed ... ok"), None);
    }
}
