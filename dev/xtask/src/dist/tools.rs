//! What is needed besides cargo.

use std::path::PathBuf;
use std::process::Command;

use crate::Fallible;
use crate::race::install::repository;
use crate::step::run;

/// Found tools.
pub(super) struct Tools {
    /// This machine's target, as rustc names it.
    pub(super) host: String,
    /// The merger of profiles that belongs to the compiler: another version's may not read what it counts.
    pub(super) profdata: PathBuf,
}

impl Tools {
    /// Looks for them in the toolchain that builds, and has rustup add what is missing.
    ///
    /// # Errors
    /// Which one is still missing, and how to install it.
    pub(super) fn find() -> Fallible<Self> {
        let said = rustc("-vV")?;
        let host = said.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.ok_or("rustc does not name its host")?.to_owned();
        let libraries = PathBuf::from(rustc("--print=sysroot")?.trim()).join("lib/rustlib");
        let profdata = libraries.join(&host).join("bin/llvm-profdata");
        if !profdata.is_file() {
            add_component();
        }
        if !profdata.is_file() {
            return Err(
                "llvm-profdata is missing from the toolchain; install it with: rustup component add llvm-tools"
                    .into(),
            );
        }
        Ok(Self { host, profdata })
    }
}

/// Whether that worked is seen by what is there then.
fn add_component() {
    let mut rustup = Command::new("rustup");
    rustup.args(["component", "add", "llvm-tools"]);
    let _ = run(rustup);
}

fn rustc(argument: &str) -> Fallible<String> {
    let output = Command::new("rustc")
        .arg(argument)
        .current_dir(repository())
        .output()
        .map_err(|why| format!("rustc: {why}"))?;
    if !output.status.success() {
        return Err(format!(
            "rustc {argument}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
        .into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
