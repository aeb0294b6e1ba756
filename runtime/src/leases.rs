//! One Lease of coordination.k8s.io, as election and presence need it: read, made, replaced over the version that was seen.

use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use tokio::time::timeout;

/// Why a Lease was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else wrote it meanwhile.
    #[error("somebody else wrote the Lease meanwhile")]
    Overtaken,
    /// The API server did not answer as it should.
    #[error("the Lease cannot be used now: {0}")]
    Unavailable(String),
}

/// The place of one Lease.
#[async_trait]
pub trait Leases: Send + Sync {
    /// The Lease as it is; none where there is none.
    async fn read(&self) -> Result<Option<Lease>, LeaseError>;
    /// Makes it.
    async fn create(&self, lease: &Lease) -> Result<Lease, LeaseError>;
    /// Replaces the very version that stands in `lease`.
    async fn replace(&self, lease: &Lease) -> Result<Lease, LeaseError>;
}

/// A Lease at the API server.
#[derive(Clone)]
pub struct ApiLease {
    api: Api<Lease>,
    name: String,
    /// Longest wait for one answer: of a server that stands still, connections stay open for ever.
    patience: Duration,
}

impl std::fmt::Debug for ApiLease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiLease({})", self.name)
    }
}

impl ApiLease {
    /// The Lease of this name.
    pub fn new(client: Client, namespace: &str, name: impl Into<String>, patience: Duration) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.into(), patience }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Deletes the very version that was seen.
    ///
    /// # Errors
    /// As with the others.
    pub async fn delete(&self, seen: &Lease) -> Result<(), LeaseError> {
        let preconditions = Preconditions { uid: seen.uid(), resource_version: seen.resource_version() };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        self.answer(self.api.delete(&self.name, &parameters)).await.map(drop)
    }

    async fn answer<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, LeaseError> {
        match timeout(self.patience, request).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 || status.code == 404 => Err(LeaseError::Overtaken),
            Ok(Err(error)) => Err(LeaseError::Unavailable(crate::tasks::chain(&error))),
            Err(_) => Err(LeaseError::Unavailable(format!("the API server did not answer within {} s", self.patience.as_secs()))),
        }
    }
}

#[async_trait]
impl Leases for ApiLease {
    async fn read(&self) -> Result<Option<Lease>, LeaseError> {
        self.answer(self.api.get_opt(&self.name)).await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, LeaseError> {
        self.answer(self.api.create(&PostParams::default(), lease)).await
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, LeaseError> {
        self.answer(self.api.replace(&self.name, &PostParams::default(), lease)).await
    }
}
