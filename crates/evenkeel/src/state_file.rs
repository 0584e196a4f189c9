//! Where the state file is: as the command line says, else where systemd keeps state for us.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::complaint::Complaint;

/// The state file that `--state-file` asks for; `None` is none. A folder that is not there, or not to be written
/// into, is told before anything is bound.
///
/// # Errors
/// It could never be written there.
pub(crate) fn of(asked: Option<&PathBuf>) -> Result<Option<PathBuf>, Complaint> {
    let Some(path) = asked else {
        return Ok(by_systemd(std::env::var_os("STATE_DIRECTORY").as_deref()));
    };
    if path.as_os_str() == "off" {
        return Ok(None);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let why = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => ErrorKind::IsADirectory.into(),
        // Opened to see that it can be, and left as it is.
        Ok(_) => match OpenOptions::new().append(true).open(path) {
            Ok(_) => return Ok(Some(path.clone())),
            Err(why) => why,
        },
        Err(_) if folder.is_dir() => return Ok(Some(path.clone())),
        Err(why) => why,
    };
    let next = match why.kind() {
        ErrorKind::NotFound => format!(
            "make its folder (`mkdir -p {}`), or name another path",
            folder.display()
        ),
        ErrorKind::IsADirectory => format!("name a file in it, as {}", path.join("learned").display()),
        ErrorKind::PermissionDenied => {
            "let the user that runs evenkeel write there, or name another path".into()
        }
        _ => "name another path".into(),
    };
    let what = format!("--state-file {} cannot be written: {why}", path.display());
    Err(Complaint::new(what, next))
}

/// Of several folders, which a colon parts, the first.
fn by_systemd(folders: Option<&OsStr>) -> Option<PathBuf> {
    let first = folders?.as_bytes().split(|&byte| byte == b':').next()?;
    (!first.is_empty()).then(|| Path::new(OsStr::from_bytes(first)).join("learned"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_says_where_state_is_kept() {
        let of = |text: &str| by_systemd(Some(OsStr::new(text)));
        assert_eq!(by_systemd(None), None);
        assert_eq!(of(""), None);
        assert_eq!(of("/var/lib/a"), Some("/var/lib/a/learned".into()));
        assert_eq!(of("/var/lib/a:/var/lib/b"), Some("/var/lib/a/learned".into()));
    }

    #[test]
    fn what_can_never_be_written_is_told_with_a_way_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let said = |path: PathBuf| of(Some(&path)).map_err(|complaint| complaint.to_string());
        let missing = said(folder.path().join("no/learned")).expect_err("no folder");
        assert!(missing.contains("mkdir -p"), "{missing}");
        let a_folder = said(folder.path().to_owned()).expect_err("a folder");
        assert!(a_folder.contains("name a file in it"), "{a_folder}");
        let file = folder.path().join("learned");
        assert_eq!(said(file.clone()), Ok(Some(file.clone())));
        assert!(!file.exists(), "only looked");
        assert_eq!(said("off".into()), Ok(None));
    }
}
