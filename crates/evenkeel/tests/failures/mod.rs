//! The table of failures, end to end: every cause is made to happen with real sockets, and what each party is
//! told of it is held against the table in `policy::outcome`: flag, details, status, the client's body, the
//! sentence with its advice, and the text log's line.

mod client;
mod endpoint;
mod handshake;
mod limit;
mod route;
mod saved;
mod stage;
mod tunnel;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use policy::outcome::{Cause, Told};

use stage::{Made, Row, Seen, Stage, fits};

/// How each cause is made to happen. One without a row does not compile.
fn rows(cause: Cause) -> Vec<Made> {
    match cause {
        Cause::BadRequest => client::bad_request(),
        Cause::BadRequestBody => client::bad_request_body(),
        Cause::ClientOtherProtocol => client::other_protocol(),
        Cause::PlainHttpOnTls => handshake::plain_http(),
        Cause::TlsHandshakeFailed => handshake::failed(),
        Cause::TlsHandshakeTimeout => handshake::timeout(),
        Cause::TlsHandshakeShed => handshake::shed(),
        Cause::TlsHandshakeLeft => handshake::left(),
        Cause::RequestHeadTooLarge => client::head_too_large(),
        Cause::TooManyRequestFields => client::too_many_fields(),
        Cause::RequestBodyTooLarge => client::body_too_large(),
        Cause::RequestLineTooLong => client::line_too_long(),
        Cause::ConnectNotOffered => client::connect(),
        Cause::UnknownExpectation => client::expectation(),
        Cause::NotImplemented => client::not_implemented(),
        Cause::UnknownVersion => client::version(),
        Cause::RequestHeadTimeout => client::head_timeout(),
        Cause::RequestHeadShed => client::head_shed(),
        Cause::RequestBodyTimeout => client::body_timeout(),
        Cause::ClientLeft => client::left(),
        Cause::ClientStuck => client::stuck(),
        Cause::ClientSlow => client::slow(),
        Cause::OptionsEndsHere => route::options(),
        Cause::TraceEndsHere => route::trace(),
        Cause::NoRoute => route::no_route(),
        Cause::NoBackend => route::no_backend(),
        Cause::RateLimited => route::rate_limited(),
        Cause::NoHealthyEndpoint => endpoint::no_healthy(),
        Cause::UnresolvedName => endpoint::unresolved(),
        Cause::ConnectRefused => endpoint::refused(),
        Cause::ConnectTimeout => endpoint::connect_timeout(),
        Cause::ConnectFailed => endpoint::connect_failed(),
        Cause::UpstreamTlsFailed => endpoint::tls_failed(),
        Cause::ConnectFailedHere => endpoint::connect_failed_here(),
        Cause::RequestsOverflow => limit::requests(),
        Cause::PendingOverflow => limit::pending(),
        Cause::QueueOverload => limit::queue_overload(),
        Cause::QueueTimeout => limit::queue_timeout(),
        Cause::RetryBudgetSpent => limit::retry_budget(),
        Cause::RetriesOverflow => limit::retries(),
        Cause::AttemptsUsedUp => limit::attempts(),
        Cause::EndpointClosed => endpoint::closed(),
        Cause::EndpointReset => endpoint::reset(),
        Cause::EndpointLost => endpoint::lost(),
        Cause::EndpointSilent => endpoint::silent(),
        Cause::ResponseCut => endpoint::cut(),
        Cause::ResponseReset => endpoint::cut_by_reset(),
        Cause::EndpointOtherProtocol => endpoint::other_protocol(),
        Cause::BadResponse => endpoint::bad_response(),
        Cause::ResponseHeadTooLarge => endpoint::head_too_large(),
        Cause::BadResponseBody => endpoint::bad_body(),
        Cause::PerTryTimeout => limit::per_try_timeout(),
        Cause::RequestTimeout => limit::request_timeout(),
        Cause::RequestTimeoutInResponse => limit::request_timeout_in_response(),
        Cause::StreamIdle => limit::stream_idle(),
        Cause::StreamIdleInResponse => limit::stream_idle_in_response(),
        Cause::TunnelClosedByClient => tunnel::client_closes(),
        Cause::TunnelResetByClient => tunnel::client_resets(),
        Cause::TunnelClosedByEndpoint => tunnel::endpoint_closes(),
        Cause::TunnelResetByEndpoint => tunnel::endpoint_resets(),
        Cause::TunnelIdle => tunnel::idle(),
        Cause::Drained => limit::drained(),
        Cause::InternalError => limit::internal_error(),
    }
}

/// Causes that no test can make happen from outside; each says why.
const NEVER: [Cause; 1] = [Cause::InternalError];

/// What a saved request's client and log are told.
const SAVED: policy::outcome::Row = policy::outcome::Row {
    flag: None,
    told: Told::Response,
    details: "via_upstream",
    body: "",
    happened: "",
    look: "",
    set: "",
};

/// Every row with its cause, in the table's order; then those of saved requests.
fn table() -> Vec<(Option<Cause>, Row)> {
    let of = |&cause: &Cause| {
        let made = rows(cause).into_iter().filter_map(|made| match made {
            Made::By(row) => Some(row),
            Made::Never(why) => {
                assert!(NEVER.contains(&cause) && !why.is_empty(), "{cause:?}");
                None
            }
        });
        let made: Vec<_> = made.map(|row| (Some(cause), row)).collect();
        assert_eq!(
            made.is_empty(),
            NEVER.contains(&cause),
            "{cause:?} is made by no row"
        );
        made
    };
    let saved = saved::rows().into_iter().map(|row| (None, row));
    Cause::ALL.iter().flat_map(of).chain(saved).collect()
}

/// Makes every row happen, one after the other, before a gateway that logs in this format; gives what was
/// not as it should be.
fn play(format: &'static str) -> Vec<String> {
    let rows = table();
    let stage = Stage::of(&rows, format);
    let mut complaints = Vec::new();
    for (place, (cause, row)) in rows.iter().enumerate() {
        let number = rows[..place].iter().filter(|(other, _)| other == cause).count();
        let name = cause.map_or("saved".to_owned(), |cause| format!("{cause:?}"));
        // One row that does not come about hides no other.
        // On a busy machine what leads up to a failure may be late, and fail first.
        let play = || catch_unwind(AssertUnwindSafe(|| stage.play(place, row))).ok();
        let Some(seen) = (0..3).find_map(|_| play()) else {
            complaints.push(format!("{name} {number} ({format}) did not come about"));
            continue;
        };
        let told = cause.map_or(&SAVED, Cause::row);
        for (what, wanted, found) in compared(told, row, &seen, format) {
            if !fits(&wanted, &found, &seen.at) {
                complaints.push(format!(
                    "{name} {number} ({format}), {what}:\n  wanted {wanted}\n  found  {found}"
                ));
            }
        }
    }
    complaints
}

/// What is to be as it was wanted: what it is, as it was wanted, as it was found.
fn compared(
    told: &policy::outcome::Row,
    row: &Row,
    seen: &Seen,
    format: &str,
) -> Vec<(&'static str, String, String)> {
    let flags = row.flags.unwrap_or(told.flag.map_or("-", |flag| flag.as_str()));
    let details = row.details.unwrap_or(told.details);
    let told_by = row.told.unwrap_or(told.told);
    let status = match told_by {
        Told::Status(status) => status.to_string(),
        Told::Nobody => "0".to_owned(),
        Told::Cut | Told::Response => row.status.to_string(),
    };
    let answered = seen.answer.as_ref();
    let answered_with = answered.map_or("0".to_owned(), |answer| answer.status().to_string());
    let mut all = vec![("the client's status", status.clone(), answered_with)];
    if let (Told::Status(_), Some(answer)) = (told_by, answered) {
        let body = row.body.unwrap_or(told.body);
        all.push(("the client's body", body.to_owned(), answer.text()));
    }
    if told_by == Told::Cut {
        let complete = answered.is_some_and(|answer| answer.complete);
        all.push((
            "complete for the client",
            "false".to_owned(),
            complete.to_string(),
        ));
    }
    let sentence = row.sentence.to_owned();
    if format == "text" {
        let [line_status, line_flags, line_sentence] = seen.text();
        all.push(("flags", flags.to_owned(), line_flags));
        all.push(("status", status, line_status));
        all.push(("sentence", sentence, line_sentence));
        return all;
    }
    let line = seen.json();
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    all.push(("flags", flags.to_owned(), text("envoy_response_flags")));
    all.push(("details", details.to_owned(), text("envoy_response_code_details")));
    all.push(("status", status, line["http_response_status_code"].to_string()));
    all.push(("sentence", sentence, text("evenkeel_sentence")));
    all.push(("who closed", row.closed_by.to_owned(), text("evenkeel_closed_by")));
    all
}

#[test]
fn every_cause_is_told_as_the_table_has_it() {
    let complaints: Vec<String> = std::thread::scope(|scope| {
        let formats = ["json", "text"].map(|format| scope.spawn(move || play(format)));
        formats
            .into_iter()
            .flat_map(|played| played.join().expect("it plays"))
            .collect()
    });
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_causes_without_a_row_are_few_and_say_why() {
    let made: BTreeSet<Cause> = table().into_iter().filter_map(|(cause, _)| cause).collect();
    let missing: Vec<&Cause> = Cause::ALL.iter().filter(|cause| !made.contains(cause)).collect();
    assert_eq!(missing, NEVER.iter().collect::<Vec<_>>());
}
