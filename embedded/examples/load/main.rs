//! Measures a control plane as its users see it: over TLS, with kept connections.
//!
//! ```text
//! cargo run -p embedded --example load                               # starts a server of its own, on disk, and measures it
//! cargo run -p embedded --example load -- --kubeconfig FILE          # measures a running one (any Kubernetes API server)
//! cargo run -p embedded --example load -- --kubeconfig FILE --replay REQUESTS --connections N   # see [`replay`]
//! ```
//!
//! `--seconds N` sets how long each figure is measured (5). It works in a namespace `load`, which it fills with ConfigMaps and leaves
//! behind. What it prints is explained by [`measure`].

mod client;
mod measure;
mod replay;
mod serve;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use client::Target;

/// Anything that ends the program.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the command line says.
enum Order {
    Measure { kubeconfig: Option<PathBuf>, seconds: u64 },
    Replay { kubeconfig: PathBuf, requests: PathBuf, connections: usize },
    Serve(PathBuf),
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Order, Failure> {
    let mut arguments = arguments.peekable();
    let (mut kubeconfig, mut seconds) = (None, 5);
    let (mut requests, mut connections) = (None, 1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--kubeconfig" => kubeconfig = Some(value()?.into()),
            "--seconds" => seconds = value()?.parse().map_err(|error| format!("--seconds: {error}"))?,
            "--replay" => requests = Some(PathBuf::from(value()?)),
            "--connections" => connections = value()?.parse().map_err(|error| format!("--connections: {error}"))?,
            "--serve" => return Ok(Order::Serve(value()?.into())),
            other => return Err(format!("unknown argument {other}; known are --kubeconfig, --seconds, --replay and --connections").into()),
        }
    }
    match (requests, kubeconfig) {
        (None, kubeconfig) => Ok(Order::Measure { kubeconfig, seconds }),
        (Some(requests), Some(kubeconfig)) => Ok(Order::Replay { kubeconfig, requests, connections }),
        (Some(_), None) => Err("--replay needs --kubeconfig".into()),
    }
}

fn main() -> ExitCode {
    let outcome = parse(std::env::args().skip(1)).and_then(|order| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        match order {
            Order::Replay { kubeconfig, requests, connections } => runtime.block_on(replay::run(&kubeconfig, &requests, connections)),
            Order::Serve(folder) => runtime.block_on(serve::run(&folder)),
            Order::Measure { kubeconfig, seconds } => runtime.block_on(measure_all(kubeconfig, Duration::from_secs(seconds))),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure_all(kubeconfig: Option<PathBuf>, time: Duration) -> Result<(), Failure> {
    let own = if kubeconfig.is_none() { Some(Own::start()?) } else { None };
    let path = kubeconfig.or_else(|| own.as_ref().map(Own::kubeconfig)).ok_or("no kubeconfig")?;
    let target = Target::read(&path)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{:<58}{:>12}", "measured", "figure")?;
    for figure in measure::all(&target, time).await? {
        writeln!(out, "{:<58}{:>12}", figure.what, figure.value)?;
    }
    if let Some(own) = &own {
        writeln!(out, "{:<58}{:>12}", "server: time to ready, ms", own.ready.as_millis())?;
        writeln!(out, "{:<58}{:>12}", "server: peak memory, MB", own.peak_megabytes()?)?;
    }
    Ok(())
}

/// A server of this program's own, in another process as a user's would be, in a folder that is removed afterwards.
struct Own {
    process: Child,
    folder: PathBuf,
    ready: Duration,
}

impl Own {
    fn start() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("load-{}", uuid::Uuid::new_v4()));
        let began = Instant::now();
        let mut process =
            Command::new(std::env::current_exe()?).arg("--serve").arg(&folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let output = process.stdout.take().ok_or("the server has no output")?;
        io::BufRead::read_line(&mut io::BufReader::new(output), &mut line)?;
        let own = Self { process, folder, ready: began.elapsed() };
        if line.trim() == "ready" { Ok(own) } else { Err("the server did not start; its error stands above".into()) }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    fn peak_megabytes(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(kilobytes.ok_or("the kernel does not tell the peak memory")? / 1024)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
