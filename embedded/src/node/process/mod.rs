//! Child processes: starting them, ending them, and knowing them again.

pub mod console;
pub mod identity;
pub mod instance;
pub mod session;
pub mod spawner;
pub mod streams;
pub mod terminal;

pub use console::{Console, Wishes};
pub use identity::Identity;
pub use instance::{Exit, Instance};
pub use session::{Session, Streams};
pub use spawner::{Execution, Spawner};

/// Environment variable every process of a container carries: `<pod uid>/<container>`. Children inherit it, so that processes
/// which left their group are still found.
pub const MARKER: &str = "EMBEDDED_CONTAINER";
