//! `switchboard operator`: the operator against a cluster, alone or as one of several replicas.

use std::net::SocketAddr;

use controllers::caches::Scope;
use kube::Client;
use tokio_util::sync::CancellationToken;

use super::{CommandResult, block_on, stop_on_signals};
use crate::arguments::OperatorOptions;
use crate::operator::{Operator, Replication, Settings};

/// Runs it.
pub fn run(options: OperatorOptions) -> CommandResult {
    let level = options.log.start();
    block_on(async {
        let shutdown = CancellationToken::new();
        stop_on_signals(&shutdown)?;
        let client = Client::try_default()
            .await
            .map_err(|error| format!("no cluster to work with: {error}; set KUBECONFIG, or run in a pod with a ServiceAccount"))?;
        let settings = Settings {
            gateway: SocketAddr::new(options.listen, options.serve.gateway_port),
            gateway_host: options.gateway_host.clone(),
            gateway_public_port: options.gateway_public_port,
            metrics: SocketAddr::new(options.listen, options.serve.metrics_port),
            folder: options.data.join("gateway"),
            gateway_certificate: options.gateway_certificate.clone(),
            simulator_image: options.serve.simulator_image.clone(),
            patience: options.serve.patience(),
            scope: Scope { tenancies: options.tenancy.clone(), without_simulation: !options.simulated_systems },
            replication: replication(&options)?,
        };
        let operator = Operator::prepare(client, settings, level, prometheus::Registry::new(), None).await?;
        Ok(operator.run(shutdown).await?)
    })
}

/// Which replica this is, where it is one of several.
fn replication(options: &OperatorOptions) -> Result<Option<Replication>, String> {
    let Some(namespace) = options.namespace.clone() else { return Ok(None) };
    if options.listen.is_unspecified() {
        return Err(format!(
            "--listen={} says nothing about where the other replicas reach this one; give the address of this pod, for example --listen=$(POD_IP)",
            options.listen
        ));
    }
    let replica = match &options.replica {
        Some(replica) => replica.clone(),
        None => std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map_err(|error| format!("the name of this machine cannot be read: {error}; name the replica with --replica"))?
            .trim()
            .to_owned(),
    };
    let address = SocketAddr::new(options.listen, options.peer_port);
    Ok(Some(Replication { namespace, name: options.name.clone(), replica, address }))
}
