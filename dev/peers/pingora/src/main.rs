//! Pingora at its smallest, as its documentation shows it: one thread, plain HTTP/1.1, one upstream.
//!
//! `evenkeel-peer-pingora LISTEN UPSTREAM [LOG]`

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;

use async_trait::async_trait;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, Result};
use pingora_proxy::{ProxyHttp, Session};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (listen, upstream, log) = match arguments.as_slice() {
        [listen, upstream] => (listen, upstream, None),
        [listen, upstream, log] => (listen, upstream, Some(log)),
        _ => panic!("usage: evenkeel-peer-pingora LISTEN UPSTREAM [LOG]"),
    };
    let configuration = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: 512,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let peer = Peer {
        upstream: upstream.parse().expect("UPSTREAM is ADDRESS:PORT"),
        log: log.map(|path| File::create(path).expect("LOG can be written")),
    };
    let mut service = pingora_proxy::http_proxy_service(&server.configuration, peer);
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever();
}

/// Everything goes to one upstream.
struct Peer {
    upstream: SocketAddr,
    log: Option<File>,
}

#[async_trait]
impl ProxyHttp for Peer {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }

    async fn logging(&self, exchange: &mut Session, error: Option<&Error>, (): &mut ()) {
        let Some(mut log) = self.log.as_ref() else {
            return;
        };
        let status = exchange.response_written().map_or(0, |head| head.status.as_u16());
        let client = exchange.client_addr().map(ToString::to_string);
        let line = format!(
            "{} \"{}\" {status} {} {}\n",
            client.as_deref().unwrap_or("-"),
            exchange.request_summary(),
            exchange.body_bytes_sent(),
            error.map_or_else(|| "-".to_owned(), ToString::to_string),
        );
        // A full disk is the bench's affair, which counts answers.
        let _ = log.write_all(line.as_bytes());
    }
}
