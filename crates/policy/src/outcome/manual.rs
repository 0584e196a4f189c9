//! The manual's page on failures, made from the table.

use std::fmt::Write;

use super::{Cause, Flag, Told};

/// `docs/troubleshooting.md`.
#[must_use]
pub fn troubleshooting() -> String {
    let mut page = String::from(HEAD);
    let flags = Flag::ALL.iter().copied().map(Some).chain([None]);
    for flag in flags {
        let causes = || Cause::ALL.iter().filter(move |cause| cause.row().flag == flag);
        let title = flag.map_or("No flag", Flag::as_str);
        let long = flag.map_or(String::new(), |flag| format!(" ({})", flag.long()));
        let _ = writeln!(page, "\n## {title}{long}");
        for cause in causes() {
            entry(&mut page, *cause);
        }
    }
    page
}

fn entry(page: &mut String, cause: Cause) {
    let row = cause.row();
    let told = match row.told {
        Told::Status(status) if row.body.is_empty() => format!("status {status}, no body"),
        Told::Status(status) => format!("status {status}, body `{}`", row.body),
        Told::Nobody => String::from("nothing: nobody is left to answer (the log has status 0)"),
        Told::Cut => String::from("what it has of the response; its connection is ended"),
        Told::Response => String::from("the endpoint's response"),
    };
    let _ = write!(
        page,
        "\n### {cause:?}\n\n{}\n\n- Details: `{}`\n- The client gets: {told}\n- Look at: {}\n- Set: {}\n",
        row.happened, row.details, row.look, row.set
    );
}

const HEAD: &str = "# Troubleshooting

For whoever reads a log line at 3 am. Take the flag and the details of the line (`envoy_response_flags`,
`envoy_response_code_details`; in the text format the flag follows the status), and find them below. The sentence of the
line says the same with the facts of that request: which endpoint, how long, how often, and the setting with the value
that it has now.

For example, where nothing listens at the endpoint's port:

```sh errors
evenkeel run --to http://127.0.0.1:9 --access-log json > access.log
curl -o /dev/null http://127.0.0.1:8080/
until grep -o '\"envoy_response_flags\":\"[^\"]*\"' access.log; do sleep 0.1; done
grep -o '\"evenkeel_sentence\":\"[^\"]*\"' access.log
```

```text output
\"envoy_response_flags\":\"UF,URX\"
\"evenkeel_sentence\":\"The endpoint 127.0.0.1:9 refused the connection: nothing listens there. evenkeel made 4 attempts, …
```

With `jq`, flag and sentence of every request that failed:

```sh no-run: needs jq, which not every machine has
jq -r 'select(.envoy_response_flags != \"-\") | [.envoy_response_flags, .evenkeel_sentence] | @tsv' access.log
```

This page is made from the table of failures in `crates/policy/src/outcome/cause.rs`; a test fails when it is stale.
After a change there, write it anew: `EVENKEEL_WRITE_DOCS=1 cargo test -p evenkeel-policy troubleshooting`.

evenkeel adds `URX` to another flag if it has sent the request as often as it may, and `UO` if it did not retry for want of
retry budget.
";
