//! `rateLimit`: which requests a bucket bounds, and how many.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use policy::plan::{ClientPrefix, Distinct, FieldTest, RateLimitPlan, RateRule};

use crate::mistake::{Code, Report};
use crate::node::Spot;
use crate::resolve::network::{masked_network, within};
use crate::resolve::view::View;

/// A rate limit with its rules in the order written, and whether all routes that it bounds share its
/// buckets.
pub(super) fn plan(view: View<'_>, report: &mut Report) -> (RateLimitPlan, bool) {
    let local = view.object("local");
    if local.is_none() && !view.has("local") && !view.has("global") {
        let at = if view.has("type") {
            view.value_spot("type")
        } else {
            view.spot()
        };
        report
            .error(Code::Missing, at, "the rate limit needs `local`")
            .help("add `local:` with its `rules`");
    }
    let rules = local.map(|local| local.objects("rules")).unwrap_or_default();
    let is_shared = |rule: &View<'_>| rule.bool("shared").unwrap_or(false);
    let shared = rules.first().is_some_and(is_shared);
    if let Some(other) = rules.iter().find(|rule| is_shared(rule) != shared) {
        report
            .error(
                Code::Later,
                other.key_spot("shared"),
                "`shared` of some rules and not of others is not supported yet",
            )
            .help("set it alike in all rules of the policy");
    }
    let plan = RateLimitPlan {
        rules: rules.into_iter().filter_map(|view| rule(view, report)).collect(),
    };
    (plan, shared)
}

fn rule(view: View<'_>, report: &mut Report) -> Option<RateRule> {
    let mut draft = Draft::default();
    for selector in view.objects("clientSelectors") {
        if selector.is_empty() {
            report
                .error(Code::Missing, selector.spot(), "this selector selects nothing")
                .help("add `headers` or `sourceCIDR`; without `clientSelectors` a rule is for every request");
        }
        for header in selector.objects("headers") {
            draft.header(header, report);
        }
        if let Some(source) = selector.object("sourceCIDR") {
            draft.source(source, report);
        }
    }
    let limit = view.object("limit")?;
    Some(RateRule {
        headers: draft.headers,
        sources: draft.source.into_iter().map(|(network, _)| network).collect(),
        distinct: draft.distinct,
        client: draft.client,
        requests: NonZeroU32::new(limit.int("requests")?)?,
        per: per(limit.text("unit")?),
    })
}

fn per(unit: &str) -> Duration {
    Duration::from_secs(match unit {
        "Minute" => 60,
        "Hour" => 3600,
        "Day" => 86_400,
        _ => 1,
    })
}

/// All that a rule's selectors ask for together.
#[derive(Default)]
struct Draft {
    headers: Vec<(String, FieldTest)>,
    /// The smallest network so far, and where it stands. Of two that an address can be in at once, one
    /// is within the other.
    source: Option<((IpAddr, u8), Spot)>,
    distinct: Distinct,
    client: ClientPrefix,
    /// Where `Distinct` was said.
    said: Option<Spot>,
}

impl Draft {
    fn header(&mut self, view: View<'_>, report: &mut Report) {
        let Some(name) = view.word("name") else { return };
        let lower = name.text.to_lowercase();
        let value = view.text("value").unwrap_or_default().to_owned();
        let kind = view.text("type").unwrap_or("Exact");
        if kind == "Exact" && !view.has("value") {
            report
                .error(Code::Missing, name.spot, "`type: Exact` needs `value`")
                .help("add `value:`, or `type: Distinct` to bound each value on its own");
        } else if kind != "Exact" && view.has("value") {
            report
                .error(
                    Code::Exclusive,
                    view.key_spot("value"),
                    format!("`type: {kind}` takes any value"),
                )
                .help("remove `value`, or the type");
        }
        match kind {
            "Distinct" => self.distinct(Distinct::Header(lower), name.spot, report),
            "Present" => self.headers.push((lower, FieldTest::Present)),
            _ => self.headers.push((lower, FieldTest::Exact(value))),
        }
    }

    fn source(&mut self, view: View<'_>, report: &mut Report) {
        let Some(value) = view.word("value") else { return };
        let Some(network) = masked_network(value, report) else {
            return;
        };
        if view.text("type") == Some("Distinct") {
            self.distinct(Distinct::Client, value.spot, report);
        }
        for (name, length) in [
            ("ipv4PrefixLength", &mut self.client.v4),
            ("ipv6PrefixLength", &mut self.client.v6),
        ] {
            if view.has(name) && view.text("type") != Some("Distinct") {
                report
                    .error(
                        Code::Inconsistent,
                        view.key_spot(name),
                        format!(
                            "`{name}` says which part of an address has a bucket of its own; `Exact` has one for all"
                        ),
                    )
                    .help("add `type: Distinct`, or remove it");
            }
            *length = view.int(name).unwrap_or(*length);
        }
        match self.source {
            Some((other, _)) if within(other, network) => {}
            Some((other, spot)) if !within(network, other) => {
                report
                    .error(
                        Code::Inconsistent,
                        value.spot,
                        "no client is in both of these networks",
                    )
                    .also(spot, "the other one")
                    .help("all selectors of a rule must hold; give each network a rule of its own");
            }
            _ => self.source = Some((network, value.spot)),
        }
    }

    fn distinct(&mut self, distinct: Distinct, spot: Spot, report: &mut Report) {
        if let Some(first) = self.said.replace(spot) {
            report
                .error(
                    Code::Exclusive,
                    spot,
                    "a rule has one `Distinct`, and this is the second",
                )
                .also(first, "the first one")
                .help("requests share a bucket by one thing: remove one of the two");
        }
        self.distinct = distinct;
    }
}
