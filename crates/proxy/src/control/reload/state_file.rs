//! The state file: what was learned of endpoints is written now and then, and read at the start.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use policy::cluster::{Address, LearnedEndpoint};
use policy::keepalive::Learned;
use policy::state_file::{self, BYTES_MAX, Entry, Refused};

use super::Control;
use crate::engine::clock;

/// The file is written no more often than this while the process runs.
const WRITTEN_EVERY: Duration = Duration::from_secs(60);

/// The state file of this process.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    /// How often each endpoint had been used when the file was last written or read, and when that was seen to have
    /// grown, in seconds since 1970.
    used: BTreeMap<(Arc<str>, Address), (u64, u64)>,
    /// What it holds.
    holds: Vec<Entry>,
    /// It could not be written, and the log has said so.
    warned: bool,
}

impl Control {
    /// Takes in what an earlier process learned, and keeps the file from now on. A file that is not a state file is
    /// neither read nor written.
    pub(crate) fn keep_state(&self, path: PathBuf) {
        let entries = match read(&path).map(|text| state_file::decode(&text, unix_seconds())) {
            Ok(Ok(entries)) => entries,
            Ok(Err(why)) => {
                warn_of(&path, &why);
                if why == Refused::Foreign {
                    return;
                }
                Vec::new()
            }
            Err(why) if why.kind() == ErrorKind::NotFound => Vec::new(),
            Err(why) => {
                tracing::warn!(
                    "the state file {} cannot be read ({why}): evenkeel starts without what it had learned of endpoints",
                    path.display()
                );
                Vec::new()
            }
        };
        let mut file = StateFile {
            path,
            used: BTreeMap::new(),
            holds: Vec::new(),
            warned: false,
        };
        let taken = self.recall(&mut file, entries);
        tracing::debug!(
            "what an earlier process learned of {taken} endpoints was read from {}",
            file.path.display()
        );
        *self.state_file() = Some(file);
    }

    /// Writes the state file once a minute, for as long as the process lives.
    pub(crate) async fn write_state_now_and_then(self: Arc<Self>) {
        loop {
            tokio::time::sleep(WRITTEN_EVERY).await;
            let control = self.clone();
            // The health checks of this thread do not wait for a disk.
            if tokio::task::spawn_blocking(move || control.write_state())
                .await
                .is_err()
            {
                return;
            }
        }
    }

    /// Writes the state file, if there is one and it would say something else now.
    pub(crate) fn write_state(&self) {
        if let Some(file) = &mut *self.state_file() {
            let entries = self.entries(file);
            file.write(entries);
        }
    }

    fn state_file(&self) -> std::sync::MutexGuard<'_, Option<StateFile>> {
        self.state_file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives each cluster what is known of its endpoints. Returns of how many endpoints anything was.
    fn recall(&self, file: &mut StateFile, entries: Vec<Entry>) -> usize {
        let now = self.clock.now();
        let mut known: BTreeMap<String, BTreeMap<Address, (u64, Learned)>> = BTreeMap::new();
        for entry in entries {
            let of = known.entry(entry.cluster).or_default();
            of.insert(entry.address, (entry.used, entry.learned));
        }
        let mut taken = 0;
        for handle in self.snapshot().clusters() {
            let Some(known) = known.get(&*handle.shared.name) else {
                continue;
            };
            let of = |address: &Address| {
                let (used, learned) = known.get(address)?;
                let key = (handle.shared.name.clone(), address.clone());
                file.used.insert(key, (0, *used));
                Some(*learned)
            };
            taken += handle.shared.with(|state| state.cluster.recall(of, now));
        }
        taken
    }

    /// What the file is to hold now.
    fn entries(&self, file: &mut StateFile) -> Vec<Entry> {
        let (now, unix) = (self.clock.now(), unix_seconds());
        let mut used = BTreeMap::new();
        let mut entries = Vec::new();
        for handle in self.snapshot().clusters() {
            let name = &handle.shared.name;
            let learned = handle.shared.with(|state| state.cluster.learned_endpoints(now));
            for LearnedEndpoint {
                address,
                uses,
                learned,
            } in learned
            {
                let key = (name.clone(), address.clone());
                let at = match file.used.get(&key) {
                    Some((before, at)) if *before == uses => *at,
                    _ => unix,
                };
                used.insert(key, (uses, at));
                entries.push(Entry {
                    cluster: name.to_string(),
                    address,
                    used: at,
                    learned,
                });
            }
        }
        file.used = used;
        entries
    }
}

impl StateFile {
    fn write(&mut self, entries: Vec<Entry>) {
        if entries == self.holds {
            return;
        }
        let text = state_file::encode(entries.clone(), unix_seconds());
        match write(&self.path, &text) {
            Ok(()) => (self.holds, self.warned) = (entries, false),
            Err(why) if self.warned => tracing::debug!("the state file is still not written: {why}"),
            Err(why) => {
                self.warned = true;
                tracing::warn!(
                    "the state file {} cannot be written ({why}): as long as that lasts, a restart loses what \
                     evenkeel learns of endpoints. Let evenkeel write to the file's folder, or name another with --state-file",
                    self.path.display()
                );
            }
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    // A byte more, so that a larger one does not pass for a whole one.
    let most = BYTES_MAX as u64 + 1;
    std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
    // What is no text is told by its first line, or by its sum.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// In one step: whoever reads it finds all of the old one or all of the new one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = std::fs::File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

fn warn_of(path: &Path, why: &Refused) {
    let path = path.display();
    match why {
        Refused::Foreign => tracing::warn!(
            "{path} is no state file of evenkeel: evenkeel neither reads nor writes it, and a restart loses what it \
             learns of endpoints. Name another file with --state-file, or remove this one"
        ),
        Refused::Version(version) => tracing::warn!(
            "the state file {path} is ignored: its version is `{version}`, and this evenkeel reads 1. evenkeel replaces \
             it when it has learned something"
        ),
        Refused::Damaged(what) => tracing::warn!(
            "the state file {path} is ignored: {what}. evenkeel replaces it when it has learned something"
        ),
    }
}

fn unix_seconds() -> u64 {
    clock::unix_nanos() / 1_000_000_000
}
