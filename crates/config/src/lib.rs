//! The operator's words: text -> checked values, all mistakes at once. No IO, so that checking and
//! fuzzing are free.
//!
//! Text becomes a tree with spans (`text`), the tree is held against the one table of fields
//! (`shape`), and what holds becomes a [`model::Model`] (`resolve`). Each step notes what is wrong
//! and goes on.

mod certificate;
mod code;
mod diff;
mod dump;
mod files;
mod indent;
mod mistake;
pub mod model;
mod node;
mod reference;
mod render;
mod resolve;
mod schema;
mod shape;
mod single;
mod suggest;
mod text;
mod units;

use std::sync::Arc;

pub use certificate::{EXPIRY_WARNING_SECONDS, date};
pub use code::Severity;
pub use diff::changes;
pub use files::{FileReader, Unreadable};
pub use mistake::{Code, Mistake, Mistakes};
pub use reference::reference;
pub use schema::schema;
pub use single::single;

/// One text to read: a file, usually.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// What mistakes call it: a path, usually.
    pub name: String,
    /// Its text: YAML or JSON, any number of documents.
    pub text: String,
}

/// Without the text, which may hold private keys.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How to read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// The namespace of resources that name none. Default `default`.
    pub namespace: String,
    /// Where Services are: entries `SERVICE[.NAMESPACE][:PORT]=HOST:PORT[,HOST:PORT…]`, one a line or with
    /// commas between them. What is said here counts before what the sources say. Default: nothing.
    pub backends: Vec<Source>,
    /// Reads the files that resources name, such as certificates. Default: none can be read.
    pub files: FileReader,
    /// The time, in seconds from 1970 (UTC). Default: unknown, so that no certificate is expired.
    pub now: Option<i64>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            namespace: "default".to_owned(),
            backends: Vec::new(),
            files: FileReader::default(),
            now: None,
        }
    }
}

/// Reads a configuration, in any number of sources whose order does not matter.
///
/// # Errors
/// Every mistake of every source, and the warnings among them. Warnings alone are no error; they
/// are in [`model::Model::warnings`].
pub fn read(sources: &[Source], options: &ReadOptions) -> Result<model::Model, Mistakes> {
    let files = sources.len();
    let sources: Arc<[Source]> = sources.into();
    // Mistakes point into the map of Services as they do into files.
    let all = sources.iter().chain(&options.backends).cloned().collect();
    let mut report = mistake::Report::new(all);
    let documents = text::parse_all(&sources, &mut report);
    let model = resolve::model(&documents, options, files, &mut report);
    let (failed, mistakes) = (report.failed(), report.finish());
    match model {
        Some(model) if !failed => Ok(model::Model {
            warnings: mistakes,
            dump: model::Dump::new(sources),
            ..model
        }),
        _ => Err(mistakes),
    }
}
