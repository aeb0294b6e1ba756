//! The command line.

mod image;
mod store;
mod support_bundle;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use archive::layout::BackupId;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use image::ImageMapping;
pub use store::{StoreAccess, StoreOptions};
pub use support_bundle::SupportBundleOptions;

/// The operator for telephone systems.
#[derive(Debug, Parser)]
#[command(name = "switchboard", version, about, max_term_width = 110)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything on this machine: a Kubernetes control plane, the operator, and a node for simulated systems
    Up(UpOptions),
    /// Run the operator against a cluster (kubeconfig or in-cluster configuration)
    Operator(OperatorOptions),
    /// Run one simulated telephone system
    Simulate(SimulateOptions),
    /// Run many light simulated telephone systems in one process, for load
    Fleet(FleetOptions),
    /// Write the CustomResourceDefinitions
    Crds(CrdsOptions),
    /// List the backups in an object store, from the store alone
    Catalogue(CatalogueOptions),
    /// Read backups again, every byte, and keep beside them what was found
    Verify(VerifyOptions),
    /// Run an object store for backups on this machine: S3 over TLS, one node, for trials
    Store(StoreOptions),
    /// Collect what somebody needs who is to help, in one file and without secrets
    SupportBundle(SupportBundleOptions),
}

/// How much is logged, and how.
#[derive(Debug, Clone, Args)]
pub struct LogOptions {
    /// How much is logged; change it at run time with PUT /log-level on the metrics port
    #[arg(long, value_enum, ignore_case = true, default_value = "INFO")]
    pub log_level: LogLevel,
    /// How log lines look
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum LogLevel {
    /// What needs somebody
    Error,
    /// Also what happened
    Info,
    /// Also how
    Debug,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// For machines: one JSON object a line
    Json,
}

impl LogOptions {
    /// Starts logging.
    pub fn start(&self) -> runtime::logging::LevelHandle {
        use runtime::logging::{Format, Level};
        let level = match self.log_level {
            LogLevel::Error => Level::Error,
            LogLevel::Info => Level::Info,
            LogLevel::Debug => Level::Debug,
        };
        let format = match self.log_format {
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        };
        runtime::logging::start(level, format)
    }
}

/// Ports and names of the operator.
#[derive(Debug, Clone, Args)]
pub struct ServeOptions {
    /// Port that systems dial
    #[arg(long, default_value_t = 8443)]
    pub gateway_port: u16,
    /// Port of metrics and probes
    #[arg(long, default_value_t = 8080)]
    pub metrics_port: u16,
    /// Image of the pods of simulated systems
    #[arg(long, default_value = "switchboard")]
    pub simulator_image: String,
    /// Seconds after which a backup or restore that makes no progress fails
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub give_up_after: u64,
}

impl ServeOptions {
    /// How patient backups and restores are.
    pub fn patience(&self) -> controllers::action::Patience {
        controllers::action::Patience {
            without_progress: std::time::Duration::from_secs(self.give_up_after),
            ..controllers::action::Patience::default()
        }
    }
}

/// Options of `up`.
#[derive(Debug, Clone, Args)]
pub struct UpOptions {
    /// Folder for all state; a second start continues with it
    #[arg(long, default_value = ".switchboard")]
    pub data: PathBuf,
    /// At the first start, apply a demo: 3 customers with 4 systems in different colours
    #[arg(long, conflicts_with = "bare")]
    pub demo: bool,
    /// The control plane and the object store without the operator
    #[arg(long)]
    pub bare: bool,
    /// Port of the Kubernetes API
    #[arg(long, default_value_t = 6550)]
    pub api_port: u16,
    /// Port of the object store
    #[arg(long, default_value_t = 9000)]
    pub store_port: u16,
    /// Run PROGRAM of this machine where a pod names the image NAME, with or without its tag; can be given several times. Images whose
    /// repository ends in `switchboard` are this program already
    #[arg(long = "image", value_name = "NAME=PROGRAM")]
    pub images: Vec<ImageMapping>,
    #[command(flatten)]
    pub serve: ServeOptions,
    #[command(flatten)]
    pub log: LogOptions,
}

/// Options of `operator`.
#[derive(Debug, Clone, Args)]
pub struct OperatorOptions {
    /// Folder for the gateway's authority and certificates; without --namespace keep it: systems trust this authority
    #[arg(long, default_value = ".switchboard")]
    pub data: PathBuf,
    /// Address to listen on; with --namespace the one at which other replicas reach this one
    #[arg(long, default_value = "0.0.0.0")]
    pub listen: IpAddr,
    /// Host name or address that systems dial
    #[arg(long)]
    pub gateway_host: String,
    /// Port that systems dial, where something before the gateway listens on another than --gateway-port
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub gateway_public_port: Option<u16>,
    /// Folder with tls.crt and tls.key to show to systems, and ca.crt to tell them to trust; read again when it changes
    #[arg(long, value_name = "FOLDER")]
    pub gateway_certificate: Option<PathBuf>,
    /// Namespace for Leases and for the Secret with the authority: be one of several replicas, of which one leads
    #[arg(long)]
    pub namespace: Option<String>,
    /// Name of this replica, for example of its pod; the name of the machine where absent
    #[arg(long, requires = "namespace", value_parser = parse_name)]
    pub replica: Option<String>,
    /// Name of the Lease of the leader, and beginning of the names of the replicas' Leases and of the Secret
    #[arg(long, default_value = "switchboard", value_parser = parse_name)]
    pub name: String,
    /// Port at which replicas meet
    #[arg(long, default_value_t = 9443)]
    pub peer_port: u16,
    /// Whether simulated systems are kept; false: their kind and rights need not be there
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "true|false")]
    pub simulated_systems: bool,
    /// Only what is in this namespace; may be given several times
    #[arg(long, value_name = "NAMESPACE")]
    pub tenancy: Vec<String>,
    #[command(flatten)]
    pub serve: ServeOptions,
    #[command(flatten)]
    pub log: LogOptions,
}

/// The name of a Kubernetes object, short enough that others begin with it.
fn parse_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if text.len() <= 200 && text.chars().all(allowed) && ends(text.chars().next()) && ends(text.chars().last()) {
        return Ok(text.to_owned());
    }
    Err("it is to be a name in Kubernetes: at most 200 lower case letters, digits, dashes and dots, with a letter or digit at both ends"
        .to_owned())
}

/// Options of `simulate`.
#[derive(Debug, Clone, Args)]
pub struct SimulateOptions {
    /// File with the causes, YAML or JSON
    #[arg(long)]
    pub causes: PathBuf,
    /// Folder with the subscription: gateway, ca.crt, customerId, enrolmentCode, and systemId unless the causes have it
    #[arg(long)]
    pub subscription: PathBuf,
    /// Folder with the passwords of the service users, one file each
    #[arg(long)]
    pub passwords: Option<PathBuf>,
    /// Folder that is the system's disk
    #[arg(long)]
    pub data: PathBuf,
    /// Where probes are answered, for example 127.0.0.1:8081
    #[arg(long)]
    pub listen: Option<SocketAddr>,
}

/// Options of `fleet`.
#[derive(Debug, Clone, Args)]
pub struct FleetOptions {
    /// How many systems; with --selector, at most how many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: u32,
    /// Of how many customers; a third of the systems where absent
    #[arg(long, conflicts_with = "selector", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub customers: Option<u32>,
    /// In how many namespaces
    #[arg(long, default_value_t = 1, conflicts_with = "selector", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub namespaces: u32,
    /// The namespaces are called this, a dash and a number
    #[arg(long, default_value = "fleet", conflicts_with = "selector")]
    pub namespace_prefix: String,
    /// Make nothing: take the IPOffices that have these labels, for example site=lab
    #[arg(long)]
    pub selector: Option<String>,
    /// Delete what an earlier run made, in the cluster and in the folder, and end
    #[arg(long, conflicts_with = "selector")]
    pub remove: bool,
    /// The cluster; where absent as kubectl finds it
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Folder with the disks of the systems; a second start continues with them
    #[arg(long, default_value = ".switchboard-fleet")]
    pub data: PathBuf,
    /// Systems that enrol or open their connection at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub dials: u32,
    /// API writes at a time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub requests: u32,
}

/// Options of `crds`.
#[derive(Debug, Clone, Args)]
pub struct CrdsOptions {
    /// Folder to write one file a kind into; standard output where absent
    #[arg(long)]
    pub folder: Option<PathBuf>,
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum OutputFormat {
    /// For people
    Table,
    /// For machines
    Json,
}

/// Options of `catalogue`.
#[derive(Debug, Clone, Args)]
pub struct CatalogueOptions {
    #[command(flatten)]
    pub store: StoreAccess,
    /// How it is printed
    #[arg(long, short, value_enum, default_value = "table")]
    pub output: OutputFormat,
}

/// Options of `verify`.
#[derive(Debug, Clone, Args)]
#[group(id = "which", required = true, multiple = false, args = ["backups", "unverified", "all"])]
pub struct VerifyOptions {
    #[command(flatten)]
    pub store: StoreAccess,
    /// Ids of the backups to read
    #[arg(value_name = "BACKUP_ID")]
    pub backups: Vec<BackupId>,
    /// All that were never read again
    #[arg(long)]
    pub unverified: bool,
    /// All
    #[arg(long)]
    pub all: bool,
}
