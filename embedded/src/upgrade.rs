//! Connections that stop being HTTP: websockets.

use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::upgrade::{OnUpgrade, Upgraded};

/// What goes on on a connection after its last answer. The connection's own task carries it on, so that it counts among the connections
/// and ends with the server.
#[derive(Clone, Default)]
pub struct Afterwards(Arc<Mutex<Option<BoxFuture<'static, ()>>>>);

impl Afterwards {
    /// What goes on, if anything.
    pub fn take(&self) -> Option<BoxFuture<'static, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Stands among the extensions of a request that came over a socket; whoever answers it with 101 takes the connection over.
#[derive(Clone)]
pub struct Takeover {
    upgrade: OnUpgrade,
    afterwards: Afterwards,
}

impl Takeover {
    /// For one request of a connection.
    pub fn new(upgrade: OnUpgrade, afterwards: Afterwards) -> Self {
        Self { upgrade, afterwards }
    }

    /// Carries on with `session` once the answer is sent.
    pub fn then<F: Future<Output = ()> + Send + 'static>(self, session: impl FnOnce(Upgraded) -> F + Send + 'static) {
        let upgrade = self.upgrade;
        let whole = async move {
            match upgrade.await {
                Ok(upgraded) => session(upgraded).await,
                Err(error) => tracing::debug!(%error, "a connection ended before it was taken over"),
            }
        };
        *self.afterwards.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(whole.boxed());
    }
}
