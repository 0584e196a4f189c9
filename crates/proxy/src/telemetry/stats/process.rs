//! What the kernel says of this process, by the names of Prometheus' client libraries.

use std::fs;
use std::time::Duration;

use super::catalogue::{Sample, Snapshot, Value};

/// What `/proc` tells; nothing where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Process {
    cpu: Duration,
    threads: u64,
    virtual_bytes: u64,
    resident_bytes: u64,
    /// Seconds since 1970.
    started: u64,
}

/// In what the kernel counts times of processes: a hundredth of a second on every platform of Linux
/// that std runs on (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

impl Snapshot {
    /// Its time, memory and descriptors, and what was built.
    pub(super) fn process(&mut self) {
        self.build();
        if let Some(process) = read_stat() {
            let numbers = [
                (
                    "cpu_seconds_total",
                    Value::Total(process.cpu),
                    "Time that the process has computed, in user and system mode.",
                ),
                (
                    "threads",
                    Value::Gauge(process.threads),
                    "Threads of the process.",
                ),
                (
                    "virtual_memory_bytes",
                    Value::Gauge(process.virtual_bytes),
                    "Addresses that the process has mapped.",
                ),
                (
                    "resident_memory_bytes",
                    Value::Gauge(process.resident_bytes),
                    "Memory that the process has in use.",
                ),
                (
                    "start_time_seconds",
                    Value::Gauge(process.started),
                    "When the process started, in seconds since 1970.",
                ),
            ];
            numbers
                .into_iter()
                .for_each(|(name, value, help)| self.of_process_named(name, value, help));
        }
        let open = open_descriptors().map(|open| ("open_fds", open, "Descriptors that are open."));
        let most = max_descriptors().map(|most| ("max_fds", most, "Descriptors that may be open."));
        for (name, value, help) in open.into_iter().chain(most) {
            self.of_process_named(name, Value::Gauge(value), help);
        }
    }

    fn of_process_named(&mut self, name: &str, value: Value, help: &'static str) {
        self.samples.push(Sample {
            name: format!("process.{name}"),
            family: format!("process_{name}").into(),
            labels: Vec::new(),
            help,
            value,
        });
    }

    fn build(&mut self) {
        self.samples.push(Sample {
            name: "evenkeel.build_info".to_owned(),
            family: "evenkeel_build_info".into(),
            labels: vec![
                ("version", env!("CARGO_PKG_VERSION").to_owned()),
                ("arch", std::env::consts::ARCH.to_owned()),
                ("os", std::env::consts::OS.to_owned()),
            ],
            help: "Always 1; the labels say what was built.",
            value: Value::Gauge(1),
        });
    }
}

fn read_stat() -> Option<Process> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime "));
    parse_stat(
        &stat,
        boot.and_then(|at| at.trim().parse().ok()).unwrap_or_default(),
    )
}

/// The fields behind the name, which is in brackets and may hold anything (proc(5)).
fn parse_stat(stat: &str, boot: u64) -> Option<Process> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // The third field of the page is the first one behind the name.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = field(14)? + field(15)?;
    Some(Process {
        cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND),
        threads: field(20)?,
        virtual_bytes: field(23)?,
        resident_bytes: field(24)? * sys::page_size(),
        started: boot + field(22)? / TICKS_PER_SECOND,
    })
}

/// Since Linux 6.2 the folder's size is their number; before, they are counted.
fn open_descriptors() -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).ok()?.len() {
        // The one that reads the folder is one of them.
        0 => Some((fs::read_dir(FOLDER).ok()?.count() as u64).saturating_sub(1)),
        count => Some(count),
    }
}

fn max_descriptors() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_line_is_read_whatever_the_name_is() {
        let stat = "7 (odd ) name) S 1 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 9 0 2000 4096000 25 0";
        let process = parse_stat(stat, 1_000).unwrap();
        assert_eq!(process.cpu, Duration::from_secs(2));
        assert_eq!((process.threads, process.started), (9, 1_020));
        assert_eq!(
            (process.virtual_bytes, process.resident_bytes),
            (4_096_000, 25 * sys::page_size())
        );
        assert_eq!(parse_stat("7 (short) S 1", 0), None);
    }

    #[test]
    fn this_process_is_described() {
        let process = read_stat().unwrap();
        assert!(
            process.threads >= 1 && process.resident_bytes > 100_000,
            "{process:?}"
        );
        assert!(process.started > 1_500_000_000, "{process:?}");
        assert!(open_descriptors() >= Some(3) && max_descriptors() > open_descriptors());
    }
}
