//! From a request to a websocket that speaks one of Kubernetes' channel protocols.

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderValue, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::super::request::Call;
use super::super::respond::{self, Answer};
use crate::body;
use crate::status::Status;

/// Longest message a client may send; clients send some tens of kilobytes at a time.
const MESSAGE_BYTES: usize = 1 << 20;
/// What is read from the socket at a time.
const READ_BYTES: usize = 16 << 10;

/// A websocket of a client.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Which protocol the channels speak. All are binary, and their third channel carries a `Status` at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channels {
    /// `v4.channel.k8s.io`.
    Four,
    /// `v5.channel.k8s.io`: the client can say that its input has ended.
    Five,
}

impl Channels {
    fn name(self) -> &'static str {
        match self {
            Self::Four => "v4.channel.k8s.io",
            Self::Five => "v5.channel.k8s.io",
        }
    }

    /// The best of those a client offers.
    fn choose(offered: &str) -> Option<Self> {
        let offers = |protocol: Self| offered.split(',').any(|name| name.trim() == protocol.name());
        [Self::Five, Self::Four].into_iter().find(|protocol| offers(*protocol))
    }
}

/// Answers with 101, and carries on with `session` on the websocket.
///
/// # Errors
/// The client does not ask for a websocket, or speaks no protocol known here.
pub(super) fn accept<F>(call: &Call, session: impl FnOnce(Socket, Channels) -> F + Send + 'static) -> Result<Answer, Status>
where
    F: Future<Output = ()> + Send + 'static,
{
    let wants = |header: &str, word: &str| call.header(header).split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
    let key = call.header("sec-websocket-key");
    let Some(takeover) = call.takeover.clone().filter(|_| wants("connection", "upgrade")) else {
        return Err(Status::bad_request("Upgrade request required"));
    };
    if !wants("upgrade", "websocket") || call.header("sec-websocket-version") != "13" || key.is_empty() {
        return Err(Status::bad_request(format!(
            "this server streams over websockets only, and the request asks for {:?}: use a client that speaks {}",
            call.header("upgrade"),
            Channels::Five.name()
        )));
    }
    let Some(channels) = Channels::choose(call.header("sec-websocket-protocol")) else {
        return Err(Status::bad_request(format!(
            "none of the protocols {:?} is known here: use a client that speaks {} or {}",
            call.header("sec-websocket-protocol"),
            Channels::Five.name(),
            Channels::Four.name()
        )));
    };
    let accepted = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(Status::internal)?;
    takeover.then(move |upgraded| async move {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .max_message_size(Some(MESSAGE_BYTES))
            .max_frame_size(Some(MESSAGE_BYTES));
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        session(socket, channels).await;
    });
    let mut answer = respond::build(StatusCode::SWITCHING_PROTOCOLS.as_u16(), "application/octet-stream", body::empty());
    let headers = answer.headers_mut();
    headers.clear();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accepted);
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(channels.name()));
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_protocol_that_is_offered_is_chosen() {
        assert_eq!(Channels::choose("v4.channel.k8s.io, v5.channel.k8s.io"), Some(Channels::Five));
        assert_eq!(Channels::choose("v4.channel.k8s.io,v3.channel.k8s.io"), Some(Channels::Four));
        assert_eq!(Channels::choose("channel.k8s.io"), None);
        assert_eq!(Channels::choose(""), None);
    }
}
