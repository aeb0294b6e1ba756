//! The client against real stores: the embedded one over TLS, and SeaweedFS without (`tools/install.sh` puts its program into `.tools/`). What
//! holds for one holds for the other, but for what [`store::Store`] says they keep.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod backup;
mod backups;
mod curl;
mod embedded;
mod objects;
mod refusals;
mod seaweedfs;
mod store;
mod trust;
mod uploads;

/// Runs each of these functions against every store.
macro_rules! against_every_store {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() { super::$name(&crate::embedded::start().await).await })*
        }
        mod seaweedfs {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() { super::$name(&crate::seaweedfs::start().await).await })*
        }
    };
}
pub(crate) use against_every_store;
