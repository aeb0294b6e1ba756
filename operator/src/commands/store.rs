//! `switchboard store`: the embedded object store as a program of its own, for trials on a cluster that has none.

mod certificate;

use std::convert::Infallible;
use std::sync::Arc;

use object_server::{ObjectServer, Options, Tls};
use runtime::probes::Probes;
use runtime::tasks::Tasks;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::certificate::Certificate;
use super::{CommandResult, block_on, say, stop_on_signals, store_access};
use crate::arguments::StoreOptions;

/// Runs it.
pub fn run(options: StoreOptions) -> CommandResult {
    let level = options.log.start();
    block_on(async {
        let shutdown = CancellationToken::new();
        stop_on_signals(&shutdown)?;
        let probes = Probes::new(prometheus::Registry::new(), level);
        let at = options.probes();
        let listener = TcpListener::bind(at)
            .await
            .map_err(|error| format!("the probes cannot listen on {at}: {error}; choose another port with --probe-port"))?;
        let certificate = Arc::new(Certificate::open(&options.certificate)?);
        let mut settings = Options::new(&options.data);
        settings.buckets.clone_from(&options.buckets);
        settings.credentials = vec![store_access::server_credentials(&options.credentials)?];
        settings.tls = Some(Tls::Config(Arc::new(server_config(Arc::clone(&certificate))?)));
        let server = tokio::task::spawn_blocking(move || ObjectServer::open(settings)).await??;
        let server = server.bind(options.address()).await.map_err(|error| format!("{error} (--listen, --port)"))?;
        say(&format!("The object store serves at https://{}.", server.address()));
        let mut tasks = Tasks::new(shutdown.clone());
        probes.set_ready(true);
        tasks.spawn("the probes", probes.clone().serve(listener, shutdown.clone()));
        tasks.spawn("the certificate", certificate.follow(shutdown.clone()));
        let stop = shutdown.clone();
        tasks.spawn("the object store", async move {
            server.run(stop).await;
            Ok::<(), Infallible>(())
        });
        let stopping = async {
            shutdown.cancelled().await;
            probes.set_ready(false);
        };
        let (ended, ()) = tokio::join!(tasks.run(), stopping);
        Ok(ended?)
    })
}

/// TLS with a certificate that may be replaced while it runs.
fn server_config(certificate: Arc<Certificate>) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
