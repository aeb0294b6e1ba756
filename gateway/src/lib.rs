//! The gateway: the TLS endpoint that systems dial. They enrol, connect, and are signed in to here; everyone else reaches them through
//! [`protocol::link::SystemLink`]. It knows no Kubernetes and asks a [`Directory`] instead. `docs/protocol.md` says what is spoken.
//!
//! | module | what |
//! |---|---|
//! | [`directory`] | what the gateway asks about customers and systems |
//! | [`options`] | addresses, bounds, waits |
//! | [`authority`] | COM's certificate authority |
//! | [`replicas`] | the other replicas of COM, and the systems that are connected to them |
//! | [`gateway`] | listens, hands out its parts, goes down in order |
//! | [`peers`] | who tried to enrol and proved nothing |
//! | [`metrics`] | numbers for Prometheus |

pub mod authority;
mod certificate_metrics;
mod connections;
pub mod directory;
mod enrolment;
mod files;
pub mod gateway;
mod http;
mod identity;
pub mod metrics;
pub mod options;
pub mod peers;
mod rate;
mod registration;
pub mod replicas;
mod server_certificate;
mod sessions;
mod shared;

pub use authority::Authority;
pub use directory::{Candidate, Credentials, Directory, DirectoryError, Registered, SystemEntry};
pub use gateway::{BindError, Gateway, RunError};
pub use metrics::Metrics;
pub use options::Options;
pub use peers::UnprovedPeers;
pub use replicas::{ReplicaError, ReplicaOptions, Replicas};
pub use server_certificate::ServerCertificateError;
