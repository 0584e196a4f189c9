use std::time::Instant;

use insta::assert_snapshot;
use policy::cluster::Address;
use policy::health::{CheckResult, Failure};
use policy::plan::HealthProbe;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

fn plan(probe: HealthProbe) -> HealthPlan {
    let one = std::num::NonZeroU32::MIN;
    HealthPlan {
        timeout: LIMIT,
        interval: LIMIT,
        initial_jitter: Duration::ZERO,
        unhealthy_threshold: one,
        healthy_threshold: one,
        port: None,
        probe,
    }
}

fn http(method: &str, receive: &[u8]) -> HealthProbe {
    HealthProbe::Http {
        host: None,
        path: "/health?deep=1".to_owned(),
        method: method.to_owned(),
        statuses: vec![200, 204],
        retriable: vec![503],
        receive: receive.to_vec(),
    }
}

fn tcp(send: &[u8], receive: &[u8]) -> HealthProbe {
    HealthProbe::Tcp {
        send: send.to_vec(),
        receive: receive.to_vec(),
    }
}

/// Checks an endpoint that hears `until` these bytes and answers so; what it heard, and what was
/// found.
async fn found(probe: HealthProbe, until: &'static [u8], answer: &[u8]) -> (String, Finding) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = answer.to_vec();
    let endpoint = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(until) && stream.read_buf(&mut heard).await.unwrap() > 0 {}
        // A check that has read enough does not wait for the rest.
        let _ = stream.write_all(&answer).await;
        String::from_utf8(heard).unwrap()
    });
    let finding = check::make(&Address::Ip(address), &plan(probe), LIMIT).await;
    let heard = endpoint.await.unwrap();
    (heard.replace(&address.to_string(), "ADDRESS"), finding)
}

/// The result of a check of HTTP, and the reason.
async fn judged(probe: HealthProbe, answer: &[u8]) -> (CheckResult, String) {
    let (_, finding) = found(probe, b"\r\n\r\n", answer).await;
    (finding.result(), finding.to_string())
}

const GOOD: CheckResult = CheckResult::Good;
const BAD: CheckResult = CheckResult::Failed(Failure::Answer);
const NETWORK: CheckResult = CheckResult::Failed(Failure::Network);

#[tokio::test]
async fn a_check_asks_what_it_is_told_to_and_says_who_asks() {
    let (heard, finding) = found(http("GET", b""), b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n").await;
    assert_eq!(finding.result(), GOOD);
    assert_snapshot!(heard.replace('\r', ""), @r"
    GET /health?deep=1 HTTP/1.1
    host: ADDRESS
    user-agent: evenkeel-health-check
    accept: */*
    connection: close
    ");
    let (heard, _) = found(http("POST", b""), b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n").await;
    assert!(heard.contains("content-length: 0\r\n"), "{heard}");
}

#[tokio::test]
async fn a_status_decides_and_the_reason_says_which_was_expected() {
    for (answer, result, reason) in [
        ("204 No Content", GOOD, "it answered 204, as expected"),
        ("503 Busy", BAD, "it answered 503, expected is 200 or 204"),
        (
            "404 Not Found",
            CheckResult::Refused,
            "it answered 404, expected is 200 or 204",
        ),
    ] {
        let answer = format!("HTTP/1.1 {answer}\r\n\r\n");
        let told = judged(http("GET", b""), answer.as_bytes()).await;
        assert_eq!(told, (result, reason.to_owned()), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_is_expected_is_looked_for_however_it_is_framed() {
    let good = (GOOD, "it answered 200, as expected".to_owned());
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nit is ready!",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nit is r\r\n5\r\neady!\r\n0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 200 OK\r\n\r\nit is ready!",
    ] {
        assert_eq!(
            judged(http("GET", b"ready"), answer.as_bytes()).await,
            good,
            "{answer}"
        );
    }
    let other = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nstarting";
    let told = judged(http("GET", b"ready"), other).await;
    assert_eq!(
        told,
        (
            BAD,
            "it answered 200 without the body that is expected".to_owned()
        )
    );
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 80\r\n\r\nready";
    let told = judged(http("GET", b"ready"), half).await;
    assert_eq!(
        told,
        (NETWORK, "the connection ended before the answer did".to_owned())
    );
}

#[tokio::test]
async fn of_a_body_no_more_than_64_kib_are_looked_at() {
    for (before, result) in [(64 * 1024 - 5, GOOD), (64 * 1024, BAD)] {
        let length = before + 5;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let answer = [head.as_bytes(), &vec![b'.'; before], b"ready"].concat();
        let (told, _) = judged(http("GET", b"ready"), &answer).await;
        assert_eq!(told, result, "{before}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_named() {
    let (result, reason) = judged(http("GET", b""), b"SSH-2.0-OpenSSH_9.6\r\n").await;
    assert_eq!(result, BAD);
    assert!(
        reason.starts_with("its answer is no HTTP/1.1 response: "),
        "{reason}"
    );
    let (result, reason) = judged(http("GET", b""), b"HTTP/1.1 20").await;
    assert_eq!(
        (result, &*reason),
        (NETWORK, "the connection ended before the answer did")
    );
}

#[tokio::test]
async fn a_check_of_tcp_is_content_with_a_connection_or_looks_for_bytes() {
    let told = |finding: Finding| (finding.result(), finding.to_string());
    let (_, opened) = found(tcp(b"", b""), b"", b"").await;
    assert_eq!(told(opened), (GOOD, "it took a connection".to_owned()));
    let (heard, answered) = found(tcp(b"PING\r\n", b"PONG"), b"\r\n", b"+PONG\r\n").await;
    assert_eq!(heard, "PING\r\n");
    assert_eq!(
        told(answered),
        (GOOD, "it sent the bytes that are expected".to_owned())
    );
    let (_, other) = found(tcp(b"PING\r\n", b"PONG"), b"\r\n", &[b'.'; 65 * 1024]).await;
    assert_eq!(
        told(other),
        (BAD, "it sent other bytes than are expected".to_owned())
    );
    let (_, ended) = found(tcp(b"PING\r\n", b"PONG"), b"\r\n", b"+PO").await;
    assert_eq!(ended.result(), NETWORK);
}

#[tokio::test]
async fn an_endpoint_that_refuses_or_keeps_silent_has_failed_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::Ip(listener.local_addr().unwrap());
    let began = Instant::now();
    let mut hasty = plan(http("GET", b""));
    hasty.timeout = Duration::from_millis(100);
    let silent = check::make(&address, &hasty, limit(&hasty, hasty.timeout)).await;
    assert!(began.elapsed() < LIMIT);
    assert_eq!(silent.result(), CheckResult::Failed(Failure::Timeout));
    assert_eq!(silent.to_string(), "no answer within 100 ms");
    drop(listener);
    let refused = check::make(&address, &hasty, LIMIT).await;
    assert_eq!(refused.result(), NETWORK);
    assert_eq!(refused.to_string(), "it refused the connection");
}

#[tokio::test]
async fn another_port_is_checked_if_the_plan_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut elsewhere = plan(tcp(b"", b""));
    elsewhere.port = Some(listener.local_addr().unwrap().port());
    let address = Address::Ip(([127, 0, 0, 1], 1).into());
    assert_eq!(check::make(&address, &elsewhere, LIMIT).await.result(), GOOD);
}

#[tokio::test]
async fn a_socket_in_the_file_system_is_checked_too() {
    let path = std::env::temp_dir().join(format!("evenkeel-health-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let endpoint = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut heard).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        String::from_utf8(heard).unwrap()
    });
    let address = Address::Unix(path.as_path().into());
    assert_eq!(
        check::make(&address, &plan(http("GET", b"")), LIMIT)
            .await
            .result(),
        GOOD
    );
    assert!(endpoint.await.unwrap().contains("host: localhost\r\n"));
    std::fs::remove_file(path).unwrap();
}
