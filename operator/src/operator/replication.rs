//! What makes an operator one of several replicas: its name among them, its Lease, the authorities they share, and the election.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use controllers::authority;
use gateway::{Authority, ReplicaOptions};
use kube::Client;
use runtime::election::{Elector, Timing};
use runtime::leases::ApiLease;
use runtime::replicas::Identity;

/// Longest wait for one answer of the API server in an election: two tries fit before the leadership is over.
const PATIENCE: Duration = Duration::from_secs(4);

/// Which replica this is, of what.
#[derive(Debug, Clone)]
pub struct Replication {
    /// Namespace of Leases and of the Secret with the authorities.
    pub namespace: String,
    /// Name of the whole: of its Lease, and the beginning of all other names.
    pub name: String,
    /// Name of this replica.
    pub replica: String,
    /// Where it meets the others.
    pub address: SocketAddr,
}

impl Replication {
    /// The authority of the gateway, and how this replica meets the others. One that the folder has from before is taken over into the Secret.
    pub(super) async fn authorities(
        &self,
        client: &Client,
        folder: &Path,
    ) -> Result<(Authority, ReplicaOptions), Box<dyn std::error::Error>> {
        let present = Authority::load(folder)?;
        let authorities = authority::load_or_create(client, &self.namespace, &self.name, present).await?;
        let options = ReplicaOptions { address: self.address, name: self.replica.clone(), authority: authorities.replicas };
        Ok((authorities.systems, options))
    }

    /// For the replica's Lease, with the address at which it really is met.
    pub(super) fn identity(&self, address: SocketAddr) -> Identity {
        let Self { namespace, name, replica, .. } = self.clone();
        Identity { namespace, name, replica, address }
    }

    /// A candidate, another one for every process.
    pub(super) fn elector(&self, client: &Client) -> Elector<ApiLease> {
        let lease = ApiLease::new(client.clone(), &self.namespace, self.name.clone(), PATIENCE);
        let identity = format!("{}_{}", self.replica, uuid::Uuid::new_v4());
        Elector::new(lease, self.name.clone(), identity, Timing::default())
    }
}
