//! What keeps a client at one endpoint: the key that consistent hashing goes by, and the cookie that is
//! made for a client that has none.

use std::time::Duration;

use policy::balance;
use policy::plan::{Balance, ClusterPlan, HashOn};
use policy::time::Dice;
use wire::field::{Fields, Known};
use wire::hop;

use crate::exchange::route::Accepted;

/// A request's affinity.
#[derive(Debug, Default)]
pub(crate) struct Affinity {
    /// What it hashes to; `None` goes by chance.
    pub(crate) hash: Option<u64>,
    /// `Set-Cookie` for its response.
    pub(crate) cookie: Option<String>,
}

impl Affinity {
    /// That of a request under a cluster's plan; only consistent hashing looks at the request.
    pub(crate) fn of(plan: &ClusterPlan, fields: &Fields, accepted: &Accepted, dice: &mut Dice) -> Self {
        let Balance::ConsistentHash(hash) = &plan.balance else {
            return Self::default();
        };
        let address = accepted.origin.address;
        let found = balance::key(&hash.on, Some(address), |name| {
            let crosses = !hop::ends_here(Known::of(name.as_bytes()));
            crosses.then(|| fields.get_named(name.as_bytes())).flatten()
        });
        match (&hash.on, found) {
            (HashOn::Cookie { name, ttl: Some(ttl) }, None) => Self::made(&hash.on, name, *ttl, dice),
            _ => Self {
                hash: found,
                cookie: None,
            },
        }
    }

    /// Says it to the client.
    pub(crate) fn tell(&self, response: &mut Fields) {
        if let Some(cookie) = &self.cookie {
            response.push(b"set-cookie", cookie.as_bytes());
        }
    }

    /// A cookie of a random value, which the client's next request brings along.
    fn made(on: &HashOn, name: &str, ttl: Duration, dice: &mut Dice) -> Self {
        let pair = format!("{name}={:016x}{:016x}", dice.bits(), dice.bits());
        let hash = balance::key(on, None, |_| Some(pair.as_bytes()));
        let age = ttl.as_secs();
        Self {
            hash,
            cookie: Some(format!("{pair}; Max-Age={age}; Path=/; HttpOnly")),
        }
    }
}
