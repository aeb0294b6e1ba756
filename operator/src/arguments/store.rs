//! Options of the commands around an object store: which store, and how to run one.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use model::ids::{CustomerId, SystemId};

use super::LogOptions;

/// Which object store, and whose backups in it.
#[derive(Debug, Clone, Args)]
pub struct StoreAccess {
    /// Endpoint of the store, for example https://s3.example.com:9000
    #[arg(long)]
    pub endpoint: String,
    /// Bucket
    #[arg(long)]
    pub bucket: String,
    /// What precedes all keys in the bucket; ends in /
    #[arg(long, default_value = "")]
    pub prefix: String,
    /// Region
    #[arg(long, default_value = "us-east-1")]
    pub region: String,
    /// Name the bucket in the host instead of in the path
    #[arg(long)]
    pub virtual_host: bool,
    /// PEM file with the authorities to trust instead of this machine's
    #[arg(long, value_name = "FILE")]
    pub authority: Option<PathBuf>,
    /// Folder with the files accessKeyId and secretAccessKey; where absent, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
    /// AWS_SESSION_TOKEN of the environment
    #[arg(long, value_name = "FOLDER")]
    pub credentials: Option<PathBuf>,
    /// Only backups of this customer
    #[arg(long, value_name = "ID")]
    pub customer: Option<CustomerId>,
    /// Only backups of this system of the customer
    #[arg(long, value_name = "ID", requires = "customer")]
    pub system: Option<SystemId>,
}

/// Options of `store`.
#[derive(Debug, Clone, Args)]
pub struct StoreOptions {
    /// Folder for all that is stored; one program at a time
    #[arg(long)]
    pub data: PathBuf,
    /// Address to listen on
    #[arg(long, default_value = "0.0.0.0")]
    pub listen: IpAddr,
    /// Port of the store: S3 over TLS
    #[arg(long, default_value_t = 9000)]
    pub port: u16,
    /// Bucket that is there from the start; repeatable
    #[arg(long = "bucket", value_name = "NAME", required = true)]
    pub buckets: Vec<String>,
    /// Folder with the files accessKeyId and secretAccessKey: who may do everything
    #[arg(long, value_name = "FOLDER")]
    pub credentials: PathBuf,
    /// Folder with the files tls.crt and tls.key; read again when they change
    #[arg(long, value_name = "FOLDER")]
    pub certificate: PathBuf,
    /// Port of the probes /healthz and /readyz, over plain HTTP
    #[arg(long, default_value_t = 8081)]
    pub probe_port: u16,
    #[command(flatten)]
    pub log: LogOptions,
}

impl StoreOptions {
    /// Where the store serves.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.listen, self.port)
    }

    /// Where the probes are answered.
    pub fn probes(&self) -> SocketAddr {
        SocketAddr::new(self.listen, self.probe_port)
    }
}
