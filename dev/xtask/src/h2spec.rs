//! `cargo xtask h2spec`: the conformance suite of HTTP/2 against the codec, by the server of `dev/h2`.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::race::install::{is_program, lanes_directory, repository};
use crate::step::{Outcome, cargo};
use crate::{Fallible, Verdict};

/// The suite, as Go's module proxy has it.
const SUITE: &str = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible";
/// What it says at its end when all is well.
const ALL_PASSED: &str = "145 tests, 145 passed, 0 skipped, 0 failed";

/// Runs the suite.
///
/// # Errors
/// It cannot be run here.
pub(crate) fn h2spec() -> Fallible<Verdict> {
    match lane() {
        Outcome::Passed => Ok(Verdict::Passed),
        Outcome::Failed => Ok(Verdict::Failed),
        Outcome::Skipped(why) => Err(why.into()),
    }
}

/// Runs the suite; skipped, and said why, where Go is missing or the suite is not to be had.
pub(crate) fn lane() -> Outcome {
    let suite = match suite() {
        Ok(suite) => suite,
        Err(why) => return Outcome::Skipped(why.to_string()),
    };
    match run(suite) {
        Ok(report) => {
            if report.lines().any(|line| line == ALL_PASSED) {
                println!("{ALL_PASSED}");
                return Outcome::Passed;
            }
            println!("{report}");
            Outcome::Failed
        }
        Err(why) => {
            eprintln!("h2spec: {why}");
            Outcome::Failed
        }
    }
}

/// The suite's program, built where it is missing.
fn suite() -> Fallible<PathBuf> {
    let folder = lanes_directory()?.join("go");
    let program = folder.join("h2spec");
    if program.exists() {
        return Ok(program);
    }
    let go = if is_program("go") {
        "go"
    } else {
        "/usr/local/go/bin/go"
    };
    let mut install = Command::new(go);
    install.args(["install", SUITE]).env("GOBIN", &folder);
    let output = install
        .output()
        .map_err(|why| format!("h2spec is built by Go, which is not installed: {why}"))?;
    if output.status.success() {
        Ok(program)
    } else {
        Err(format!("h2spec: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

/// Ends the server, however the suite ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It is gone already if this fails.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the suite against a server of its own and returns what it says.
fn run(suite: PathBuf) -> Fallible<String> {
    let mut command = cargo(&[
        "run",
        "--quiet",
        "--locked",
        "--package",
        "h2lab",
        "--bin",
        "h2c-server",
    ]);
    command
        .current_dir(repository())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // It says which connections ended badly, as most of the suite's do.
        .stderr(Stdio::null());
    let mut server = Server(command.spawn()?);
    let stdout = server.0.stdout.take().ok_or("the server has no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let address: SocketAddr = line.trim().parse().map_err(|_| "the server does not start")?;
    let output = Command::new(suite)
        .args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()])
        // A busy machine may be late.
        .args(["--timeout", "10"])
        .stdin(Stdio::null())
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
