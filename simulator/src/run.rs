//! The program `switchboard simulate`: one system whose inputs are files.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, MachineClock};
use crate::disk::DiskError;
use crate::health;
use crate::inputs::{self, Inputs, Sources};
use crate::log::Kind;
use crate::options::Options;
use crate::system::{Phase, System};

/// What `switchboard simulate` is told.
#[derive(Debug, Clone)]
pub struct SimulateArguments {
    /// File of the causes, YAML or JSON.
    pub causes: PathBuf,
    /// Folder of the subscription: `gateway`, `ca.crt`, `customerId`, `systemId`, `enrolmentCode`.
    pub subscription: PathBuf,
    /// Folder of the passwords, one file a key.
    pub passwords: PathBuf,
    /// The disk.
    pub data: PathBuf,
    /// Where probes are answered, if anywhere.
    pub listen: Option<SocketAddr>,
    /// Times and limits.
    pub options: Options,
}

/// Why the program ends by itself.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The address of the probes.
    #[error("probes cannot be answered on {address}: {source}; choose another address or end what uses it")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

impl SimulateError {
    /// Exit code of the program: 2 the disk is damaged or newer, 3 it is in use, 4 it cannot be read or written, 5 the address is taken.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Disk(DiskError::Damaged { .. } | DiskError::Newer { .. }) => 2,
            Self::Disk(DiskError::InUse(_)) => 3,
            Self::Disk(DiskError::Io { .. }) => 4,
            Self::Listen { .. } => 5,
        }
    }
}

/// Runs a system until `shutdown`, then says goodbye to COM and returns.
///
/// # Errors
/// The disk or the address of the probes cannot be used.
pub async fn run(arguments: SimulateArguments, shutdown: CancellationToken) -> Result<(), SimulateError> {
    run_with_clock(arguments, shutdown, Arc::new(MachineClock)).await
}

/// As [`run`], with another clock.
///
/// # Errors
/// As [`run`].
pub async fn run_with_clock(arguments: SimulateArguments, shutdown: CancellationToken, truth: Arc<dyn Clock>) -> Result<(), SimulateError> {
    let (publish_phase, phase) = watch::channel(None);
    let listener = match arguments.listen {
        None => None,
        Some(address) => Some(health::bind(address).await.map_err(|source| SimulateError::Listen { address, source })?),
    };
    let probes = async {
        match listener {
            Some(listener) => health::serve(listener, phase).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        result = system(arguments, shutdown, truth, publish_phase) => result,
        never = probes => match never {},
    }
}

async fn system(
    arguments: SimulateArguments,
    shutdown: CancellationToken,
    truth: Arc<dyn Clock>,
    publish_phase: watch::Sender<Option<Phase>>,
) -> Result<(), SimulateError> {
    let sources = Sources { causes: arguments.causes, subscription: arguments.subscription, passwords: arguments.passwords };
    let Some(first) = first_inputs(&sources, &arguments.options, &shutdown).await else { return Ok(()) };
    let (publish, inputs) = watch::channel(Arc::new(first));
    let (data, options) = (arguments.data, arguments.options);
    let tick = options.tick;
    let opened = tokio::task::spawn_blocking(move || System::open(&data, inputs, truth, options)).await;
    let system = opened.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    let mut phase = system.phase();
    let life = system.run(shutdown);
    let follow = async {
        inputs::follow(sources, tick, publish).await;
        std::future::pending::<std::convert::Infallible>().await
    };
    let pass_on = async {
        loop {
            publish_phase.send_replace(Some(*phase.borrow_and_update()));
            if phase.changed().await.is_err() {
                std::future::pending::<std::convert::Infallible>().await;
            }
        }
    };
    tokio::select! {
        result = life => Ok(result?),
        never = follow => match never {},
        never = pass_on => match never {},
    }
}

/// Waits for causes that can be read. `None` when the system is switched off before.
async fn first_inputs(sources: &Sources, options: &Options, shutdown: &CancellationToken) -> Option<Inputs> {
    let mut said = String::new();
    loop {
        let from = sources.clone();
        match tokio::task::spawn_blocking(move || inputs::read(&from, None)).await {
            Ok(Ok(inputs)) => return Some(inputs),
            Ok(Err(problem)) if problem != said => {
                if options.echo {
                    crate::log::announce(Kind::Error, &problem);
                }
                said = problem;
            }
            Ok(Err(_)) | Err(_) => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => return None,
            () = tokio::time::sleep(options.tick) => {}
        }
    }
}
