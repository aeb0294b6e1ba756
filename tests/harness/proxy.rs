//! A proxy that does harm: between the operator and the API server, and between operator or systems and the object store.
//!
//! Plain HTTP/1.1 on loopback before, TLS behind. Bodies pass in pieces and are never held. Every request that changes something is counted, one
//! of them can be stopped, and any of them can be given another fate.

mod bodies;
mod upstream;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use upstream::{Upstream, Way};

/// What keeps a request from being answered; the connection breaks then.
type Failure = std::io::Error;
type Body = UnsyncBoxBody<Bytes, Failure>;

/// A request as the proxy saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Method.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Query; empty where there is none. In presigned requests it is what lets somebody in: not for printing.
    pub query: String,
    /// Status of the answer that the server gave; none where it gave none or was not asked.
    pub status: Option<u16>,
}

impl Seen {
    fn of(request: &Request<Incoming>) -> Self {
        let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
        Self { method: request.method().to_string(), path, query, status: None }
    }

    /// Whether it changes something; a Lease is no change.
    pub fn changes(&self) -> bool {
        matches!(self.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE") && !self.path.contains("/leases")
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It passes.
    Pass,
    /// It waits so long, then passes.
    Late(Duration),
    /// It passes at so many bytes a second each way.
    Slow(u64),
    /// It is not passed on, and the connection breaks.
    Lost,
    /// It is passed on, and the connection breaks instead of an answer.
    Unanswered,
    /// The connection breaks after so many bytes of its body or of its answer's.
    Broken(u64),
    /// It is not passed on, and is answered with this status and code of S3.
    Refused(u16, &'static str),
    /// It is not passed on, and is answered as if it had been done.
    Believed,
}

/// When a request is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Before it was passed on.
    Before,
    /// After it was done, before the answer.
    After,
}

type Decide = Arc<dyn Fn(&Seen) -> Fate + Send + Sync>;

struct Stop {
    number: usize,
    moment: Moment,
    then: Box<dyn FnOnce() + Send>,
}

#[derive(Default)]
struct State {
    changes: Vec<Seen>,
    stop: Option<Stop>,
    stopped: bool,
    decide: Option<Decide>,
}

struct Shared {
    state: Mutex<State>,
    upstream: Upstream,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running proxy. Ends with this value.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    // Ends the connections when it goes.
    _runtime: tokio::runtime::Runtime,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({})", self.address)
    }
}

impl Proxy {
    /// A proxy for the TLS server there, whose authority is this, in PEM. Everything passes.
    ///
    /// # Panics
    /// There is no free port, or the authority is none.
    pub fn start(server: SocketAddr, authority: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { state: Mutex::default(), upstream: Upstream::new(server, authority) });
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, _runtime: runtime }
    }

    /// Where it is: `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests that changed something, or were to, since the start or the last [`Proxy::forget`].
    pub fn changes(&self) -> Vec<Seen> {
        self.shared.state().changes.clone()
    }

    /// Counts from the beginning, and lets everything pass.
    pub fn forget(&self) {
        *self.shared.state() = State::default();
    }

    /// Stops the request with this number among those that change something, from 1, counted from now on, and calls `then`. Its connection breaks.
    pub fn stop_at(&self, number: usize, moment: Moment, then: impl FnOnce() + Send + 'static) {
        let stop = Some(Stop { number, moment, then: Box::new(then) });
        *self.shared.state() = State { stop, ..State::default() };
    }

    /// Whether a request was stopped since [`Proxy::stop_at`].
    pub fn has_stopped(&self) -> bool {
        self.shared.state().stopped
    }

    /// From now on requests meet what this says.
    pub fn decide(&self, decide: impl Fn(&Seen) -> Fate + Send + Sync + 'static) {
        self.shared.state().decide = Some(Arc::new(decide));
    }

    /// From now on everything passes.
    pub fn pass(&self) {
        self.shared.state().decide = None;
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(serve(stream, Arc::clone(&shared)));
    }
}

/// One connection, with one of its own behind it.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let way = Arc::new(Way::default());
    let service = service_fn(move |request| {
        let (shared, way) = (Arc::clone(&shared), Arc::clone(&way));
        async move { answer(request, &shared, &way).await }
    });
    // An error is a broken connection, which was either wished or the client's doing.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, shared: &Shared, way: &Way) -> Result<Response<Body>, Failure> {
    let seen = Seen::of(&request);
    let number = if seen.changes() { count(seen.clone(), shared) } else { 0 };
    let (stop, decide) = {
        let mut state = shared.state();
        let due = |stop: &mut Stop| number > 0 && stop.number == number;
        (state.stop.take_if(due), state.decide.clone())
    };
    if let Some(stop) = stop {
        if stop.moment == Moment::After {
            let done = pass(request, shared, way, None, None).await?;
            note(shared, number, done.status());
        }
        shared.state().stopped = true;
        (stop.then)();
        return Err(Failure::other("stopped by the test"));
    }
    let fate = decide.map_or(Fate::Pass, |decide| decide(&seen));
    let response = meet(request, fate, shared, way).await?;
    note(shared, number, response.status());
    Ok(response)
}

fn count(seen: Seen, shared: &Shared) -> usize {
    let mut state = shared.state();
    state.changes.push(seen);
    state.changes.len()
}

fn note(shared: &Shared, number: usize, status: StatusCode) {
    let mut state = shared.state();
    // None for a request that only reads.
    if let Some(seen) = number.checked_sub(1).and_then(|at| state.changes.get_mut(at)) {
        seen.status = Some(status.as_u16());
    }
}

async fn meet(request: Request<Incoming>, fate: Fate, shared: &Shared, way: &Way) -> Result<Response<Body>, Failure> {
    match fate {
        Fate::Pass => pass(request, shared, way, None, None).await,
        Fate::Late(wait) => {
            tokio::time::sleep(wait).await;
            pass(request, shared, way, None, None).await
        }
        Fate::Slow(rate) => pass(request, shared, way, Some(rate), None).await,
        Fate::Broken(after) => pass(request, shared, way, None, Some(after)).await,
        Fate::Lost => Err(Failure::other("lost, as the test wishes")),
        Fate::Unanswered => {
            pass(request, shared, way, None, None).await?;
            Err(Failure::other("the answer is lost, as the test wishes"))
        }
        Fate::Refused(status, code) => {
            drain(request).await?;
            let text = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>as the test wishes</Message></Error>"
            );
            Ok(own(status, Bytes::from(text)))
        }
        Fate::Believed => {
            drain(request).await?;
            let mut response = own(200, Bytes::new());
            response.headers_mut().insert("etag", http::HeaderValue::from_static("\"d41d8cd98f00b204e9800998ecf8427e\""));
            Ok(response)
        }
    }
}

/// A body that nobody wants is read to its end, so that the client reads the answer.
async fn drain(request: Request<Incoming>) -> Result<(), Failure> {
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame.map_err(Failure::other)?;
    }
    Ok(())
}

fn own(status: u16, text: Bytes) -> Response<Body> {
    let body = if text.is_empty() {
        Empty::new().map_err(|never| match never {}).boxed_unsync()
    } else {
        Full::new(text).map_err(|never| match never {}).boxed_unsync()
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

async fn pass(
    request: Request<Incoming>,
    shared: &Shared,
    way: &Way,
    rate: Option<u64>,
    breaks: Option<u64>,
) -> Result<Response<Body>, Failure> {
    let head = request.method() == Method::HEAD;
    let request = request.map(|body| bodies::paced(body, rate, breaks));
    let response = way.send(request, &shared.upstream).await?;
    if head {
        return Ok(response.map(|body| body.map_err(Failure::other).boxed_unsync()));
    }
    Ok(response.map(|body| bodies::paced(body, rate, breaks)))
}
