//! Freezes of our own process: what they delayed is held against nobody.

use super::Cluster;
use crate::freeze::Freeze;
use crate::time::Moment;

impl Cluster {
    /// The end of the last freeze that it was told of.
    #[must_use]
    pub fn frozen_until(&self) -> Moment {
        self.freezes.ended()
    }

    /// A thread that serves requests was frozen. Told before anything else that happens at its end: who waits is
    /// given that time back, and what began before it does not count as slow, late or silent.
    pub fn on_freeze(&mut self, freeze: Freeze) {
        let lost = self.freezes.note(freeze);
        if lost.is_zero() {
            return;
        }
        self.queue.on_freeze(lost, freeze.ended);
        self.queue.discipline.on_freeze(lost, self.freezes.settled());
        for (_, endpoint) in self.endpoints.iter_mut() {
            endpoint.stragglers.on_freeze(lost);
            if let Some(health) = &mut endpoint.service.health {
                health.on_freeze(lost);
            }
        }
    }
}
