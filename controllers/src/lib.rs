//! The controllers, one folder a kind: `plan.rs` (pure: observed to what to do), `act.rs` (does it), `mod.rs` (wiring), `tests.rs`.
//!
//! | module | what |
//! |---|---|
//! | [`customer`] | ids, the subscription Secret, counts by colour |
//! | [`ipoffice`] | connectivity, settings, credentials; alone grants the lock |
//! | [`object_store`] | clients of the stores, and whether they can be used |
//! | [`backup`], [`restore`] | one action on one system |
//! | [`action`] | what actions do alike: the lock, patience, conditions |
//! | [`registration`] | systems nobody declared, from the gateway to their IPOffice |
//! | [`simulated_system`] | pods that pretend to be systems |
//! | [`caches`] | one watch a kind, shared |
//! | [`index`] | who uses which id |
//! | [`codes`] | enrolment codes in memory, on every replica |
//! | [`credentials`] | credentials that change, on every replica |
//! | [`authority`] | the authorities of an operator with several replicas |
//! | [`directory`] | what the gateway asks, answered from the caches |
//! | [`action_metrics`] | how actions stand and end |
//! | [`fleet_metrics`] | gauges read from the caches at scrape time, of each customer too |
//! | [`finalizer`], [`error`] | what all controllers do alike |
//! | [`rules`] | the rights all this needs, and no more |

pub mod action;
pub mod action_metrics;
pub mod authority;
pub mod backup;
mod backup_age;
pub mod caches;
pub mod codes;
pub mod credentials;
pub mod customer;
mod customer_metrics;
pub mod directory;
pub mod error;
pub mod finalizer;
pub mod fleet_metrics;
pub mod index;
pub mod ipoffice;
pub mod object_store;
pub mod registration;
pub mod restore;
pub mod rules;
pub mod simulated_system;

/// Label on everything the controllers make.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
