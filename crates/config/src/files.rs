//! Files that resources name: reading them is the caller's business, so that checking needs no IO.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What is wrong, with the file's name.
    pub what: String,
    /// What to do about it.
    pub next: String,
}

/// Reads a file whole.
#[derive(Clone)]
pub struct FileReader(Arc<Read>);

type Read = dyn Fn(&Path) -> Result<Vec<u8>, Unreadable> + Send + Sync;

impl FileReader {
    /// One that reads by this function.
    pub fn new(read: impl Fn(&Path) -> Result<Vec<u8>, Unreadable> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>, Unreadable> {
        (self.0)(path)
    }
}

impl Default for FileReader {
    fn default() -> Self {
        Self::new(|path| {
            Err(Unreadable {
                what: format!("{}: no file can be read here", path.display()),
                next: "put the certificate into a Secret".to_owned(),
            })
        })
    }
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileReader")
    }
}
