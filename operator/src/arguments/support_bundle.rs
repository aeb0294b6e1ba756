//! Options of `support-bundle`.

use std::path::PathBuf;

use clap::Args;

/// Options of `support-bundle`.
#[derive(Debug, Clone, Args)]
pub struct SupportBundleOptions {
    /// File to write: .tar.gz, .tgz or .tar
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// The cluster; where absent as kubectl finds it
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Only objects of this namespace; repeatable; all where absent
    #[arg(long = "namespace", short = 'n', value_name = "NAME")]
    pub namespaces: Vec<String>,
    /// Namespace of the operator: its Deployments, pods, Leases and logs
    #[arg(long, value_name = "NAME", default_value = "switchboard-system")]
    pub operator_namespace: String,
    /// Metrics port of an operator on this machine, for example http://127.0.0.1:8080, for /metrics and /peers
    #[arg(long, value_name = "URL")]
    pub metrics: Option<String>,
    /// Lines of each log, the last ones
    #[arg(long, value_name = "NUMBER", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub log_lines: u32,
}
