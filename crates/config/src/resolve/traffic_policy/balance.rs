//! `loadBalancer`: which endpoint is next.

use std::time::Duration;

use policy::plan::{Balance, HashOn, HashPlan, HashTable};

use crate::mistake::{Code, Report};
use crate::resolve::view::View;

use super::variant;

/// Least request where nothing is said.
pub(super) fn balance(view: Option<View<'_>>, report: &mut Report) -> Balance {
    let Some((view, kind)) = view.and_then(|view| Some((view, view.word("type")?))) else {
        return Balance::default();
    };
    let needs = (kind.text == "ConsistentHash").then_some("consistentHash");
    variant::check(view, kind, needs, &["consistentHash"], report);
    match kind.text {
        "RoundRobin" => Balance::RoundRobin,
        "Random" => Balance::Random,
        "PeakEWMA" => Balance::PeakEwma,
        "ConsistentHash" => view
            .object("consistentHash")
            .and_then(|view| hash(view, report))
            .map_or(Balance::LeastRequest, Balance::ConsistentHash),
        _ => Balance::LeastRequest,
    }
}

/// `slowStart.window`; 0 is none.
pub(super) fn slow_start(view: Option<View<'_>>, report: &mut Report) -> Option<Duration> {
    let view = view?;
    let window = view.object("slowStart")?.duration("window")?;
    if view.text("type") == Some("ConsistentHash") {
        report
            .error(
                Code::Exclusive,
                view.key_spot("slowStart"),
                "a hash leaves no choice, so an endpoint's share cannot grow slowly",
            )
            .also(view.value_spot("type"), "the type")
            .help("remove `slowStart`, or change the type");
    }
    Some(window).filter(|window| !window.is_zero())
}

fn hash(view: View<'_>, report: &mut Report) -> Option<HashPlan> {
    let kind = view.word("type")?;
    let needs = match kind.text {
        "Header" => Some("header"),
        "Headers" => Some("headers"),
        "Cookie" => Some("cookie"),
        _ => None,
    };
    variant::check(view, kind, needs, &["header", "headers", "cookie"], report);
    let name = |view: View<'_>| Some(view.text("name")?.to_lowercase());
    let on = match kind.text {
        "Header" => HashOn::Headers(vec![name(view.object("header")?)?]),
        "Headers" => HashOn::Headers(view.objects("headers").into_iter().filter_map(name).collect()),
        "Cookie" => {
            let cookie = view.object("cookie")?;
            HashOn::Cookie {
                name: cookie.text("name")?.to_owned(),
                ttl: cookie.duration("ttl"),
            }
        }
        _ => HashOn::Source,
    };
    let table = table(view, report);
    Some(HashPlan { on, table })
}

fn table(view: View<'_>, report: &mut Report) -> HashTable {
    let size = view.int("tableSize");
    if view.text("algorithm") == Some("Ring") {
        return HashTable::Ring(size.unwrap_or(RING_POINTS));
    }
    let size = size.unwrap_or(MAGLEV_SIZE);
    if !is_prime(size) {
        report
            .error(
                Code::NotAllowed,
                view.value_spot("tableSize"),
                format!("{size} is not a prime, and Maglev's table needs one"),
            )
            .help(format!("use {}", nearest_prime(size)));
    }
    HashTable::Maglev(size)
}

/// Envoy's default: for up to some hundred endpoints, shares differ by less than 1 %.
const MAGLEV_SIZE: u32 = 65_537;
/// Envoy's default.
const RING_POINTS: u32 = 1024;

fn is_prime(number: u32) -> bool {
    let divides = |divisor: u32| number.is_multiple_of(divisor);
    number >= 2 && !(2..).take_while(|d| d * d <= number).any(divides)
}

/// The lower of two that are as near. Below 5 million, no two primes are 200 apart, so it is soon found.
fn nearest_prime(number: u32) -> u32 {
    let around = |distance: u32| [number.saturating_sub(distance), number + distance];
    let found = (0..).flat_map(around).find(|candidate| is_prime(*candidate));
    found.unwrap_or(MAGLEV_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_prime_is_offered() {
        assert_eq!([2, 3, 65_537, 5_000_011].map(is_prime), [true; 4]);
        assert_eq!([0, 1, 4, 65_536, 1009 * 1013].map(is_prime), [false; 5]);
        assert_eq!(nearest_prime(65_536), 65_537);
        assert_eq!(nearest_prime(1024), 1021);
        assert_eq!(nearest_prime(9), 7);
    }
}
