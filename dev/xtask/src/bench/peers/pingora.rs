//! Pingora: the proxy in `dev/peers/pingora`, built once.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Order;
use crate::Fallible;
use crate::race::install;

/// Builds it, if that has not been done since it was changed.
///
/// # Errors
/// When it does not build.
pub(super) fn ensure_built() -> Fallible<()> {
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build
        .args(["build", "--release", "--locked", "--quiet", "--manifest-path"])
        .arg(source().join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target()?);
    if !program()?.exists() {
        eprintln!("building Pingora, once; this takes some minutes");
    }
    if build.status()?.success() {
        Ok(())
    } else {
        Err("dev/peers/pingora does not build".into())
    }
}

/// The version that it was built of.
///
/// # Errors
/// When its lock file can not be read.
pub(super) fn version() -> Fallible<String> {
    let lock = std::fs::read_to_string(source().join("Cargo.lock"))?;
    let mut lines = lock
        .lines()
        .skip_while(|line| *line != "name = \"pingora-proxy\"");
    let version = lines.nth(1).and_then(|line| line.split('"').nth(1));
    Ok(version.ok_or("the lock file names no pingora-proxy")?.to_owned())
}

/// The command that runs it.
pub(super) fn command(order: &Order<'_>) -> Fallible<Command> {
    let mut command = Command::new(program()?);
    command
        .arg(order.listen.to_string())
        .arg(order.endpoint.address().to_string());
    if order.set_up.log.is_on() {
        command.arg(order.directory.join("access.log"));
    }
    Ok(command)
}

fn source() -> PathBuf {
    install::repository().join("dev/peers/pingora")
}

fn target() -> Fallible<PathBuf> {
    let lanes = install::lanes_directory()?;
    Ok(lanes.parent().unwrap_or(Path::new(".")).join("peers"))
}

fn program() -> Fallible<PathBuf> {
    Ok(target()?.join("release/evenkeel-peer-pingora"))
}
