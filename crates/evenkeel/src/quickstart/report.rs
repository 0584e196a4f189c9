//! What the quickstart tells: a few lines that keep themselves up to date, a table or one JSON object
//! at its end. The figures are those of `/stats`, by the same names.

use std::time::Duration;

use policy::cluster::Counters;
use proxy::control::server::Server;
use serde_json::{Value, json};

use super::screen::wrap;

/// The figures at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    /// What the demo client saw behind the gateway.
    pub(crate) client: Witness,
    /// What the same client saw behind a plain pool, if it is compared.
    pub(crate) plain: Option<Witness>,
    races: Races,
    learned: Learned,
}

/// What one demo client and its upstream saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Witness {
    /// Requests that got an answer or an error.
    pub(crate) requests: u64,
    /// Errors that the client saw.
    pub(crate) errors: u64,
    /// POSTs that the upstream applied twice.
    pub(crate) duplicates: u64,
}

/// The counters of `/stats` under `cluster.<cluster>.evenkeel.`, of all clusters together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Races {
    met: u64,
    checked: u64,
    replayed: u64,
    failed: u64,
    avoided: u64,
    priced: u64,
}

/// Where a value begins in a line.
const INDENT: usize = 15;
/// A sentence takes no more lines than these on a screen.
const SENTENCE_LINES_MAX: usize = 4;

impl Report {
    /// Figures of the clients and of all clusters together.
    pub(crate) fn new(
        client: Witness,
        plain: Option<Witness>,
        clusters: &[(String, Counters)],
        learned: Learned,
    ) -> Self {
        let sum = |of: fn(&Counters) -> u64| clusters.iter().map(|(_, counters)| of(counters)).sum();
        Self {
            client,
            plain,
            races: Races {
                met: sum(|c| c.race_met),
                checked: sum(|c| c.race_checked),
                replayed: sum(|c| c.race_replayed),
                failed: sum(|c| c.race_failed),
                avoided: sum(|c| c.race_avoided),
                priced: sum(|c| c.race_priced),
            },
            learned,
        }
    }

    /// Lines for a screen of so many columns.
    pub(crate) fn lines(&self, columns: usize) -> Vec<String> {
        let Races {
            met,
            checked,
            replayed,
            failed,
            avoided,
            priced,
        } = self.races;
        let line = |name: &str, value: String| format!("{name:<INDENT$}{value}");
        let mut lines = vec![
            line("requests", self.client.words()),
            line(
                "races met",
                format!("{met} (checked {checked}, replayed {replayed}, failed {failed})"),
            ),
            line("kept away", format!("avoided {avoided}, priced {priced}")),
        ];
        lines.extend(self.plain.map(|plain| line("plain pool", plain.words())));
        let room = columns.saturating_sub(INDENT + 1).max(1);
        let sentence = wrap(&self.learned.words(), room);
        let names = std::iter::once("learned").chain(std::iter::repeat(""));
        let sentence = sentence.into_iter().take(SENTENCE_LINES_MAX);
        lines.extend(names.zip(sentence).map(|(name, words)| line(name, words)));
        lines
    }

    /// One line for a pipe or a file, of less than 80 characters for the first million requests; with a
    /// comparison another one.
    pub(crate) fn line(&self) -> String {
        let Races {
            met, avoided, priced, ..
        } = self.races;
        let Witness { requests, errors, .. } = self.client;
        let line = format!(
            "requests {requests}, errors {errors}, races met {met}, avoided {avoided}, priced {priced}"
        );
        match self.plain {
            None => line,
            Some(Witness { requests, errors, .. }) => {
                format!("{line}\n  plain pool: requests {requests}, errors {errors}")
            }
        }
    }

    /// What was learned, in one sentence.
    pub(crate) fn sentence(&self) -> String {
        self.learned.words()
    }

    /// The summary for people.
    pub(crate) fn table(&self) -> String {
        let Races {
            met,
            checked,
            replayed,
            failed,
            avoided,
            priced,
        } = self.races;
        let Witness {
            requests,
            errors,
            duplicates,
        } = self.client;
        let mut rows = vec![
            ("requests", requests, ""),
            ("errors the client saw", errors, ""),
            ("applied twice", duplicates, "POSTs, as the upstream counted them"),
            ("races met", met, "on a connection that was closing (race_met)"),
            ("  checked", checked, "found closed before writing"),
            ("  replayed", replayed, "sent again: unapplied, or idempotent"),
            ("  failed", failed, "seen by the client"),
            ("avoided", avoided, "kept off a connection past the limit"),
            ("priced", priced, "given a safer connection: not to be sent twice"),
        ];
        if let Some(Witness {
            requests,
            errors,
            duplicates,
        }) = self.plain
        {
            rows.extend([
                (
                    "plain pool: requests",
                    requests,
                    "the same client, a stock keep-alive pool",
                ),
                ("  errors it saw", errors, ""),
                ("  applied twice", duplicates, ""),
            ]);
        }
        let row = |(name, figure, note): &(&str, u64, &str)| {
            format!("{}\n", format!("{name:<22} {figure:>8}  {note}").trim_end())
        };
        let mut table: String = rows.iter().map(row).collect();
        table.push_str(&format!("learned: {}\n", self.learned.words()));
        table
    }

    /// The summary for machines.
    pub(crate) fn json(&self) -> Value {
        let Races {
            met,
            checked,
            replayed,
            failed,
            avoided,
            priced,
        } = self.races;
        let Witness {
            requests,
            errors,
            duplicates,
        } = self.client;
        let mut json = json!({
            "requests": requests,
            "client_errors": errors,
            "duplicates": duplicates,
            "races_met": met,
            "races_absorbed": { "checked": checked, "replayed": replayed },
            "races_failed": failed,
            "kept_away": { "avoided": avoided, "priced": priced },
            "learned": self.learned.json(),
        });
        if let Some(Witness {
            requests,
            errors,
            duplicates,
        }) = self.plain
        {
            json["plain_pool"] =
                json!({ "requests": requests, "client_errors": errors, "duplicates": duplicates });
        }
        json
    }
}

impl Witness {
    fn words(self) -> String {
        let Self {
            requests,
            errors,
            duplicates,
        } = self;
        format!("{requests}, errors the client saw {errors}, applied twice {duplicates}")
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

    fn report(plain: Option<Witness>) -> Report {
        let counters = Counters {
            race_met: 5,
            race_avoided: 61,
            race_checked: 3,
            race_priced: 7,
            race_replayed: 2,
            ..Counters::default()
        };
        let learned = Learned {
            sentence: Some(
                "closes idle connections after 1 s (71 closes seen); used for 0.98 s at most".into(),
            ),
            closes: 7,
            ..Learned::default()
        };
        let client = Witness {
            requests: 1000,
            errors: 0,
            duplicates: 0,
        };
        Report::new(client, plain, &[("demo".into(), counters)], learned)
    }

    const PLAIN: Option<Witness> = Some(Witness {
        requests: 990,
        errors: 23,
        duplicates: 0,
    });

    #[test]
    fn races_met_are_those_of_stats_and_nothing_is_added_to_them() {
        assert_eq!(report(None).json()["races_met"], 5);
        assert!(report(None).line().contains("races met 5, avoided 61"));
        assert!(report(None).table().contains("races met                     5  "));
    }

    #[test]
    fn nothing_that_is_written_line_by_line_is_wider_than_a_narrow_terminal() {
        let report = report(PLAIN);
        for line in report.line().lines().chain(report.table().lines()) {
            assert!(
                line.chars().count() < 80 || line.starts_with("learned: "),
                "{line}"
            );
        }
        for columns in [40, 80, 100, 185] {
            let lines = report.lines(columns);
            let (facts, sentence) = lines.split_at(4);
            assert!(facts.iter().all(|line| line.chars().count() < 80), "{facts:#?}");
            assert!(
                sentence.iter().all(|line| line.chars().count() < columns),
                "{columns}: {sentence:#?}"
            );
        }
    }

    #[test]
    fn the_json_has_the_keys_that_scripts_ask_for() {
        insta::assert_snapshot!(format!("{:#}", report(PLAIN).json()), @r#"
        {
          "client_errors": 0,
          "duplicates": 0,
          "kept_away": {
            "avoided": 61,
            "priced": 7
          },
          "learned": {
            "closes": 7,
            "closes_after_ms": null,
            "reuse_limit_ms": null,
            "sentence": "closes idle connections after 1 s (71 closes seen); used for 0.98 s at most"
          },
          "plain_pool": {
            "client_errors": 23,
            "duplicates": 0,
            "requests": 990
          },
          "races_absorbed": {
            "checked": 3,
            "replayed": 2
          },
          "races_failed": 0,
          "races_met": 5,
          "requests": 1000
        }
        "#);
    }

    #[test]
    fn the_screen_and_the_table_tell_the_same() {
        let report = report(PLAIN);
        insta::assert_snapshot!(format!("{}\n\n{}", report.lines(60).join("\n"), report.table()), @r"
        requests       1000, errors the client saw 0, applied twice 0
        races met      5 (checked 3, replayed 2, failed 0)
        kept away      avoided 61, priced 7
        plain pool     990, errors the client saw 23, applied twice 0
        learned        closes idle connections after 1 s (71 closes
                       seen); used for 0.98 s at most

        requests                   1000
        errors the client saw         0
        applied twice                 0  POSTs, as the upstream counted them
        races met                     5  on a connection that was closing (race_met)
          checked                     3  found closed before writing
          replayed                    2  sent again: unapplied, or idempotent
          failed                      0  seen by the client
        avoided                      61  kept off a connection past the limit
        priced                        7  given a safer connection: not to be sent twice
        plain pool: requests        990  the same client, a stock keep-alive pool
          errors it saw              23
          applied twice               0
        learned: closes idle connections after 1 s (71 closes seen); used for 0.98 s at most
        ");
    }
}
