//! Probes: `/healthz` answers 200 while the program lives, `/readyz` while the system is started (503 during an outage).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::system::Phase;

/// Connections at a time; more wait.
const MOST_CONNECTIONS: usize = 32;

/// Binds the address of the probes.
///
/// # Errors
/// The address is in use or not this machine's.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers probes for ever. `phase` is `None` while the system waits for its first causes.
pub async fn serve(listener: TcpListener, phase: watch::Receiver<Option<Phase>>) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MOST_CONNECTIONS {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let phase = phase.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, *phase.borrow());
                async { Ok::<_, Infallible>(answer) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(5))
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            let _ = tokio::time::timeout(Duration::from_secs(10), connection).await;
        });
    }
}

fn answer<B>(request: &http::Request<B>, phase: Option<Phase>) -> http::Response<Full<Bytes>> {
    let (status, text) = match (request.uri().path(), phase) {
        ("/healthz", _) | ("/readyz", Some(Phase::Running)) => (http::StatusCode::OK, "ok\n"),
        ("/readyz", None) => (http::StatusCode::SERVICE_UNAVAILABLE, "waiting for causes that can be read\n"),
        ("/readyz", Some(Phase::Restarting)) => (http::StatusCode::SERVICE_UNAVAILABLE, "restarting\n"),
        ("/readyz", Some(Phase::Off)) => (http::StatusCode::SERVICE_UNAVAILABLE, "switched off\n"),
        _ => (http::StatusCode::NOT_FOUND, "there are /healthz and /readyz\n"),
    };
    let mut response = http::Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
