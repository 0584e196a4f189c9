//! Peers whose sources are in `dev/peers`, built once.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Order;
use crate::Fallible;
use crate::race::install;

/// Builds one, if that has not been done since it was changed.
///
/// # Errors
/// When it does not build.
pub(super) fn ensure_built(name: &str) -> Fallible<()> {
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build
        .args(["build", "--release", "--locked", "--quiet", "--manifest-path"])
        .arg(source(name).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target()?);
    if !program(name)?.exists() {
        eprintln!("building dev/peers/{name}, once; this can take some minutes");
    }
    if build.status()?.success() {
        Ok(())
    } else {
        Err(format!("dev/peers/{name} does not build").into())
    }
}

/// The version of `package` that it was built of.
///
/// # Errors
/// When its lock file can not be read.
pub(super) fn version(name: &str, package: &str) -> Fallible<String> {
    let lock = std::fs::read_to_string(source(name).join("Cargo.lock"))?;
    let begin = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != begin);
    let version = lines.nth(1).and_then(|line| line.split('"').nth(1));
    Ok(version
        .ok_or_else(|| format!("the lock file names no {package}"))?
        .to_owned())
}

/// The command that runs one: where it listens, where everything goes, and its access log if it is to write
/// one.
pub(super) fn command(name: &str, order: &Order<'_>) -> Fallible<Command> {
    let mut command = Command::new(program(name)?);
    command.arg(order.listen.to_string()).arg(order.to.to_string());
    if order.set_up.log.is_on() {
        command.arg(order.directory.join("access.log"));
    }
    Ok(command)
}

fn source(name: &str) -> PathBuf {
    install::repository().join("dev/peers").join(name)
}

fn target() -> Fallible<PathBuf> {
    let lanes = install::lanes_directory()?;
    Ok(lanes.parent().unwrap_or(Path::new(".")).join("peers"))
}

fn program(name: &str) -> Fallible<PathBuf> {
    Ok(target()?.join(format!("release/evenkeel-peer-{name}")))
}
