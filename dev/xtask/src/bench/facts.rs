//! On what it was measured, and of what.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Serialize;

use super::peers::{Peer, Programs};
use crate::race::install::repository;

/// What a figure means nothing without.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    /// The commit of the working tree, `+` if it was changed.
    pub(super) commit: String,
    /// The day, in UTC.
    pub(super) date: String,
    /// Linux's release.
    pub(super) kernel: String,
    /// The processor's name.
    pub(super) cpu: String,
    /// How many of its cores there are.
    pub(super) cores: usize,
    /// Each peer's version.
    pub(super) versions: BTreeMap<String, String>,
}

impl Facts {
    /// Of this machine and these peers; what cannot be found out is said to be unknown. `remark` says of the
    /// program that is measured as evenkeel what its version does not.
    pub(super) fn gather(peers: &[Peer], programs: &Programs, remark: &str) -> Self {
        let unknown = || "unknown".to_owned();
        let said = |program: &str, arguments: &[&str]| {
            let output = Command::new(program)
                .args(arguments)
                .current_dir(repository())
                .output();
            let output = output.ok().filter(|output| output.status.success())?;
            Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let changed =
            said("git", &["status", "--porcelain", "--", "crates"]).is_some_and(|said| !said.is_empty());
        let commit = said("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(unknown);
        let versions = peers.iter().filter_map(|peer| {
            let version = peer.version(programs).transpose()?;
            let mut version = version.unwrap_or_else(|_| unknown());
            if *peer == Peer::Evenkeel {
                version.push_str(remark);
            }
            Some((peer.name(), version))
        });
        let models: Vec<String> = read("/proc/cpuinfo")
            .unwrap_or_default()
            .lines()
            .filter(|line| line.starts_with("model name"))
            .filter_map(|line| Some(line.split_once(':')?.1.trim().to_owned()))
            .collect();
        Self {
            commit: commit + if changed { "+" } else { "" },
            date: said("date", &["-u", "+%F"]).unwrap_or_else(unknown),
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
            cpu: models.first().cloned().unwrap_or_else(unknown),
            cores: models.len(),
            versions: versions.collect(),
        }
    }
}

fn read(path: &str) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
}
