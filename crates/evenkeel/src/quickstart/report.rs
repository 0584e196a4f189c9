//! What the quickstart tells: one line while it runs, a table or one JSON object at its end.

use std::time::Duration;

use policy::cluster::Counters;
use proxy::server::Server;
use serde_json::{Value, json};

/// The figures at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    /// Requests of the demo client.
    pub(crate) requests: u64,
    /// Errors the demo client saw.
    pub(crate) client_errors: u64,
    /// POSTs that the upstream applied twice.
    pub(crate) duplicates: u64,
    absorbed: Absorbed,
    failed: u64,
    learned: Learned,
}

/// Races that no client saw, by the layer that absorbed them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Absorbed {
    avoided: u64,
    checked: u64,
    priced: u64,
    replayed: u64,
}

impl Report {
    /// Figures of the client and of all clusters together.
    pub(crate) fn new(
        requests: u64,
        client_errors: u64,
        duplicates: u64,
        clusters: &[(String, Counters)],
        learned: Learned,
    ) -> Self {
        let sum = |of: fn(&Counters) -> u64| clusters.iter().map(|(_, counters)| of(counters)).sum();
        Self {
            requests,
            client_errors,
            duplicates,
            absorbed: Absorbed {
                avoided: sum(|c| c.race_avoided),
                checked: sum(|c| c.race_checked),
                priced: sum(|c| c.race_priced),
                replayed: sum(|c| c.race_replayed),
            },
            failed: sum(|c| c.race_failed),
            learned,
        }
    }

    /// Requests for which a connection was at hand that was closing or about to.
    fn races_met(&self) -> u64 {
        let Absorbed {
            avoided,
            checked,
            priced,
            replayed,
        } = self.absorbed;
        avoided + checked + priced + replayed + self.failed
    }

    /// The line that keeps itself up to date.
    pub(crate) fn line(&self) -> String {
        let Absorbed {
            avoided,
            checked,
            priced,
            replayed,
        } = self.absorbed;
        format!(
            "requests {} · races met {} · absorbed: avoided {avoided}, checked {checked}, priced {priced}, \
             replayed {replayed} · errors the client saw {} · learned: {}",
            self.requests,
            self.races_met(),
            self.client_errors,
            self.learned.words()
        )
    }

    /// The summary for people.
    pub(crate) fn table(&self) -> String {
        let Absorbed {
            avoided,
            checked,
            priced,
            replayed,
        } = self.absorbed;
        let rows = [
            ("requests", self.requests, ""),
            (
                "races met",
                self.races_met(),
                "a connection was at hand that was closing or about to",
            ),
            (
                "  avoided",
                avoided,
                "kept off a connection past the learned limit",
            ),
            ("  checked", checked, "found closed by the look before writing"),
            (
                "  priced",
                priced,
                "given a safer connection, for it could not be sent twice",
            ),
            (
                "  replayed",
                replayed,
                "sent again, proven unapplied or idempotent",
            ),
            ("errors the client saw", self.client_errors, ""),
            (
                "applied twice",
                self.duplicates,
                "POSTs, as the upstream counted them",
            ),
        ];
        let mut table: String = rows
            .iter()
            .map(|(name, figure, note)| format!("{}\n", format!("{name:<22} {figure:>8}  {note}").trim_end()))
            .collect();
        table.push_str(&format!("learned: {}\n", self.learned.words()));
        table
    }

    /// The summary for machines.
    pub(crate) fn json(&self) -> Value {
        let Absorbed {
            avoided,
            checked,
            priced,
            replayed,
        } = self.absorbed;
        json!({
            "requests": self.requests,
            "races_met": self.races_met(),
            "races_absorbed": {
                "avoided": avoided, "checked": checked, "priced": priced, "replayed": replayed,
            },
            "client_errors": self.client_errors,
            "duplicates": self.duplicates,
            "learned": self.learned.json(),
        })
    }
}

/// What the gateway learned of the demo upstream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Learned {
    /// In one plain sentence.
    sentence: Option<String>,
    limit: Option<Duration>,
    closes_after: Option<Duration>,
    closes: u32,
}

impl Learned {
    /// What it knows now; the demonstration has one cluster with one endpoint.
    pub(crate) fn of(server: &Server) -> Self {
        let reports = server.endpoint_reports();
        let Some(report) = reports.first().and_then(|(_, endpoints)| endpoints.first()) else {
            return Self::default();
        };
        Self {
            sentence: Some(report.sentence.clone()).filter(|sentence| !sentence.is_empty()),
            limit: Some(report.knowledge.limit.reuse),
            closes_after: report.knowledge.wall.map(|wall| wall.lo),
            closes: report.knowledge.closes,
        }
    }

    fn words(&self) -> String {
        self.sentence.clone().unwrap_or_else(|| "nothing yet".to_owned())
    }

    fn json(&self) -> Value {
        let millis = |span: Option<Duration>| span.map(|span| span.as_secs_f64() * 1000.0);
        json!({
            "reuse_limit_ms": millis(self.limit),
            "closes_after_ms": millis(self.closes_after),
            "closes": self.closes,
            "sentence": self.sentence,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let counters = Counters {
            race_avoided: 4,
            race_checked: 3,
            race_priced: 2,
            race_replayed: 1,
            ..Counters::default()
        };
        let learned = Learned {
            sentence: Some("closes at 1 s".into()),
            closes: 7,
            ..Learned::default()
        };
        Report::new(100, 0, 0, &[("demo".into(), counters)], learned)
    }

    #[test]
    fn every_race_met_is_in_one_layer_or_failed() {
        assert_eq!(report().races_met(), 10);
    }

    #[test]
    fn the_json_has_the_keys_that_scripts_ask_for() {
        insta::assert_snapshot!(format!("{:#}", report().json()), @r#"
        {
          "client_errors": 0,
          "duplicates": 0,
          "learned": {
            "closes": 7,
            "closes_after_ms": null,
            "reuse_limit_ms": null,
            "sentence": "closes at 1 s"
          },
          "races_absorbed": {
            "avoided": 4,
            "checked": 3,
            "priced": 2,
            "replayed": 1
          },
          "races_met": 10,
          "requests": 100
        }
        "#);
    }

    #[test]
    fn the_line_and_the_table_tell_the_same() {
        insta::assert_snapshot!(format!("{}\n{}", report().line(), report().table()), @r"
        requests 100 · races met 10 · absorbed: avoided 4, checked 3, priced 2, replayed 1 · errors the client saw 0 · learned: closes at 1 s
        requests                    100
        races met                    10  a connection was at hand that was closing or about to
          avoided                     4  kept off a connection past the learned limit
          checked                     3  found closed by the look before writing
          priced                      2  given a safer connection, for it could not be sent twice
          replayed                    1  sent again, proven unapplied or idempotent
        errors the client saw         0
        applied twice                 0  POSTs, as the upstream counted them
        learned: closes at 1 s
        ");
    }
}
