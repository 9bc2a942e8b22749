//! The arm `pingora`: Cloudflare's proxy framework in Rust with nothing but a hop.
//!
//! In its favour: one address that needs no resolver and no balancer, no filter, no log, no TLS, no
//! change of a header, upstream connections that are kept without end. It makes no span and counts no
//! metric; Tracecar beside it does both. Arguments: PORT BACKEND-PORT.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::Result;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

struct Hop {
    backend: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Hop {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(self.backend, false, String::new());
        // The same patience as the other arms have.
        peer.options.connection_timeout = Some(Duration::from_secs(1));
        peer.options.read_timeout = Some(Duration::from_secs(15));
        Ok(Box::new(peer))
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut port = || -> u16 {
        let text = arguments.next().expect("arguments: PORT BACKEND-PORT");
        text.parse().expect("a port is a number")
    };
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port()));
    let backend = SocketAddr::from((Ipv4Addr::LOCALHOST, port()));
    let configuration = ServerConf {
        // One thread that never looks for the work of others: every arm has one core.
        threads: 1,
        work_stealing: false,
        upstream_keepalive_pool_size: 4096,
        // When the bench is done it does not wait.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Hop { backend });
    service.add_tcp(&listen.to_string());
    server.add_service(service);
    server.run_forever();
}
