//! What an answer carries: bytes at once, or a stream for watches and logs.

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};

/// Anything that can end a body early.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Body of every answer.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>;

/// A body known in full; its length is sent along.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body without content.
pub fn empty() -> Body {
    full(Bytes::new())
}

/// A body that is sent piece by piece as the stream yields; an error ends the connection.
pub fn stream<S, E>(pieces: S) -> Body
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<BoxError> + Send + 'static,
{
    StreamBody::new(pieces.map_ok(Frame::data).map_err(Into::into)).boxed_unsync()
}
