//! The three things that can be asked for over HTTP: enrolment, renewal, a session.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use protocol::enrolment::{Problem, ProblemReason};
use protocol::{ENROL_PATH, RENEW_PATH, SESSION_PATH, SUBPROTOCOL};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use crate::enrolment::{self, problem, unavailable};
use crate::identity::Identity;
use crate::metrics::Refusal;
use crate::shared::Shared;

/// A session that may begin on this connection.
pub(crate) struct Accepted {
    pub(crate) identity: Identity,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Who asks, and where to leave an accepted session.
pub(crate) struct Peer<'a> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) address: SocketAddr,
    pub(crate) identity: Option<Identity>,
    pub(crate) accepted: &'a Mutex<Option<Accepted>>,
}

type Answer = Response<Full<Bytes>>;

/// Answers the connection's request. One connection carries one: the answer closes it or turns it into a session.
pub(crate) async fn answer(peer: &Peer<'_>, request: Request<Incoming>) -> Answer {
    let refused = |problem: Problem| {
        peer.shared.metrics.refusal(Refusal::Problem(problem.reason));
        if peer.shared.peer_log_lines.take().is_ok() {
            let (customer, system) = peer.identity.as_ref().map(|identity| (&identity.key.customer, &identity.key.system)).unzip();
            tracing::info!(peer = %peer.address, customer = customer.map(|id| id.as_str()), system = system.map(|id| id.as_str()),
                reason = ?problem.reason, message = problem.message, "request refused");
        }
        problem_answer(&problem)
    };
    match (request.uri().path(), request.method()) {
        (ENROL_PATH, &Method::POST) => {
            let result = match read_body(peer, request).await {
                Ok(body) => enrolment::enrol(&peer.shared, peer.address.ip(), &body).await,
                Err(problem) => Err(problem),
            };
            peer.shared.metrics.enrolment(result.as_ref().map(|_| "enrolled").map_err(|problem| problem.reason));
            result.map_or_else(refused, |certificate| json(StatusCode::OK, &certificate))
        }
        (RENEW_PATH, &Method::POST) => {
            let result = match accepted_identity(peer).await {
                Ok(identity) => read_body(peer, request).await.and_then(|body| enrolment::renew(&peer.shared, identity, &body)),
                Err(problem) => Err(problem),
            };
            peer.shared.metrics.enrolment(result.as_ref().map(|_| "renewed").map_err(|problem| problem.reason));
            result.map_or_else(refused, |certificate| json(StatusCode::OK, &certificate))
        }
        (SESSION_PATH, &Method::GET) => session(peer, request).await.unwrap_or_else(refused),
        (ENROL_PATH | RENEW_PATH, _) => not_allowed(&problem(ProblemReason::Malformed, "use POST here"), "POST"),
        (SESSION_PATH, _) => not_allowed(&problem(ProblemReason::Malformed, "use GET here, with the headers of a websocket"), "GET"),
        _ => {
            let message = format!("there is nothing here; the gateway has {ENROL_PATH}, {RENEW_PATH} and {SESSION_PATH}");
            with_status(problem_answer(&problem(ProblemReason::Malformed, message)), StatusCode::NOT_FOUND)
        }
    }
}

async fn read_body(peer: &Peer<'_>, request: Request<Incoming>) -> Result<Bytes, Problem> {
    let limit = peer.shared.limits.body_bytes;
    let body = Limited::new(request.into_body(), limit).collect();
    match timeout(peer.shared.times.handshake_timeout, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(problem(ProblemReason::TooLarge, format!("the body is too large; at most {limit} bytes are taken")))
        }
        Ok(Err(_)) | Err(_) => Err(problem(ProblemReason::Malformed, "the body did not come whole and in time; send it again")),
    }
}

/// The identity of the client certificate, if it may connect now.
async fn accepted_identity<'a>(peer: &'a Peer<'_>) -> Result<&'a Identity, Problem> {
    let not_accepted = |message: &str| problem(ProblemReason::CertificateNotAccepted, message);
    let identity = peer
        .identity
        .as_ref()
        .ok_or_else(|| not_accepted("no client certificate of COM's authority was shown; enrol first and connect with the certificate"))?;
    if !peer.shared.may_connect(identity) && !peer.shared.may_connect_after_all(identity).await {
        return Err(not_accepted("the certificate is not accepted any more: withdrawn, replaced, or the system was deleted; enrol again"));
    }
    Ok(identity)
}

/// Turns the connection into a websocket.
async fn session(peer: &Peer<'_>, request: Request<Incoming>) -> Result<Answer, Problem> {
    let identity = accepted_identity(peer).await?;
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let names: Vec<&str> = offered.iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(',').map(str::trim)).collect();
    let spoken = names.contains(&SUBPROTOCOL);
    if !spoken && !names.is_empty() {
        let message = format!("none of the offered subprotocols is spoken here; offer {SUBPROTOCOL}");
        return Err(problem(ProblemReason::UnsupportedVersion, message));
    }
    let head = request.map(|_| ());
    let mut response = create_response_with_body(&head, Full::default)
        .map_err(|error| problem(ProblemReason::Malformed, format!("this is no websocket handshake: {error}; see RFC 6455")))?;
    if spoken {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    let permit = peer.shared.sessions.clone().try_acquire_owned().map_err(|_| unavailable())?;
    *peer.accepted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Accepted { identity: identity.clone(), permit });
    Ok(response)
}

fn status_of(reason: ProblemReason) -> StatusCode {
    match reason {
        ProblemReason::NotRecognised | ProblemReason::CertificateNotAccepted | ProblemReason::ApprovalPending | ProblemReason::Denied => {
            StatusCode::FORBIDDEN
        }
        ProblemReason::AlreadyEnrolled => StatusCode::CONFLICT,
        ProblemReason::TooManyRequests | ProblemReason::TooManyRegistrations => StatusCode::TOO_MANY_REQUESTS,
        ProblemReason::Malformed | ProblemReason::UnsupportedVersion => StatusCode::BAD_REQUEST,
        ProblemReason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ProblemReason::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn problem_answer(problem: &Problem) -> Answer {
    let mut answer = json(status_of(problem.reason), problem);
    if let Some(seconds) = problem.retry_after_seconds {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

fn not_allowed(problem: &Problem, method: &'static str) -> Answer {
    let mut answer = with_status(problem_answer(problem), StatusCode::METHOD_NOT_ALLOWED);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
    answer
}

fn with_status(mut answer: Answer, status: StatusCode) -> Answer {
    *answer.status_mut() = status;
    answer
}

fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let text = protocol::frame::write(body);
    let mut answer = with_status(Response::new(Full::from(text)), status);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
