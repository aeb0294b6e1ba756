//! `switchboard support-bundle`: what somebody needs who is to help, in one file, without secrets.

mod bundle;
mod collect;
mod scrub;

use std::path::Path;
use std::time::Duration;

use http::Uri;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use tokio::net::TcpStream;

use self::bundle::{Bundle, compressed};
use self::collect::Collector;
use self::scrub::Scrubber;
use super::{CommandResult, block_on, say};
use crate::arguments::SupportBundleOptions;

/// Bound for one page of an operator's metrics port.
const PAGE: Duration = Duration::from_secs(20);
/// Bytes of such a page.
const PAGE_BYTES: usize = 16 << 20;

/// Runs it.
pub fn run(options: &SupportBundleOptions) -> CommandResult {
    if !compressed(&options.output) && options.output.extension().is_none_or(|extension| extension != "tar") {
        return Err(format!("{} is no name for a bundle; let it end in .tar.gz, .tgz or .tar", options.output.display()).into());
    }
    block_on(async {
        let client = client(options.kubeconfig.as_deref()).await?;
        let bundle = Bundle::new(Scrubber::new()?);
        let mut collector = Collector::new(client, &options.namespaces, &options.operator_namespace, options.log_lines, bundle);
        collector.run().await;
        let mut bundle = collector.bundle;
        pages(options, &mut bundle).await;
        let made = json!({
            "by": concat!("switchboard ", env!("CARGO_PKG_VERSION")),
            "at": jiff::Timestamp::now(),
            "namespaces": options.namespaces,
            "operatorNamespace": options.operator_namespace,
        });
        let (files, left_out) = bundle.totals();
        let output = &options.output;
        bundle.write(output, &made).map_err(|error| format!("cannot write {}: {error}; choose another file", output.display()))?;
        say(&format!(
            "{}: {files} files, {left_out} things left out; manifest.json in it says which and why. Look through it before you hand it on.",
            output.display()
        ));
        Ok(())
    })
}

async fn client(kubeconfig: Option<&Path>) -> Result<Client, Box<dyn std::error::Error>> {
    let Some(path) = kubeconfig else {
        return Ok(Client::try_default()
            .await
            .map_err(|error| format!("no cluster to look at: {error}; set KUBECONFIG, or name a file with --kubeconfig"))?);
    };
    let read = Kubeconfig::read_from(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Metrics, and who dialled in and proved nothing, of one operator.
async fn pages(options: &SupportBundleOptions, bundle: &mut Bundle) {
    let Some(url) = &options.metrics else {
        bundle.leave_out(
            "metrics and peers of this machine",
            "no metrics port was named; name the one of an operator on this machine with --metrics",
        );
        return;
    };
    for (path, file) in [("/metrics", "metrics.txt"), ("/peers", "peers.json"), ("/readyz", "readyz.txt")] {
        match tokio::time::timeout(PAGE, page(url, path)).await {
            Ok(Ok(text)) => bundle.text(file, &text),
            Ok(Err(why)) => bundle.leave_out(file, &why.to_string()),
            Err(_) => bundle.leave_out(file, "no answer came in time"),
        }
    }
}

async fn page(url: &str, path: &str) -> Result<String, Box<dyn std::error::Error>> {
    let uri: Uri = format!("{}{path}", url.trim_end_matches('/')).parse()?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or("--metrics must be like http://127.0.0.1:8080")?;
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let serving = tokio::spawn(connection);
    let request = http::Request::get(path).header("host", host).body(Empty::<bytes::Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), PAGE_BYTES).collect().await.map_err(|error| error.to_string())?.to_bytes();
    serving.abort();
    let text = String::from_utf8_lossy(&body).into_owned();
    if status.is_success() || status == http::StatusCode::SERVICE_UNAVAILABLE { Ok(text) } else { Err(format!("{status}: {text}").into()) }
}
