//! Child processes: starting them, ending them, and knowing them again.

pub mod identity;
pub mod instance;
pub mod spawner;

pub use identity::Identity;
pub use instance::{Exit, Instance};
pub use spawner::{Execution, Spawner};

/// Environment variable every process of a container carries: `<pod uid>/<container>`. Children inherit it, so that processes
/// which left their group are still found.
pub const MARKER: &str = "EMBEDDED_CONTAINER";
