//! Does the leader's work while this process leads, and at no other time.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::election::{Elector, Lost};
use crate::fence::Fence;
use crate::leader_metrics::LeaderMetrics;
use crate::leases::Leases;
use crate::watchdog::Watchdog;

/// At the shutdown the work has so long to end in order, for example to write down what it has just done.
const FINISH: Duration = Duration::from_secs(8);

/// The work ended although nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// It came to an end.
    #[error("the controllers ended although nobody asked them to")]
    Ended,
    /// It panicked.
    #[error("the controllers broke down: {0}")]
    Panicked(JoinError),
}

/// Why the work of a term is over.
enum Over {
    Lost(Lost),
    Shutdown,
    Ended(Result<(), JoinError>),
}

/// Stands for election again and again until the shutdown, and does the work that `begin` makes in every term that is won: given a token that asks for its
/// end. Where the leadership is lost the work is dropped where it stands. At the shutdown it may end in order, and then the Lease is given away.
///
/// # Errors
/// The work ended by itself.
pub async fn run<L, F>(
    mut elector: Elector<L>,
    fence: &Fence,
    watchdog: &Watchdog,
    metrics: &LeaderMetrics,
    begin: impl Fn(CancellationToken) -> F,
    shutdown: CancellationToken,
) -> Result<(), WorkError>
where
    L: Leases,
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let term = tokio::select! {
            term = elector.acquire(fence) => term,
            () = shutdown.cancelled() => return Ok(()),
        };
        metrics.leads();
        tracing::info!(term, identity = elector.identity(), "this replica leads");
        let (acting, stop) = (watchdog.acting(), CancellationToken::new());
        let mut work = AbortOnDropHandle::new(tokio::spawn(begin(stop.clone())));
        let over = tokio::select! {
            lost = elector.hold(fence) => Over::Lost(lost),
            () = shutdown.cancelled() => Over::Shutdown,
            ended = &mut work => Over::Ended(ended),
        };
        if matches!(over, Over::Shutdown) {
            stop.cancel();
            // The leadership is held until the work is done; where it is lost meanwhile, the work ends at once.
            let finished = tokio::select! {
                finished = timeout(FINISH, &mut work) => finished.is_ok(),
                _ = elector.hold(fence) => false,
            };
            if finished {
                drop(acting);
                elector.release(fence).await;
                metrics.follows();
                return Ok(());
            }
        }
        fence.close();
        let unfinished = !work.is_finished();
        work.abort();
        if unfinished {
            // Bounded by the watchdog: what does not end ends the process.
            let _ = (&mut work).await;
        }
        drop(acting);
        metrics.follows();
        match over {
            Over::Lost(reason) => tracing::error!(term, %reason, "this replica leads no more; it stands for election again"),
            Over::Shutdown => {
                elector.release(fence).await;
                return Ok(());
            }
            Over::Ended(Ok(())) => return Err(WorkError::Ended),
            Over::Ended(Err(error)) => return Err(WorkError::Panicked(error)),
        }
    }
}
