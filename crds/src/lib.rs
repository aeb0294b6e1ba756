//! The kinds of Switchboard (`switchboard.dev/v1alpha1`). Their doc comments are what `kubectl explain` prints.
//!
//! `switchboard crds` (and `make generate`) writes the `*.yaml` beside this crate from these types; a test fails when they drift apart.

pub mod action;
pub mod backup;
pub mod conditions;
pub mod customer;
pub mod generate;
pub mod identity;
pub mod ipoffice;
pub mod object_store;
pub mod policies;
pub mod reference;
pub mod references;
pub mod registration;
pub mod restore;
pub mod simulated_system;

pub use backup::{Backup, BackupSpec, BackupStatus};
pub use customer::{Customer, CustomerSpec, CustomerStatus};
pub use ipoffice::{IPOffice, IPOfficeSpec, IPOfficeStatus};
pub use object_store::{ObjectStore, ObjectStoreSpec, ObjectStoreStatus};
pub use registration::{Registration, RegistrationSpec, RegistrationStatus};
pub use restore::{Restore, RestoreSpec, RestoreStatus};
pub use simulated_system::{SimulatedSystem, SimulatedSystemSpec, SimulatedSystemStatus};

/// API group of everything but the simulation.
pub const GROUP: &str = "switchboard.dev";
/// API group of the simulation.
pub const SIMULATION_GROUP: &str = "simulation.switchboard.dev";
/// API version of every kind.
pub const VERSION: &str = "v1alpha1";
/// Annotation that sets an object aside: its controller does nothing but say so, in the `Paused` condition.
pub const PAUSED_ANNOTATION: &str = "switchboard.dev/paused";
