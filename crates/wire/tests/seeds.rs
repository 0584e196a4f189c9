//! Replays the fuzz seeds through the fuzz targets' own checks, on stable and in every test run.

#[path = "../../../dev/fuzz/checks/wire.rs"]
#[allow(unreachable_pub, reason = "the fuzz targets reach it")]
mod checks;
#[path = "../../../dev/fuzz/checks/h2.rs"]
#[allow(unreachable_pub, reason = "the fuzz targets reach it")]
mod h2_checks;

fn replay(target: &str, check: impl Fn(&[u8])) {
    let seeds = format!("{}/../../dev/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in std::fs::read_dir(&seeds).expect("the seeds are part of the repository") {
        let path = entry.expect("a directory that can be listed").path();
        check(&std::fs::read(path).expect("a seed that can be read"));
        count += 1;
    }
    assert!(count >= 10, "{count} seeds in {seeds}");
}

#[test]
fn heads_hold_what_the_fuzzer_asks_of_them() {
    replay("head", checks::head);
}

#[test]
fn framing_holds_what_the_fuzzer_asks_of_it() {
    replay("framing", checks::framing);
}

#[test]
fn bodies_hold_what_the_fuzzer_asks_of_them() {
    replay("chunked", checks::chunked);
}

#[test]
fn connections_of_http2_hold_what_the_fuzzer_asks_of_them() {
    replay("h2", h2_checks::connection);
}

#[test]
fn header_blocks_hold_what_the_fuzzer_asks_of_them() {
    replay("hpack", h2_checks::hpack);
}

#[test]
fn what_we_accept_another_parser_reads_alike() {
    replay("differential", |seed| {
        checks::agrees_with_httparse(seed);
        if let Some(accepted) = checks::accepted(seed) {
            assert!(accepted.head_len <= accepted.message_len && accepted.message_len <= seed.len());
            let length = wire::h1::framing::request_body(&accepted.head);
            assert_eq!(length, Ok(accepted.framing));
            assert!(accepted.body.len() <= accepted.message_len - accepted.head_len);
        }
    });
}
