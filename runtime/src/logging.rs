//! Structured logs: one event a line on standard error, whose level changes at run time (`PUT /log-level`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// How much is logged (SETTINGS-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What needs somebody.
    Error,
    /// Also what happened.
    Info,
    /// Also how.
    Debug,
}

/// Not a level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no log level; use ERROR, INFO or DEBUG")]
pub struct ParseLevelError(String);

impl FromStr for Level {
    type Err = ParseLevelError;
    fn from_str(text: &str) -> Result<Self, ParseLevelError> {
        match text.trim().to_ascii_uppercase().as_str() {
            "ERROR" => Ok(Self::Error),
            "INFO" => Ok(Self::Info),
            "DEBUG" => Ok(Self::Debug),
            _ => Err(ParseLevelError(text.chars().take(20).collect())),
        }
    }
}
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "ERROR",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        })
    }
}

impl Level {
    /// Libraries stay one level quieter than our own code: their details are rarely what an operator looks for. What clients of the object store do
    /// wrong they are told themselves (`s3s`); signing is never told in detail, because what is signed is secret.
    fn filter(self) -> EnvFilter {
        EnvFilter::new(match self {
            Self::Error => "error,s3s=off",
            Self::Info => "info,s3s=off,kube=warn,kube_runtime=error,kube_client=error,hyper=warn,tower=warn,rustls=warn",
            Self::Debug => {
                "debug,aws_smithy_runtime=info,aws_smithy_runtime_api=info,aws_sdk_s3=info,aws_sigv4=info,hyper=info,tower=info,rustls=info,h2=info,kube_client=info"
            }
        })
    }
}

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Changes the level of a running process.
#[derive(Clone)]
pub struct LevelHandle {
    reload: reload::Handle<EnvFilter, Registry>,
    level: Arc<std::sync::Mutex<Level>>,
}

impl fmt::Debug for LevelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LevelHandle({})", self.get())
    }
}

impl LevelHandle {
    /// The level in force.
    pub fn get(&self) -> Level {
        *self.level.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Sets the level.
    pub fn set(&self, level: Level) {
        if self.reload.reload(level.filter()).is_ok() {
            *self.level.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = level;
            tracing::info!(%level, "log level changed");
        }
    }
}

/// Starts logging. Called once, first thing.
pub fn start(level: Level, format: Format) -> LevelHandle {
    let (filter, reload) = reload::Layer::new(level.filter());
    let base = tracing_subscriber::registry().with(filter);
    let started = match format {
        Format::Text => {
            base.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false)).try_init()
        }
        Format::Json => base
            .with(tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).with_target(false))
            .try_init(),
    };
    // A second call (tests in one process) keeps the first subscriber.
    drop(started);
    LevelHandle { reload, level: Arc::new(std::sync::Mutex::new(level)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_level_changes_at_run_time() {
        let handle = start(Level::Error, Format::Text);
        assert!(!tracing::enabled!(tracing::Level::INFO));
        handle.set("debug".parse().unwrap());
        assert!(tracing::enabled!(tracing::Level::DEBUG));
        assert_eq!(handle.get().to_string(), "DEBUG");
        assert!("WARN".parse::<Level>().unwrap_err().to_string().contains("ERROR, INFO or DEBUG"));
    }
}
