//! `switchboard operator`: the operator against a cluster.

use std::net::SocketAddr;

use kube::Client;
use tokio_util::sync::CancellationToken;

use super::{CommandResult, block_on, stop_on_signals};
use crate::arguments::OperatorOptions;
use crate::operator::{Operator, Settings};

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
            metrics: SocketAddr::new(options.listen, options.serve.metrics_port),
            folder: options.data.join("gateway"),
            simulator_image: options.serve.simulator_image.clone(),
            patience: options.serve.patience(),
        };
        let operator = Operator::prepare(client, settings, level, prometheus::Registry::new(), None).await?;
        Ok(operator.run(shutdown).await?)
    })
}
