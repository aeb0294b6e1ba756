//! `/healthz`, `/readyz`, `/metrics`, `/log-level` and `/peers` over plain HTTP, for kubelet and Prometheus inside the cluster or on loopback.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Encoder as _, IntGauge, Registry, TextEncoder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::logging::{Level, LevelHandle};

/// Connections served at a time.
const CONNECTIONS: usize = 64;

/// Gives a page that is read anew at every request.
type Page = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

/// What the server tells.
#[derive(Clone)]
pub struct Probes {
    registry: Registry,
    level: LevelHandle,
    ready: Arc<AtomicBool>,
    peers: Option<Page>,
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes").field("ready", &self.ready).finish_non_exhaustive()
    }
}

/// The address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "metrics and probes cannot listen on {address}: {source}; end the program that uses the port, or choose another with --metrics-port"
)]
pub struct BindError {
    address: SocketAddr,
    source: std::io::Error,
}

impl Probes {
    /// Serves this registry and level; not ready until [`Probes::set_ready`].
    pub fn new(registry: Registry, level: LevelHandle) -> Self {
        Self { registry, level, ready: Arc::new(AtomicBool::new(false)), peers: None }
    }

    /// With whether it is ready and what the process uses among the metrics.
    ///
    /// # Errors
    /// They are registered already.
    pub fn with_metrics(self) -> Result<Self, prometheus::Error> {
        let gauge = IntGauge::new("switchboard_ready", "1 while /readyz says yes, 0 otherwise.")?;
        self.registry.register(Box::new(Readiness { ready: Arc::clone(&self.ready), gauge }))?;
        crate::process_metrics::register(&self.registry)?;
        Ok(self)
    }

    /// What `/peers` tells the machine itself: who dialled in and proved nothing.
    #[must_use]
    pub fn with_peers(self, peers: impl Fn() -> serde_json::Value + Send + Sync + 'static) -> Self {
        Self { peers: Some(Arc::new(peers)), ..self }
    }

    /// Whether `/readyz` says yes.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Takes the port.
    ///
    /// # Errors
    /// The port is in use, or not ours to take.
    pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
        TcpListener::bind(address).await.map_err(|source| BindError { address, source })
    }

    /// Serves until the shutdown.
    ///
    /// # Errors
    /// The listener broke.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> std::io::Result<()> {
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let tracker = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, or the peer left: neither is a reason to stop listening.
                    tracing::info!(%error, "a connection to the probes could not be taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
            let probes = self.clone();
            let stop = shutdown.clone();
            tracker.spawn(async move {
                let from_here = is_here(&stream, peer);
                let service = service_fn(|request| probes.answer(request, from_here));
                let mut server = hyper::server::conn::http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10)).max_buf_size(16 * 1024);
                tokio::select! {
                    _ = server.serve_connection(TokioIo::new(stream), service) => {}
                    () = stop.cancelled() => {}
                }
                drop(slot);
            });
        }
        tracker.close();
        tracker.wait().await;
        Ok(())
    }

    async fn answer(&self, request: Request<Incoming>, from_here: bool) -> Result<Response<Full<Bytes>>, Infallible> {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        Ok(match (method, path.as_str()) {
            (Method::GET, "/healthz") => text(StatusCode::OK, "ok\n"),
            (Method::GET, "/readyz") if self.ready.load(Ordering::Relaxed) => text(StatusCode::OK, "ok\n"),
            (Method::GET, "/readyz") => text(StatusCode::SERVICE_UNAVAILABLE, "not ready: still starting, or stopping\n"),
            (Method::GET, "/metrics") => self.metrics(),
            (Method::GET, "/log-level") => text(StatusCode::OK, format!("{}\n", self.level.get())),
            (Method::PUT, "/log-level") => self.set_level(request, from_here).await,
            (Method::GET, "/peers") => self.peers(from_here),
            (_, "/healthz" | "/readyz" | "/metrics" | "/log-level" | "/peers") => {
                text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n")
            }
            _ => text(StatusCode::NOT_FOUND, "not found; there are /healthz, /readyz, /metrics, /log-level and /peers\n"),
        })
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let mut buffer = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut buffer) {
            Ok(()) => {
                let mut response = text(StatusCode::OK, buffer);
                response.headers_mut().insert("content-type", http::HeaderValue::from_static(prometheus::TEXT_FORMAT));
                response
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("metrics could not be written: {error}\n")),
        }
    }

    /// Only for the machine itself: it names addresses and ids.
    fn peers(&self, from_here: bool) -> Response<Full<Bytes>> {
        let Some(page) = &self.peers else { return text(StatusCode::NOT_FOUND, "not found; no systems dial in here\n") };
        if !from_here {
            return text(StatusCode::FORBIDDEN, "the peers are told to the machine itself only\n");
        }
        let mut response = text(StatusCode::OK, format!("{:#}\n", page()));
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        response
    }

    /// Only from the machine itself: whoever reaches the port may read metrics, but not change anything.
    async fn set_level(&self, request: Request<Incoming>, from_here: bool) -> Response<Full<Bytes>> {
        if !from_here {
            return text(StatusCode::FORBIDDEN, "the log level is changed from the machine itself only\n");
        }
        let Ok(body) = Limited::new(request.into_body(), 64).collect().await else {
            return text(StatusCode::BAD_REQUEST, "the body must be ERROR, INFO or DEBUG\n");
        };
        match String::from_utf8_lossy(&body.to_bytes()).parse::<Level>() {
            Ok(level) => {
                self.level.set(level);
                text(StatusCode::OK, format!("{level}\n"))
            }
            Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        }
    }
}

/// Whether a connection comes from the machine itself, or from the same pod: over loopback, or from the very address it was made to.
fn is_here(stream: &TcpStream, peer: SocketAddr) -> bool {
    let own = stream.local_addr().map(|address| address.ip().to_canonical());
    let peer = peer.ip().to_canonical();
    peer.is_loopback() || own.is_ok_and(|own| own == peer)
}

/// What `/readyz` says, as a number.
struct Readiness {
    ready: Arc<AtomicBool>,
    gauge: IntGauge,
}

impl Collector for Readiness {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set(i64::from(self.ready.load(Ordering::Relaxed)));
        self.gauge.collect()
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
