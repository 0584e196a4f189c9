//! Listeners, workers, reload, drain.

use std::net::SocketAddr;
use std::time::Duration;

/// What a process is started with besides its configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// Worker threads; 0 is one per core.
    pub workers: usize,
    /// Where the admin listens; `None` is nowhere.
    pub admin: Option<SocketAddr>,
    /// How long a drain waits for exchanges to end.
    pub drain_timeout: Duration,
}

/// A running proxy. Dropping it ends it at once; [`Server::drain`] ends it well.
#[derive(Debug)]
pub struct Server {}

#[expect(clippy::todo, clippy::missing_errors_doc, unused_variables, reason = "to be written")]
impl Server {
    /// Binds every listener and starts the workers.
    pub fn start(model: config::model::Model, options: Options) -> std::io::Result<Self> {
        todo!()
    }

    /// Swaps the configuration; on error the old one stays in force, untouched.
    pub fn reload(&self, model: config::model::Model) -> std::io::Result<()> {
        todo!()
    }

    /// The addresses in use, by listener name (port 0 resolved).
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        todo!()
    }

    /// The admin's address.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        todo!()
    }

    /// Stops accepting, announces `Connection: close`, waits for exchanges to end (bounded by the
    /// drain timeout), then ends the workers. Blocks.
    pub fn drain(self) {
        todo!()
    }

    /// Every cluster's name, counters and learned state, for the admin, the quickstart and tests.
    #[must_use]
    pub fn cluster_counters(&self) -> Vec<(String, policy::cluster::Counters)> {
        todo!()
    }
}
