//! What routing finds, and answers of evenkeel's own.

use super::stage::{Made, Row};

pub(super) fn options() -> Vec<Made> {
    let row = Row::new(
        |scene| Some(scene.sends("OPTIONS", "/", "Max-Forwards: 0\r\n").response()),
        "The request's Max-Forwards was 0, so evenkeel answered it and forwarded nothing.",
    );
    vec![Made::By(row)]
}

pub(super) fn trace() -> Vec<Made> {
    let row = Row::new(
        |scene| Some(scene.sends("TRACE", "/", "Max-Forwards: 0\r\n").response()),
        "The request's Max-Forwards was 0, so evenkeel answered it and forwarded nothing.",
    );
    vec![Made::By(row)]
}

pub(super) fn no_route() -> Vec<Made> {
    let host = Row::new(
        |scene| {
            let mut client = scene.client();
            client.send("GET / HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n");
            Some(client.response())
        },
        "No HTTPRoute of this listener is for the host elsewhere.test. Its hostnames are row-0.test, \
         row-1.test, row-10.test, row-11.test, row-12.test and {n} more. To prevent this: add the hostname \
         and path to an HTTPRoute that is attached to this listener.",
    );
    let path = Row {
        rule: "    matches: [{path: {type: Exact, value: /only}}]\n",
        ..Row::new(
            |scene| scene.get("/other"),
            "HTTPRoutes of this listener are for the host row-{n}test, but none of their rules matches GET /other \
         with the request's fields. Its hostnames are row-0.test, row-1.test, row-10.test, row-11.test, \
         row-12.test and {n} more. To prevent this: add the hostname and path to an HTTPRoute that is \
         attached to this listener.",
        )
    };
    vec![Made::By(host), Made::By(path)]
}

pub(super) fn no_backend() -> Vec<Made> {
    let row = Row {
        rule: "nowhere",
        ..Row::new(
            |scene| scene.get("/"),
            "The rule httproute/default/row-{n}/rule/0 has no backendRefs. To prevent this: give the rule a \
         backendRef that exists and has a weight above 0.",
        )
    };
    vec![Made::By(row)]
}

pub(super) fn rate_limited() -> Vec<Made> {
    let row = Row {
        policy: "  rateLimit: {type: Local, local: {rules: [{limit: {requests: 1, unit: Hour}}]}}\n",
        ..Row::new(
            |scene| {
                scene.get("/setup");
                scene.get("/")
            },
            "Rule 0 of the BackendTrafficPolicy default/row-{n}-policy@default/row-{n}, \
             rateLimit.local.rules[0].limit = 1 requests in 3600 s, has no request left in the bucket that all \
             requests share; the next passes in {t}.",
        )
    };
    vec![Made::By(row)]
}
