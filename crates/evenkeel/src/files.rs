//! Configuration files: which ones, in which order, and whether they changed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use config::model::Model;
use config::{FileReader, Mistake, Mistakes, ReadOptions, Source, Unreadable};

use crate::complaint::Complaint;

/// More than what is read of a configuration: it is some other file, given by mistake.
const FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// More than a certificate, its chain or a key has.
const CERTIFICATE_BYTES_MAX: u64 = 1024 * 1024;

/// Why there is no model.
#[derive(Debug)]
pub(crate) enum NoModel {
    /// The files could not be read.
    Unreadable(Complaint),
    /// They were read and are wrong.
    Wrong(Mistakes),
}

impl NoModel {
    /// The first mistake and the number of the others, in one line.
    pub(crate) fn in_one_line(&self) -> String {
        match self {
            Self::Unreadable(complaint) => complaint.to_string().trim_end().replace('\n', ";"),
            Self::Wrong(mistakes) => {
                let first = mistakes.list().iter().find(|one| one.is_error());
                let first = first.map_or_else(String::new, |one| {
                    let Mistake {
                        code,
                        file,
                        line,
                        column,
                        message,
                        ..
                    } = one;
                    format!("{file}:{line}:{column}: {message} ({})", code.number())
                });
                match mistakes.errors() {
                    0 | 1 => first,
                    2 => first + "; and 1 more mistake",
                    count => format!("{first}; and {} more mistakes", count - 1),
                }
            }
        }
    }
}

/// Where a configuration is read from.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// A file, a folder, or `-`.
    pub(crate) config: PathBuf,
    /// What `--backends` says: entries, or files of them.
    pub(crate) backends: Vec<String>,
    /// The files that the resources name, certificates and keys, each with a hash of what was read last.
    named: Named,
}

type Named = Arc<Mutex<BTreeMap<PathBuf, u64>>>;

impl Files {
    pub(crate) fn new(config: PathBuf, backends: Vec<String>) -> Self {
        Self {
            config,
            backends,
            named: Arc::default(),
        }
    }

    /// Reads them into a checked model.
    pub(crate) fn model(&self) -> Result<Model, NoModel> {
        let sources = sources(&self.config).map_err(NoModel::Unreadable)?;
        let read: Named = Arc::default();
        let options = ReadOptions {
            backends: self.backends().map_err(NoModel::Unreadable)?,
            files: reader(&read),
            now: now(),
            ..ReadOptions::default()
        };
        let model = config::read(&sources, &options).map_err(NoModel::Wrong);
        let read = std::mem::take(&mut *read.lock().unwrap_or_else(PoisonError::into_inner));
        *self.named() = read;
        model
    }

    /// A number that changes when the files do: their names, contents, or whether they can be read.
    pub(crate) fn fingerprint(&self) -> u64 {
        // Standard input can be read once, and does not change.
        if self.config == Path::new("-") {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        for sources in [sources(&self.config), self.backends()] {
            match sources {
                Ok(sources) => sources
                    .iter()
                    .for_each(|source| (&source.name, &source.text).hash(&mut hasher)),
                Err(complaint) => complaint.to_string().hash(&mut hasher),
            }
        }
        hasher.finish()
    }

    /// A number for the files that the resources name and that are not as they were read; `None` if all are.
    pub(crate) fn stale(&self) -> Option<u64> {
        let named = self.named().clone();
        let stale = named.into_iter().filter_map(|(path, read)| {
            let now = content(&certificate_file(&path));
            (now != read).then_some((path, now))
        });
        let stale: Vec<_> = stale.collect();
        (!stale.is_empty()).then(|| {
            let mut hasher = DefaultHasher::new();
            stale.hash(&mut hasher);
            hasher.finish()
        })
    }

    fn named(&self) -> MutexGuard<'_, BTreeMap<PathBuf, u64>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry has a `=`; anything else is a file of entries.
    fn backends(&self) -> Result<Vec<Source>, Complaint> {
        let one = |given: &String| {
            if given.contains('=') {
                return Ok(Source {
                    name: "--backends".to_owned(),
                    text: given.clone(),
                });
            }
            source(Path::new(given))
        };
        self.backends.iter().map(one).collect()
    }
}

/// Reads the files that resources name, and notes which they are.
fn reader(named: &Named) -> FileReader {
    let named = named.clone();
    FileReader::new(move |path| {
        let read = certificate_file(path);
        let mut named = named.lock().unwrap_or_else(PoisonError::into_inner);
        named.insert(path.to_owned(), content(&read));
        read
    })
}

/// A hash of what was read, or of why nothing was.
fn content(read: &Result<Vec<u8>, Unreadable>) -> u64 {
    let mut hasher = DefaultHasher::new();
    read.as_ref().map_err(|why| &why.what).hash(&mut hasher);
    hasher.finish()
}

fn certificate_file(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        file.take(CERTIFICATE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|why| Unreadable {
        what: format!("{}: {why}", path.display()),
        next: advice(path, &why),
    })?;
    if bytes.len() as u64 > CERTIFICATE_BYTES_MAX {
        return Err(Unreadable {
            what: format!("{}: more bytes than any certificate has", path.display()),
            next: format!("name a file of at most {CERTIFICATE_BYTES_MAX} bytes"),
        });
    }
    Ok(bytes)
}

/// The time, in seconds from 1970.
pub(crate) fn now() -> Option<i64> {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// The folder whose changes matter. A ConfigMap's files are links to a folder that is swapped
/// whole, so watching the file itself would miss it.
pub(crate) fn folder(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn sources(path: &Path) -> Result<Vec<Source>, Complaint> {
    if path == Path::new("-") {
        let mut text = String::new();
        return match std::io::stdin().take(FILE_BYTES_MAX).read_to_string(&mut text) {
            Ok(_) => Ok(vec![Source {
                name: "<stdin>".into(),
                text,
            }]),
            Err(why) => Err(Complaint::new(
                format!("standard input: {why}"),
                "pipe YAML or JSON text in",
            )),
        };
    }
    let paths = if path.is_dir() {
        in_folder(path)?
    } else {
        vec![path.to_owned()]
    };
    paths.iter().map(|path| source(path)).collect()
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Complaint> {
    let entries = std::fs::read_dir(folder).map_err(|why| unreadable(folder, &why))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "yaml" || end == "yml" || end == "json")
        })
        .filter(|path| {
            !path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
        })
        .collect();
    paths.sort();
    if paths.is_empty() {
        return Err(Complaint::new(
            format!("{}: no *.yaml, *.yml or *.json in this folder", folder.display()),
            "put a Gateway and an HTTPRoute there, or name a file",
        ));
    }
    Ok(paths)
}

fn source(path: &Path) -> Result<Source, Complaint> {
    let size = std::fs::metadata(path)
        .map_err(|why| unreadable(path, &why))?
        .len();
    if size > FILE_BYTES_MAX {
        return Err(Complaint::new(
            format!(
                "{}: {size} bytes, more than any configuration has",
                path.display()
            ),
            format!("name a file of at most {FILE_BYTES_MAX} bytes"),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|why| unreadable(path, &why))?;
    Ok(Source {
        name: path.display().to_string(),
        text,
    })
}

fn unreadable(path: &Path, why: &std::io::Error) -> Complaint {
    Complaint::new(format!("{}: {why}", path.display()), advice(path, why))
}

fn advice(path: &Path, why: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match why.kind() {
        ErrorKind::NotFound => match std::env::current_dir() {
            Ok(here) if path.is_relative() => {
                format!("check the name; it was looked for in {}", here.display())
            }
            _ => "check the name".to_owned(),
        },
        ErrorKind::PermissionDenied => "give this user the right to read it".to_owned(),
        ErrorKind::InvalidData => "save it as UTF-8 text".to_owned(),
        _ => "check the file and its file system".to_owned(),
    }
}
