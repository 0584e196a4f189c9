//! What an endpoint speaks that does not answer as an HTTP server does. Nobody guesses: it is asked on a connection
//! of its own, at most once in [`ASKED_AGAIN`], and what it said is a fact until it answers a request.

use std::time::Duration;

use super::events::EventKind;
use super::{Address, Cluster, EndpointId};
use crate::time::Moment;

/// An endpoint is asked once in this time, however many requests it fails.
const ASKED_AGAIN: Duration = Duration::from_secs(60);

/// What is known of an endpoint's protocol.
#[derive(Debug, Default)]
pub(crate) struct Protocol {
    asked: Option<Moment>,
    /// The other protocol that it speaks.
    other: Option<&'static str>,
}

impl Protocol {
    /// The other protocol that it speaks.
    pub(super) fn other(&self) -> Option<&'static str> {
        self.other
    }

    /// It answered a request.
    pub(crate) fn is_http(&mut self) {
        self.other = None;
    }
}

impl Cluster {
    /// An endpoint closed a new connection without a byte, or sent what is no HTTP: where to ask it what it speaks, if
    /// it is to be asked now.
    pub fn doubt_protocol(&mut self, id: EndpointId, now: Moment) -> Option<Address> {
        let endpoint = self.endpoints.get_mut(id)?;
        let asked = &mut endpoint.service.trouble.protocol.asked;
        if asked.is_some_and(|asked| now.since(asked) < ASKED_AGAIN) {
            return None;
        }
        *asked = Some(now);
        Some(endpoint.address.clone())
    }

    /// An endpoint's own first bytes say that it speaks this.
    pub fn speaks(&mut self, id: EndpointId, name: &'static str, now: Moment) {
        let Some(endpoint) = self.endpoints.get_mut(id) else {
            return;
        };
        let before = endpoint.service.trouble.protocol.other.replace(name);
        if before != Some(name) {
            self.push_event(id, EventKind::OtherProtocol { name }, now);
        }
    }

    /// Which other protocol the endpoint speaks whose address fits.
    pub fn spoken_at(&self, fits: impl Fn(&Address) -> bool) -> Option<&'static str> {
        let mut endpoints = self.endpoints.iter();
        let (_, endpoint) = endpoints.find(|(_, endpoint)| fits(&endpoint.address))?;
        endpoint.service.trouble.protocol.other
    }
}
