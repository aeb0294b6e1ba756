//! Helps for this module's tests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::sync::watch;
use tower::service_fn;

const BOUND: Duration = Duration::from_secs(20);

type Refuses = dyn Fn(&Request<Body>) -> bool + Send + Sync;

/// Stands before a server and refuses some requests, as a server does whose disk is full.
#[derive(Clone)]
pub struct Obstacle {
    /// How many were refused.
    refused: watch::Sender<usize>,
    removed: watch::Sender<bool>,
    refuses: Arc<Refuses>,
}

impl Obstacle {
    pub fn new(refuses: impl Fn(&Request<Body>) -> bool + Send + Sync + 'static) -> Self {
        Self { refused: watch::Sender::new(0), removed: watch::Sender::new(false), refuses: Arc::new(refuses) }
    }

    /// A client whose requests meet the obstacle.
    pub fn before(&self, client: Client) -> Client {
        let obstacle = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let (obstacle, client) = (obstacle.clone(), client.clone());
            async move { if obstacle.stops(&request) { Ok(refusal()) } else { client.send(request).await } }
        });
        Client::new(service, "default")
    }

    fn stops(&self, request: &Request<Body>) -> bool {
        let stops = !*self.removed.borrow() && (self.refuses)(request);
        if stops {
            self.refused.send_modify(|count| *count += 1);
        }
        stops
    }

    /// How many requests were refused.
    pub fn refused(&self) -> usize {
        *self.refused.borrow()
    }

    /// Waits until so many were.
    pub async fn until_refused(&self, count: usize) {
        let mut refused = self.refused.subscribe();
        tokio::time::timeout(BOUND, refused.wait_for(|refused| *refused >= count)).await.unwrap().unwrap();
    }

    /// Lets everything through from now on.
    pub fn remove(&self) {
        self.removed.send_replace(true);
    }
}

fn refusal() -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "InternalError", "message": "no space left", "code": 500});
    Response::builder().status(500).body(Body::from(status.to_string().into_bytes())).unwrap()
}
