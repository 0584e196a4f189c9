//! When the sources of the program last changed.

use std::fs::{self, DirEntry};
use std::path::Path;
use std::time::SystemTime;

use crate::Fallible;

/// The time of the last change to what evenkeel is built from, in the repository at `root`: manifests, toolchain
/// and the crates' sources, not their tests. A folder counts too, so that a file that was removed is noticed.
///
/// # Errors
/// When one of them can not be looked at.
pub(super) fn last_change(root: &Path) -> Fallible<SystemTime> {
    let mut last = SystemTime::UNIX_EPOCH;
    for name in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml"] {
        last = last.max(newest(&root.join(name))?);
    }
    for folder in entries(&root.join("crates"))? {
        for name in ["Cargo.toml", "src"] {
            last = last.max(newest(&folder.path().join(name))?);
        }
    }
    Ok(last)
}

/// Of a file, or of a folder and all in it.
fn newest(path: &Path) -> Fallible<SystemTime> {
    let about = fs::metadata(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let mut newest_yet = about.modified()?;
    if about.is_dir() {
        for entry in entries(path)? {
            newest_yet = newest_yet.max(newest(&entry.path())?);
        }
    }
    Ok(newest_yet)
}

fn entries(folder: &Path) -> Fallible<Vec<DirEntry>> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect);
    entries.map_err(|why| format!("{}: {why}", folder.display()).into())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_change_is_that_of_a_source_or_manifest_and_not_of_a_test() -> Fallible<()> {
        let root = tempfile::tempdir()?;
        let long_ago = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let touch = |name: &str, seconds: u64| -> Fallible<()> {
            let path = root.path().join(name);
            // Folders can be opened for reading only, which is enough.
            let file = File::open(&path).or_else(|_| File::create(&path))?;
            Ok(file.set_modified(long_ago(seconds))?)
        };
        fs::create_dir_all(root.path().join("crates/one/src/deep"))?;
        fs::create_dir_all(root.path().join("crates/one/tests"))?;
        for name in [
            "Cargo.toml",
            "Cargo.lock",
            "rust-toolchain.toml",
            "crates/one/Cargo.toml",
            "crates/one/src/deep/file.rs",
        ] {
            touch(name, 10)?;
        }
        touch("crates/one/src/deep", 10)?;
        touch("crates/one/src", 10)?;
        touch("crates/one/tests/test.rs", 1_000)?;
        assert_eq!(last_change(root.path())?, long_ago(10));
        for (seconds, name) in (20..).zip([
            "crates/one/src/deep/file.rs",
            "crates/one/Cargo.toml",
            "Cargo.lock",
        ]) {
            touch(name, seconds)?;
            assert_eq!(last_change(root.path())?, long_ago(seconds), "{name}");
        }
        Ok(())
    }
}
