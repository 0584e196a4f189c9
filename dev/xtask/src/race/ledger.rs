//! Backend processes as the lab keeps them, and the ledger of what they applied.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::net::Door;
use super::plan::Way;
use crate::Fallible;

/// How often each request was applied, by id.
pub(crate) type Ledger = HashMap<u64, u32>;

/// Backends under way. Dropping them ends their processes.
pub(crate) struct Backends {
    shared: Arc<Shared>,
    keepers: Vec<JoinHandle<()>>,
    // Kept for its drop, which removes the directory.
    _failed: tempfile::TempDir,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    ledger: Mutex<Ledger>,
    inputs: Mutex<HashMap<SocketAddrV4, ChildStdin>>,
}

impl Backends {
    /// Starts one process for each of `addresses`, and again whenever it dies.
    ///
    /// # Errors
    /// When a process can not be started.
    pub(crate) fn start(
        door: &Door,
        addresses: &[SocketAddrV4],
        closing: Way,
        idle_ms: u64,
    ) -> Fallible<Self> {
        Self::start_on(door, addresses, &[], closing, idle_ms)
    }

    /// The same, and on these Unix sockets instead of the address, if there are any.
    ///
    /// # Errors
    /// When a process can not be started.
    pub(crate) fn start_on(
        door: &Door,
        addresses: &[SocketAddrV4],
        sockets: &[PathBuf],
        closing: Way,
        idle_ms: u64,
    ) -> Fallible<Self> {
        let failed = tempfile::tempdir()?;
        let shared = Arc::new(Shared::default());
        let remembers = addresses.len() > 1;
        let mut backends = Self {
            shared,
            keepers: Vec::new(),
            _failed: failed,
        };
        for address in addresses {
            let mut command = Command::new(std::env::current_exe()?);
            command.args([
                "race-backend",
                "--listen",
                &address.to_string(),
                "--closing",
                &closing.name(),
            ]);
            command.args(["--idle-ms", &idle_ms.to_string()]);
            if !sockets.is_empty() {
                for socket in sockets {
                    command.arg("--sockets").arg(socket);
                }
            }
            if remembers {
                command.arg("--failed").arg(backends._failed.path());
            }
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let (door, shared, address) = (door.clone(), Arc::clone(&backends.shared), *address);
            backends
                .keepers
                .push(std::thread::spawn(move || keep(&door, &shared, address, command)));
        }
        Ok(backends)
    }

    /// Ends all processes and gives the whole ledger.
    pub(crate) fn finish(mut self) -> Ledger {
        self.end();
        std::mem::take(&mut *self.shared.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared
            .inputs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        for keeper in self.keepers.drain(..) {
            // A keeper that panicked has said so; its process ends with its input all the same.
            let _ = keeper.join();
        }
    }
}

impl Drop for Backends {
    fn drop(&mut self) {
        self.end();
    }
}

/// Has this process end when its standard input does: a child must not outlive a lab that was killed.
pub(crate) fn ends_with_its_input() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}

fn keep(door: &Door, shared: &Shared, address: SocketAddrV4, mut command: Command) {
    if let Err(error) = door.enter() {
        eprintln!("a backend found no way into its namespace: {error}");
        return;
    }
    while !shared.stop.load(Ordering::SeqCst) {
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                eprintln!("a backend did not start: {error}");
                return;
            }
        };
        {
            let mut inputs = shared.inputs.lock().unwrap_or_else(PoisonError::into_inner);
            // Checked under the lock that `end` takes after it set the flag: else this input would stay open.
            if !shared.stop.load(Ordering::SeqCst) {
                inputs.extend(child.stdin.take().map(|input| (address, input)));
            }
        }
        read_ledger(&mut child, shared);
        let _ = child.wait();
    }
}

fn read_ledger(child: &mut Child, shared: &Shared) {
    drop(child.stdin.take());
    let Some(output) = child.stdout.take() else { return };
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if let Ok(id) = u64::from_str_radix(&line, 16) {
            *shared
                .ledger
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(id)
                .or_default() += 1;
        }
    }
}
