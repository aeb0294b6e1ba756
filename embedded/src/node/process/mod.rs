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

/// After a program's end its output is waited for at most this long: a stray descendant may hold it open.
pub const OUTPUT_BOUND: std::time::Duration = std::time::Duration::from_secs(2);

/// Environment variable every process of a container carries: `<pod uid>/<container>`. Children inherit it, so that processes
/// which left their group are still found.
pub const MARKER: &str = "EMBEDDED_CONTAINER";
