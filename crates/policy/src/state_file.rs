//! The state file: what was learned of endpoints, in a form that outlives the process.
//!
//! ```text
//! evenkeel-state 1 written=1796050800 endpoints=1 check=59a1c0ffee59a1c0
//! web 10.0.0.1:8080 used=1796050790 wall=4998000,5003000,12,12 explored=4700000 closes=12,0
//! ```
//! The first line names the version, when the file was written (seconds since 1970), how many lines follow, and a sum
//! over all of it. Each further line is one endpoint of one cluster: durations are in microseconds. What is not known
//! is left out. Names hold no spaces: bytes that are no visible ASCII are written as `%` and two digits.

mod line;

use std::time::Duration;

use crate::balance;
use crate::cluster::Address;
use crate::keepalive::Learned;

/// What is kept of one endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The cluster's name.
    pub cluster: String,
    /// Where it listens.
    pub address: Address,
    /// When it was last given a request, in seconds since 1970.
    pub used: u64,
    /// What was learned, as it was when the file was written.
    pub learned: Learned,
}

/// Why a file is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It does not begin as a state file does: it may be somebody's file, so it is not written to either.
    Foreign,
    /// It is of another version of the format.
    Version(String),
    /// It is not as it was written: what is wrong, for people.
    Damaged(String),
}

/// The text of a state file. Of more than [`ENTRIES_MAX`] endpoints those that were used last are kept.
#[must_use]
pub fn encode(mut entries: Vec<Entry>, now: u64) -> String {
    entries.sort_unstable_by(|one, two| {
        let place = |entry: &Entry| std::cmp::Reverse(entry.used);
        (place(one), &one.cluster, &one.address).cmp(&(place(two), &two.cluster, &two.address))
    });
    let lines: Vec<String> = entries.iter().take(ENTRIES_MAX).filter_map(line::write).collect();
    let body: String = lines.concat();
    let head = format!("{MAGIC} {VERSION} written={now} endpoints={}", lines.len());
    format!("{head} check={:016x}\n{body}", check(&head, &body))
}

/// What a state file holds that still counts: entries that were used within the last [`AGE_MAX`].
///
/// # Errors
/// Why none of it is believed.
pub fn decode(text: &str, now: u64) -> Result<Vec<Entry>, Refused> {
    let (first, body) = text.split_once('\n').unwrap_or((text, ""));
    let mut words = first.split(' ');
    if words.next() != Some(MAGIC) {
        return Err(Refused::Foreign);
    }
    match words.next() {
        Some(VERSION) => {}
        other => {
            return Err(Refused::Version(
                other.unwrap_or_default().chars().take(20).collect(),
            ));
        }
    }
    let damaged = |what: String| Refused::Damaged(what);
    let (head, sum) = first
        .rsplit_once(" check=")
        .ok_or_else(|| damaged("its first line is cut off".into()))?;
    if sum != format!("{:016x}", check(head, body)) {
        return Err(damaged("its sum is not that of what it holds".into()));
    }
    let written = words
        .next()
        .and_then(|word| word.strip_prefix("written=")?.parse::<u64>().ok())
        .ok_or_else(|| damaged("its first line does not say when it was written".into()))?;
    let since_written = Duration::from_secs(now.saturating_sub(written));
    let mut entries = Vec::new();
    for (at, line) in body.lines().enumerate() {
        if at == ENTRIES_MAX {
            return Err(damaged(format!("it has more than {ENTRIES_MAX} endpoints")));
        }
        let mut entry = line::read(line).ok_or_else(|| damaged(format!("line {} is no endpoint", at + 2)))?;
        if let Some(silence) = &mut entry.learned.silence {
            silence.left = silence.left.saturating_sub(since_written);
        }
        if now.saturating_sub(entry.used) <= AGE_MAX.as_secs() {
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn check(head: &str, body: &str) -> u64 {
    balance::hash([head.as_bytes(), body.as_bytes()])
}

/// How many endpoints a file holds at most.
pub const ENTRIES_MAX: usize = 4096;

/// How large a file is at most, in bytes: so many full lines and the first one.
pub const BYTES_MAX: usize = (ENTRIES_MAX + 1) * line::BYTES_MAX;

/// What was learned of an endpoint that was not used for so long is not believed: it may have been restarted with
/// other settings since.
pub const AGE_MAX: Duration = Duration::from_secs(3600);

const MAGIC: &str = "evenkeel-state";
const VERSION: &str = "1";

#[cfg(test)]
mod tests;
