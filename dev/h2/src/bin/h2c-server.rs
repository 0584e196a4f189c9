//! `h2c-server [ADDRESS]`: answers HTTP/2 without TLS, by prior knowledge. `/bytes/N` has N bytes, `/trailers` has
//! trailers, what is posted comes back.

use std::net::TcpListener;

use wire::h2::Config;

fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("{}", listener.local_addr()?);
    h2lab::serve_all(&listener, Config::default())
}
