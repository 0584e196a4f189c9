//! What TLS needs of a configuration: what addresses present, and how clusters are spoken to.

use std::io;

use config::model::Model;

use crate::transport::tls::{EndpointSide, EndpointSides, ServerSide, ServerSides, Tickets, Trusted};

/// What addresses present, and how clusters are spoken to.
pub(super) type Sides = (ServerSides, EndpointSides);

/// What is kept over reloads.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// The keys of tickets.
    tickets: Tickets,
    /// How clusters with TLS are spoken to.
    trusted: Trusted,
}

impl Secrets {
    /// The TLS sides of a configuration.
    ///
    /// # Errors
    /// A key or an authority cannot be used: whose, and why.
    pub(super) fn sides(&mut self, model: &Model) -> io::Result<Sides> {
        let servers = ServerSide::of_all(&model.listeners, &mut self.tickets).map_err(io::Error::other)?;
        let endpoints = EndpointSide::of_all(&model.clusters, &mut self.trusted).map_err(io::Error::other)?;
        Ok((servers, endpoints))
    }
}
