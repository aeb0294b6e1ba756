//! `switchboard up`: everything on this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Instant;

use prometheus::Registry;
use runtime::tasks::Tasks;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{CommandResult, block_on, say, stop_on_signals};
use crate::arguments::UpOptions;
use crate::operator::{Operator, Settings};
use crate::plane::Plane;
use crate::{demo, manifests, store};

/// Runs it.
pub fn run(options: UpOptions) -> CommandResult {
    let level = options.log.start();
    let began = Instant::now();
    block_on(async {
        let shutdown = CancellationToken::new();
        stop_on_signals(&shutdown)?;
        let plane = Plane::open(&options.data, options.api_port).await?;
        let objects = store::open(&options.data, options.store_port, plane.pki()).await?;
        let kubeconfig = plane.write_kubeconfig()?;
        let (api_server, admin) = (plane.server(), plane.admin());
        let mut tasks = Tasks::new(shutdown.clone());
        let mut ready = None;
        let mut operator = None;
        if !options.bare {
            manifests::apply(&admin, manifests::system()?).await?;
            manifests::apply(&admin, objects.manifests).await?;
            let (tell, told) = oneshot::channel();
            ready = Some(told);
            let settings = settings(&options);
            let client = plane.service_account(manifests::NAMESPACE, manifests::SERVICE_ACCOUNT);
            let registry = Registry::new();
            crate::plane_metrics::register(&registry, plane.api().clone())?;
            operator = Some(Operator::prepare(client, settings, level, registry, Some(tell)).await?);
        }
        let store = plane.start(&mut tasks, &options.serve.simulator_image, &options.images, &shutdown)?;
        let (server, stop_objects, objects_at) = (objects.server, shutdown.clone(), objects.endpoint);
        tasks.spawn("the object store", async move {
            server.run(stop_objects).await;
            Ok::<(), std::convert::Infallible>(())
        });
        if let Some(operator) = operator {
            tasks.spawn("the operator", operator.run(shutdown.clone()));
        }
        let (data, stop) = (options.data.clone(), shutdown.clone());
        let running = tokio::spawn(tasks.run());
        let announced = async {
            if let Some(told) = ready {
                // It ends without a word where a part died: that is reported by the tasks.
                if told.await.is_err() {
                    return Ok(());
                }
            }
            std::fs::write(data.join("ready"), format!("{api_server}\n"))
                .map_err(|error| format!("cannot write {}: {error}", data.join("ready").display()))?;
            if options.demo {
                demo::apply(&admin, &data).await?;
            }
            tracing::info!(milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX), server = api_server, "ready");
            say(&banner(&options, &api_server, &objects_at, &kubeconfig));
            CommandResult::Ok(())
        };
        let announced = announced.await;
        if announced.is_err() {
            stop.cancel();
        }
        let ended = running.await?;
        let _ = std::fs::remove_file(data.join("ready"));
        store.close();
        announced?;
        Ok(ended?)
    })
}

fn settings(options: &UpOptions) -> Settings {
    let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Settings {
        gateway: here(options.serve.gateway_port),
        gateway_host: "127.0.0.1".to_owned(),
        gateway_public_port: None,
        gateway_certificate: None,
        scope: controllers::caches::Scope::default(),
        replication: None,
        metrics: here(options.serve.metrics_port),
        folder: options.data.join("gateway"),
        simulator_image: options.serve.simulator_image.clone(),
        patience: options.serve.patience(),
    }
}

fn banner(options: &UpOptions, server: &str, objects: &str, kubeconfig: &Path) -> String {
    let kubeconfig = kubeconfig.display();
    let mut text = format!(
        "\nSwitchboard is up. Ctrl-C stops everything it started; the next start continues where it ended.\n\n  Kubernetes API   {server}\n  Object store     {objects}\n"
    );
    if !options.bare {
        let (gateway, metrics) = (options.serve.gateway_port, options.serve.metrics_port);
        text += &format!("  Systems dial     https://127.0.0.1:{gateway}\n  Metrics, probes  http://127.0.0.1:{metrics}/metrics\n");
    }
    text += &format!("  kubeconfig       {kubeconfig}\n\nTry, in another terminal:\n\n  export KUBECONFIG={kubeconfig}\n");
    text += match (options.bare, options.demo) {
        (true, _) => "  kubectl get namespaces\n",
        (false, false) => "  kubectl apply -R -f examples/\n  kubectl get customers,ipoffices -A\n",
        (false, true) => {
            "  kubectl get customers,ipoffices -A\n  kubectl get ipo -n demo -w\n  kubectl describe ipo acme-shop -n demo\n  kubectl logs -f acme-hq -n demo\n  kubectl explain ipoffice.spec.servers\n"
        }
    };
    text
}
