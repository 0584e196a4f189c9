//! Files on their way into an archive, whose bytes depend on nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::output;
use crate::Fallible;

/// A folder that becomes an archive.
pub(super) struct Tree {
    folder: TempDir,
}

impl Tree {
    pub(super) fn new() -> Fallible<Self> {
        Ok(Self {
            folder: tempfile::tempdir()?,
        })
    }

    /// A file with these bytes.
    pub(super) fn file(&mut self, path: &str, bytes: &[u8]) -> Fallible<()> {
        self.write(path, bytes, 0o644)
    }

    /// A script.
    pub(super) fn script(&mut self, path: &str, text: &str) -> Fallible<()> {
        self.write(path, text.as_bytes(), 0o755)
    }

    /// A copy of a program.
    pub(super) fn program(&mut self, path: &str, from: &Path) -> Fallible<()> {
        let bytes = fs::read(from).map_err(|why| format!("{}: {why}", from.display()))?;
        self.write(path, &bytes, 0o755)
    }

    /// The files of a folder, without those in folders of it.
    pub(super) fn folder(&mut self, path: &str, from: &Path) -> Fallible<()> {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let name = entry.file_name();
                let name = name.to_str().ok_or("a file whose name is no UTF-8")?;
                self.file(&format!("{path}/{name}"), &fs::read(entry.path())?)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, path: &str, bytes: &[u8], mode: u32) -> Fallible<()> {
        let path = self.folder.path().join(path);
        let parent = path.parent().ok_or("a file without a folder")?;
        fs::create_dir_all(parent)?;
        fs::write(&path, bytes)?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
    }

    /// Packs it all by GNU tar, in order of name, owned by root, with the times of 1 January 2026.
    pub(super) fn pack(&self, to: &Path, compressed: bool) -> Fallible<()> {
        let mut tar = Command::new("tar");
        tar.args([
            "--create",
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
        ])
        .args([
            "--mtime=2026-01-01 00:00:00Z",
            "--format=ustar",
            "--mode=u+rwX,go+rX,go-w",
        ])
        .arg(format!("--directory={}", self.folder.path().display()));
        if compressed {
            // Without the name and time that gzip would put in.
            tar.arg("--use-compress-program=gzip --no-name --best");
        }
        tar.arg(format!("--file={}", to.display())).arg("--").arg(".");
        output(&mut tar).map(drop)
    }
}
