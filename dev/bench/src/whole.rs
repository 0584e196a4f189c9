//! All steps of one request in a row, as an exchange takes them.

use std::hint::black_box;
use std::time::Duration;

use config::model::LogFormat;
use policy::plan::RetryPlan;
use proxy::telemetry::stats::Histogram;
use wire::field::Known;
use wire::h1::framing;
use wire::h1::head::{RequestHead, ResponseHead};

use crate::record::Sent;
use crate::{Step, heads, outbound, parse, pool, record, route};

/// A request and its response, logged as JSON.
pub(crate) fn request() -> Step {
    let (mut request, mut response) = (RequestHead::default(), ResponseHead::default());
    let (table, mut pool, mut outbound) =
        (route::table(1_000), pool::Pool::warm(), outbound::Desk::default());
    let (log, times, plan) = (
        record::Desk::writing(LogFormat::Json),
        Histogram::default(),
        RetryPlan::default(),
    );
    Box::new(move || {
        heads::read_request(&mut request);
        parse::check_request(&request);
        route::normalised(&request);
        let matched = route::matched(&table, &request);
        let connection = pool.take();
        outbound.request(&mut request);
        heads::read_response(&mut response);
        black_box(framing::response_body(&response, request.method).expect("the framing is in order"));
        pool::answered(black_box(&plan), pool.now, &mut pool.dice);
        outbound.response(&mut response);
        pool.give_back(connection);
        times.record(black_box(Duration::from_micros(12_345)));
        log.tell(
            &request,
            &Sent {
                route: &matched.route.name,
                forwarded_for: request.fields.get(Known::XForwardedFor).unwrap_or_default(),
                upstream: b"10.0.2.1:80",
            },
        );
    })
}
