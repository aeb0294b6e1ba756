//! Who the controllers are: each may act as a service account of its own, under the name it has in a Kubernetes cluster, so that rights
//! and admission policies can tell them apart.

use std::sync::Arc;

use kube::Client;

/// The garbage collector.
pub const GARBAGE_COLLECTOR: &str = "generic-garbage-collector";
/// Whoever empties namespaces.
pub const NAMESPACES: &str = "namespace-controller";

/// Makes the client of a service account in `kube-system`.
type Maker = Arc<dyn Fn(&str) -> Client + Send + Sync>;

/// The clients of the controllers. Their rights are those of `system:controller:NAME` in [`crate::server::rbac::default_objects`].
#[derive(Clone)]
pub struct Accounts(Maker);

impl Accounts {
    /// `make` gives the client of the service account of that name in the namespace `kube-system`.
    pub fn new(make: impl Fn(&str) -> Client + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// The client of one of them.
    pub fn client(&self, name: &str) -> Client {
        (self.0)(name)
    }
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Accounts")
    }
}
