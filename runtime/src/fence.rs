//! Whether this process may act for all replicas now. Closed by itself when the leadership was not renewed in time, so that a process that stood still
//! (SIGSTOP, a machine that was frozen) can send nothing on waking, before anything else of it has noticed.
//!
//! Time is this process's monotonic clock; clocks of different machines are never compared.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use tokio::time::Instant;

/// This process does not lead (any more).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this replica does not lead any more; the one that does goes on with this")]
pub struct NotLeading;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    /// This process is the only one.
    Always,
    Until {
        term: u64,
        until: Instant,
    },
}

/// Says whether this process leads. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Fence(Arc<Mutex<State>>);

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fence({:?})", *self.state())
    }
}

impl Fence {
    /// For a process that may lead later.
    pub fn closed() -> Self {
        Self(Arc::new(Mutex::new(State::Closed)))
    }

    /// For the only process there is: it always leads.
    pub fn always() -> Self {
        Self(Arc::new(Mutex::new(State::Always)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The term in which this process leads: a number that grows with every leader. 0 for the only process.
    ///
    /// # Errors
    /// It does not lead.
    pub fn check(&self) -> Result<u64, NotLeading> {
        match *self.state() {
            State::Always => Ok(0),
            State::Until { term, until } if Instant::now() < until => Ok(term),
            State::Until { .. } | State::Closed => Err(NotLeading),
        }
    }

    /// Whether this process leads.
    pub fn is_open(&self) -> bool {
        self.check().is_ok()
    }

    /// It leads in this term, until then.
    pub fn extend(&self, term: u64, until: Instant) {
        *self.state() = State::Until { term, until };
    }

    /// It leads no more.
    pub fn close(&self) {
        *self.state() = State::Closed;
    }

    /// The same client, through which nothing is changed unless this process leads at that moment. Reading passes.
    pub fn guard(&self, client: &Client) -> Client {
        let (fence, inner) = (self.clone(), client.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (fence, inner) = (fence.clone(), inner.clone());
            async move {
                if request.method() != Method::GET {
                    fence.check().map_err(|error| kube::Error::Service(error.into()))?;
                }
                inner.send(request).await
            }
        });
        Client::new(service, client.default_namespace())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use http::Response;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use kube::api::PostParams;

    use super::*;

    #[tokio::test]
    async fn a_fence_closes_by_the_clock_alone() {
        let fence = Fence::closed();
        assert_eq!(fence.check(), Err(NotLeading));
        fence.extend(7, Instant::now() + Duration::from_secs(60));
        assert_eq!(fence.check(), Ok(7));
        let end = Instant::now() + Duration::from_millis(20);
        fence.extend(7, end);
        tokio::time::sleep_until(end).await;
        assert_eq!(fence.check(), Err(NotLeading));
        assert!(Fence::always().is_open());
    }

    #[tokio::test]
    async fn a_guarded_client_reads_always_and_changes_only_while_the_fence_is_open() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let server = tower::service_fn(move |_: Request<Body>| {
            count.fetch_add(1, Ordering::SeqCst);
            let answer = serde_json::json!({"metadata": {"name": "a"}}).to_string();
            async move { Ok::<_, std::convert::Infallible>(Response::new(Body::from(answer.into_bytes()))) }
        });
        let fence = Fence::closed();
        let api: Api<ConfigMap> = Api::namespaced(fence.guard(&Client::new(server, "n")), "n");
        let object = ConfigMap { metadata: kube::api::ObjectMeta { name: Some("a".into()), ..Default::default() }, ..Default::default() };
        api.get("a").await.unwrap();
        assert!(api.create(&PostParams::default(), &object).await.is_err());
        assert_eq!(asked.load(Ordering::SeqCst), 1, "what is refused is not sent");
        fence.extend(1, Instant::now() + Duration::from_secs(60));
        api.create(&PostParams::default(), &object).await.unwrap();
        // The time is up, and nothing has closed the fence.
        fence.extend(1, Instant::now());
        assert!(api.delete("a", &Default::default()).await.is_err());
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}
