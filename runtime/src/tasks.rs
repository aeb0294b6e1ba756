//! Tasks that are all joined: one that dies ends the process, with its name and reason.

use std::future::Future;

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

/// Why a task ended that should not have.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// It returned an error.
    #[error("{name} stopped: {message}")]
    Failed {
        /// Which.
        name: &'static str,
        /// The chain of errors.
        message: String,
    },
    /// It ended without being asked to.
    #[error("{name} ended although nobody asked it to; this is a fault of the program: restart it and report the log")]
    Ended {
        /// Which.
        name: &'static str,
    },
    /// It panicked.
    #[error("{name} panicked: {message}; this is a fault of the program: restart it and report the log")]
    Panicked {
        /// Which.
        name: &'static str,
        /// What tokio says.
        message: String,
    },
}

/// A set of tasks that stand and fall together.
#[derive(Debug)]
pub struct Tasks {
    set: JoinSet<Result<(), String>>,
    names: Vec<(Id, &'static str)>,
    shutdown: CancellationToken,
}

impl Tasks {
    /// An empty set whose end `shutdown` asks for.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { set: JoinSet::new(), names: Vec::new(), shutdown }
    }

    /// Starts a task.
    pub fn spawn<E: std::error::Error + Send>(&mut self, name: &'static str, task: impl Future<Output = Result<(), E>> + Send + 'static) {
        let handle = self.set.spawn(async move { task.await.map_err(|error| chain(&error)) });
        self.names.push((handle.id(), name));
    }

    /// Runs until the shutdown is asked for and all have ended, or one dies: then the others are asked to end too.
    ///
    /// # Errors
    /// The first task that died.
    pub async fn run(mut self) -> Result<(), TaskError> {
        let mut first = None;
        while let Some(ended) = self.set.join_next_with_id().await {
            let asked = self.shutdown.is_cancelled();
            let error = match ended {
                Ok((_, Ok(()))) if asked => None,
                Ok((id, Ok(()))) => Some(TaskError::Ended { name: self.name(id) }),
                Ok((id, Err(message))) => Some(TaskError::Failed { name: self.name(id), message }),
                Err(error) => Some(TaskError::Panicked { name: self.name(error.id()), message: error.to_string() }),
            };
            if let Some(error) = error {
                tracing::error!(%error, "a part of the program died, so the rest is stopped too");
                self.shutdown.cancel();
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), Err)
    }

    fn name(&self, id: Id) -> &'static str {
        self.names.iter().find(|(known, _)| *known == id).map_or("a task", |(_, name)| name)
    }
}

/// An error with all its causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn one_task_that_dies_ends_the_others() {
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::new(shutdown.clone());
        let waits = shutdown.clone();
        tasks.spawn("patient", async move {
            waits.cancelled().await;
            Ok::<(), std::io::Error>(())
        });
        tasks.spawn("broken", async { Err(std::io::Error::other("disk gone")) });
        let error = tasks.run().await.expect_err("a task died");
        assert_eq!(error.to_string(), "broken stopped: disk gone");
        assert!(shutdown.is_cancelled());
    }

    #[tokio::test]
    async fn a_panic_is_seen_and_named() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("rash", async {
            if std::env::args().count() > 0 {
                panic!("boom");
            }
            Ok::<(), std::io::Error>(())
        });
        let error = tasks.run().await.expect_err("a task panicked");
        assert!(error.to_string().starts_with("rash panicked"), "{error}");
    }

    #[tokio::test]
    async fn ending_when_asked_is_no_error_and_ending_unasked_is() {
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn("early", async { Ok::<(), std::io::Error>(()) });
        assert!(matches!(tasks.run().await, Err(TaskError::Ended { name: "early" })));
        let asked = CancellationToken::new();
        let mut tasks = Tasks::new(asked.clone());
        asked.cancel();
        tasks.spawn("obedient", async { Ok::<(), std::io::Error>(()) });
        assert!(tasks.run().await.is_ok());
    }
}
