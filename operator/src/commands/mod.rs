//! One file a subcommand.

pub mod catalogue;
pub mod crds;
pub mod fleet;
pub mod launcher;
pub mod operator;
pub mod simulate;
pub mod store;
mod store_access;
pub mod support_bundle;
mod table;
pub mod up;
pub mod verify;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a subcommand ends with.
pub type CommandResult = Result<(), Box<dyn Error>>;

/// Says on standard error why the program ends.
pub fn report(error: &dyn Error) {
    // Nothing can be done about a closed standard error.
    let _ = writeln!(std::io::stderr(), "switchboard: {}", runtime::tasks::chain(error));
}

/// What the program ends with: a simulated system says by it what is wrong with its disk.
pub fn exit_code(error: &(dyn Error + 'static)) -> ExitCode {
    error.downcast_ref::<simulator::SimulateError>().map_or(ExitCode::FAILURE, |error| ExitCode::from(error.exit_code()))
}

/// Writes for the user on standard output.
pub fn say(text: &str) {
    // A closed standard output is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Runs a future on a new runtime.
pub fn block_on(future: impl Future<Output = CommandResult>) -> CommandResult {
    // Several TLS libraries could be linked; we say which one it is.
    drop(rustls::crypto::ring::default_provider().install_default());
    runtime::limits::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(future)
}

/// Cancels `shutdown` at SIGINT and SIGTERM; a second one ends the process at once.
pub fn stop_on_signals(shutdown: &CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping; a second signal ends the process at once");
        shutdown.cancel();
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(130);
    });
    Ok(())
}
