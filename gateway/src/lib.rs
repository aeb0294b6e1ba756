//! The gateway: the TLS endpoint that systems dial. They enrol, connect, and are signed in to here; everyone else reaches them through
//! [`protocol::link::SystemLink`]. It knows no Kubernetes and asks a [`Directory`] instead. `docs/protocol.md` says what is spoken.
//!
//! | module | what |
//! |---|---|
//! | [`directory`] | what the gateway asks about customers and systems |
//! | [`options`] | addresses, bounds, waits |
//! | [`authority`] | COM's certificate authority |

pub mod authority;
pub mod directory;
mod files;
mod identity;
pub mod options;
mod rate;

pub use authority::Authority;
pub use directory::{Credentials, Directory, DirectoryError, SystemEntry};
pub use options::Options;
