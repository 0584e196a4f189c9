//! Rate limits as all workers share them: exact over all of them, and over reloads.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use config::model::RateLimitSpec;
use policy::rate_limit::{Decision, Quota, RateLimiter};
use policy::time::Moment;
use wire::field::Fields;

/// One rate limit behind its one lock.
#[derive(Debug)]
pub(crate) struct SharedRateLimit(Mutex<RateLimiter>);

impl SharedRateLimit {
    /// Lets a request pass, and says what is left; `None` if no rule is for it.
    ///
    /// # Errors
    /// It has come too early.
    pub(crate) fn pass<'h>(
        &self,
        client: IpAddr,
        header: impl Fn(&str) -> Option<Cow<'h, [u8]>>,
        now: Moment,
    ) -> Result<Option<Quota>, Quota> {
        match self.limiter().ask(client, header, now) {
            Decision::Unruled => Ok(None),
            Decision::Pass(quota) => Ok(Some(quota)),
            Decision::Limited(quota) => Err(quota),
        }
    }

    fn limiter(&self) -> MutexGuard<'_, RateLimiter> {
        // Each bucket is whole whatever happened to whoever held the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of them by name, over all snapshots.
#[derive(Debug, Default)]
pub(crate) struct RateLimits(BTreeMap<Arc<str>, Arc<SharedRateLimit>>);

impl RateLimits {
    /// Those of a new configuration, in its order. What a name that stays has counted stays; what is
    /// gone from the configuration goes with its last request.
    pub(crate) fn adopt(&mut self, specs: &[RateLimitSpec]) -> Vec<Arc<SharedRateLimit>> {
        let mut former = std::mem::take(&mut self.0);
        let adopt = |spec: &RateLimitSpec| {
            let limit = match former.remove(&spec.name) {
                Some(limit) => {
                    limit.limiter().adopt(&spec.plan);
                    limit
                }
                None => Arc::new(SharedRateLimit(Mutex::new(RateLimiter::new(&spec.plan)))),
            };
            self.0.insert(spec.name.clone(), limit.clone());
            limit
        };
        specs.iter().map(adopt).collect()
    }
}

/// Says to a client how much it has left.
pub(crate) fn tell(quota: &Quota, response: &mut Fields) {
    response.push(b"ratelimit-policy", quota.policy_field().as_bytes());
    response.push(b"ratelimit", quota.state_field().as_bytes());
}
