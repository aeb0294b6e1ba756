//! One connection: requests in, answers out, within the limits.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::authenticate::Authenticator;
use super::pki;
use super::tls::Limits;
use crate::body::{self, Body};
use crate::status::Status;
use crate::upgrade::{Afterwards, Takeover};
use crate::user::User;

/// Answers requests. One that is to become a websocket has a [`Takeover`] among its extensions.
pub trait Handler: Send + Sync + 'static {
    /// The answer to one request of a user.
    fn handle(&self, request: Request<Bytes>, user: User) -> Pin<Box<dyn Future<Output = Response<Body>> + Send + '_>>;
}

impl<F, Answer> Handler for F
where
    F: Fn(Request<Bytes>, User) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Response<Body>> + Send + 'static,
{
    fn handle(&self, request: Request<Bytes>, user: User) -> Pin<Box<dyn Future<Output = Response<Body>> + Send + '_>> {
        Box::pin(self(request, user))
    }
}

/// What every connection needs.
pub(super) struct Context {
    pub acceptor: TlsAcceptor,
    pub authenticator: Authenticator,
    pub handler: Arc<dyn Handler>,
    pub limits: Limits,
}

/// Serves one connection until the client leaves, goes quiet, or the server stops: then it ends after the answer under way.
pub(super) async fn serve(context: Arc<Context>, stream: TcpStream, stop: CancellationToken) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let handshake = tokio::time::timeout(context.limits.handshake, context.acceptor.accept(stream));
    let stream = tokio::select! {
        outcome = handshake => match outcome {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => return tracing::debug!("TLS handshake took too long"),
        },
        () = stop.cancelled() => return,
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let user = Arc::new(certificate.and_then(pki::user_of));
    let afterwards = Afterwards::default();
    let service = service_fn(|request| answer(Arc::clone(&context), Arc::clone(&user), request, afterwards.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(context.limits.idle)
        .max_header_size(context.limits.header_bytes)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection ended");
    }
    if let Some(session) = afterwards.take() {
        session.await;
    }
}

async fn answer(
    context: Arc<Context>,
    certificate: Arc<Option<User>>,
    mut request: Request<Incoming>,
    afterwards: Afterwards,
) -> Result<Response<Body>, Infallible> {
    let user = match context.authenticator.user(certificate.as_ref().as_ref(), request.headers()) {
        Ok(user) => user,
        Err(status) => return Ok(refusal(&status)),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    request.extensions_mut().insert(Takeover::new(upgrade, afterwards));
    Ok(match collect(request, &context.limits).await {
        Ok(request) => context.handler.handle(request, user).await,
        Err(status) => refusal(&status),
    })
}

/// Reads the body, up to the limit and for a limited time. What upgrades need stays in the extensions.
async fn collect(request: Request<Incoming>, limits: &Limits) -> Result<Request<Bytes>, Status> {
    let (parts, incoming) = request.into_parts();
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limits.body_bytes) {
        return Err(too_large(limits));
    }
    let reading = tokio::time::timeout(limits.body, Limited::new(incoming, limits.body_bytes).collect());
    match reading.await {
        Ok(Ok(body)) => Ok(Request::from_parts(parts, body.to_bytes())),
        Ok(Err(error)) if is_length_limit(error.as_ref()) => Err(too_large(limits)),
        Ok(Err(error)) => Err(Status::bad_request(format!("the request body could not be read: {error}"))),
        Err(_) => Err(Status::new(504, "Timeout", format!("the request body did not arrive within {} seconds", limits.body.as_secs()))),
    }
}

fn is_length_limit(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.is::<LengthLimitError>()
}

fn too_large(limits: &Limits) -> Status {
    Status::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {}", limits.body_bytes))
}

/// A refusal before the handler sees the request. The rest of an unread body cannot be told from the next request: the connection ends.
fn refusal(status: &Status) -> Response<Body> {
    let mut response = Response::new(body::full(status.to_value().to_string()));
    *response.status_mut() = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status.code != 401 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
