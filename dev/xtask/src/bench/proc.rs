//! What the kernel says of processes and cores: CPU time, memory, who else is busy. And who may run where.

use std::process::{Child, Command};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::Fallible;

/// Where the proxy runs.
pub(super) const PROXY_CORE: usize = 0;
/// Where load and endpoint run.
pub(super) const LOAD_CORE: usize = 1;

/// CPU time of a process so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuTime {
    /// All of it: the scheduler's own account, in nanoseconds, of the threads that live.
    total: Duration,
    /// Ticks in user mode and in the kernel: too coarse to be added up, good enough for the split.
    ticks: (u64, u64),
}

/// CPU time between two looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuSpent {
    /// All of it.
    pub(super) total: Duration,
    /// The part in user mode, 0 to 1.
    pub(super) user_share: f64,
}

impl CpuTime {
    /// Of the process `pid`.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn of(pid: u32) -> Fallible<Self> {
        let mut total = 0;
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may end while one looks.
            let said = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            total += first_number(&said).unwrap_or(0);
        }
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name, in parentheses, may hold anything; utime and stime are the 12th and 13th after it.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let field = |at: usize| after.split_whitespace().nth(at)?.parse().ok();
        Ok(Self {
            total: Duration::from_nanos(total),
            ticks: (field(11).unwrap_or(0), field(12).unwrap_or(0)),
        })
    }

    /// All of it, so far.
    pub(super) fn total(self) -> Duration {
        self.total
    }

    /// What was spent since `before`.
    pub(super) fn since(self, before: Self) -> CpuSpent {
        let user = self.ticks.0.saturating_sub(before.ticks.0) as f64;
        let system = self.ticks.1.saturating_sub(before.ticks.1) as f64;
        CpuSpent {
            total: self.total.saturating_sub(before.total),
            user_share: if user + system > 0.0 {
                user / (user + system)
            } else {
                0.0
            },
        }
    }
}

/// How long a core was busy so far, with whatever.
#[derive(Clone, Copy, Debug)]
pub(super) struct CoreTime(Duration);

impl CoreTime {
    /// Of core number `core`.
    ///
    /// # Errors
    /// When there is no such core.
    pub(super) fn of(core: usize) -> Fallible<Self> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let name = format!("cpu{core} ");
        let line = stat
            .lines()
            .find_map(|line| line.strip_prefix(&name))
            .ok_or_else(|| format!("this machine has no core {core}; the bench needs two"))?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .filter_map(|number| number.parse().ok())
            .collect();
        // user nice system idle iowait irq softirq steal; guests are counted in user already.
        let busy = ticks.iter().take(8).sum::<u64>() - ticks.iter().skip(3).take(2).sum::<u64>();
        Ok(Self(Duration::from_millis(busy * 1_000 / TICKS_PER_SECOND)))
    }

    /// How long it was busy since `before`.
    pub(super) fn since(self, before: Self) -> Duration {
        self.0.saturating_sub(before.0)
    }
}

/// Resident memory in KiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resident {
    /// All of it.
    pub(super) all_kib: u64,
    /// What is no file's: heap and stacks.
    pub(super) anonymous_kib: u64,
}

impl Resident {
    /// Of the process `pid`.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn of(pid: u32) -> Fallible<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(first_number).unwrap_or(0)
        };
        Ok(Self {
            all_kib: field("VmRSS:"),
            anonymous_kib: field("RssAnon:"),
        })
    }
}

/// Binds the calling thread, and what it starts from now on, to these cores.
///
/// # Errors
/// When one of them is not there.
pub(super) fn pin(cores: &[usize]) -> Fallible<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
        .map_err(|why| format!("cores {cores:?}: {why}; the bench needs two cores"))?;
    Ok(())
}

/// Starts a command bound to these cores.
///
/// # Errors
/// When it does not start.
pub(super) fn spawn_on(cores: &[usize], command: &mut Command) -> Fallible<Child> {
    let own = sched_getaffinity(Pid::from_raw(0))?;
    pin(cores)?;
    let child = command.spawn();
    sched_setaffinity(Pid::from_raw(0), &own)?;
    Ok(child.map_err(|why| format!("{:?}: {why}", command.get_program()))?)
}

/// How often the threads of a process have gone to sleep, and so were woken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wakeups(u64);

impl Wakeups {
    /// Of the threads of the process `pid` that live.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn of(pid: u32) -> Fallible<Self> {
        let mut all = 0;
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may end while one looks.
            let status = std::fs::read_to_string(task?.path().join("status")).unwrap_or_default();
            let lines = status.lines();
            let switches = lines.filter_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            all += switches.filter_map(first_number).sum::<u64>();
        }
        Ok(Self(all))
    }

    /// How often since `before`.
    pub(super) fn since(self, before: Self) -> u64 {
        self.0.saturating_sub(before.0)
    }
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Linux's unit in /proc, whatever its own timer does.
const TICKS_PER_SECOND: u64 = 100;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_a_process_burns_is_on_its_account() -> Fallible<()> {
        let own = std::process::id();
        let before = CpuTime::of(own)?;
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        let spent = CpuTime::of(own)?.since(before);
        assert!(spent.total >= Duration::from_millis(5), "{spent:?}");
        assert!((0.0..=1.0).contains(&spent.user_share));
        assert!(Resident::of(own)?.all_kib >= Resident::of(own)?.anonymous_kib);
        Ok(())
    }
}
