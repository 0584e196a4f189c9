//! System calls of a proxy under load, counted by strace.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::load::Load;
use super::proc::{LOAD_CORE, spawn_on};
use super::report::{Calls, rounded};
use crate::Fallible;
use crate::race::install;

/// Makes sure that strace is there.
///
/// # Errors
/// Why it is not.
pub(super) fn ensure_installed() -> Fallible<()> {
    install::debian("strace", "strace")
}

/// Watches the process `pid` for `span` while `load` goes on. Being watched slows it down, so that more is
/// ready at each look: calls that serve many requests at once look rarer than they are.
///
/// # Errors
/// When strace may not watch, or nothing was answered.
pub(super) fn calls_per_request(pid: u32, load: &Load, span: Duration) -> Fallible<Calls> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("calls");
    let mut command = Command::new("strace");
    command
        .args(["-c", "-f", "-p", &pid.to_string(), "-o"])
        .arg(&path);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut strace = spawn_on(&[LOAD_CORE], &mut command)?;
    let said = strace.stderr.take().ok_or("strace says nothing")?;
    let mut said = BufReader::new(said);
    // It says when it has attached itself; only then does counting begin.
    let mut line = String::new();
    said.read_line(&mut line)?;
    if !line.contains("attached") {
        strace.wait()?;
        return Err(line.trim().to_owned().into());
    }
    let before = load.answered();
    std::thread::sleep(span);
    let answered = load.answered() - before;
    kill(Pid::from_raw(strace.id() as i32), Signal::SIGINT)?;
    // It goes on to say that it detached; unread, that could block it.
    std::io::copy(&mut said, &mut std::io::sink())?;
    strace.wait()?;
    if answered == 0 {
        return Err("no request was answered under strace".into());
    }
    let mut calls = parsed(&std::fs::read_to_string(&path)?);
    calls
        .values_mut()
        .for_each(|count| *count = rounded(*count / answered as f64));
    Ok(Calls {
        all: rounded(calls.values().sum()),
        calls,
    })
}

/// The counts in strace's summary.
fn parsed(summary: &str) -> BTreeMap<String, f64> {
    // % time, seconds, usecs/call, calls, [errors,] syscall.
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let count = words.get(3)?.parse().ok()?;
        let name = *words.get(4..)?.last()?;
        (name != "total").then(|| (name.to_owned(), count))
    };
    summary.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_read_with_and_without_errors() {
        let summary = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n \
            60.00    0.600000           6    100000           sendto\n \
            40.00    0.400000           4    100010        10 recvfrom\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    1.000000           5    200010        10 total\n";
        let calls = parsed(summary);
        assert_eq!(calls.len(), 2);
        assert_eq!((calls["sendto"], calls["recvfrom"]), (100_000.0, 100_010.0));
    }
}
