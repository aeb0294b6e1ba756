//! Bodies on their way: as they come, slowly, or broken off.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use super::{Body, Failure};

/// A body at most so many bytes a second fast, and broken off after so many bytes.
pub fn paced(body: Incoming, rate: Option<u64>, breaks: Option<u64>) -> Body {
    if rate.is_none() && breaks.is_none() {
        return body.map_err(Failure::other).boxed_unsync();
    }
    Paced { body, rate, left: breaks, pause: None }.boxed_unsync()
}

struct Paced {
    body: Incoming,
    rate: Option<u64>,
    left: Option<u64>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl hyper::body::Body for Paced {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(task));
            self.pause = None;
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(task)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other.map(|frame| frame.map_err(Failure::other))),
        };
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        if let Some(left) = &mut self.left {
            match left.checked_sub(length) {
                Some(less) => *left = less,
                None => return Poll::Ready(Some(Err(Failure::other("broken off, as the test wishes")))),
            }
        }
        if let Some(rate) = self.rate {
            let pause = Duration::from_millis(length.saturating_mul(1000) / rate.max(1));
            self.pause = Some(Box::pin(tokio::time::sleep(pause)));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
