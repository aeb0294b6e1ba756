//! The words everyone shares. Pure: no network, no clock, no Kubernetes.
//!
//! | module | what |
//! |---|---|
//! | [`ids`] | customer and system ids, as they appear in host names and store paths |
//! | [`version`] | software versions of IP Office, and where `Legacy` begins |
//! | [`system`] | profiles, server roles, what a network of servers may look like |
//! | [`rights`] | the rights of a service user |
//! | [`switches`] | remote operations switches, voicemail backup options, certificate switches |
//! | [`causes`] | what a simulated system is like |
//! | [`account`] | outcomes of signing in to a system |
//! | [`connectivity`] | colours and messages, and which one is shown where several hold |
//! | [`roles`] | who may do what, and what of it Kubernetes can decide |
//! | [`secret`] | a string that never prints itself |

pub mod account;
pub mod causes;
pub mod connectivity;
pub mod ids;
pub mod rights;
pub mod roles;
pub mod secret;
pub mod switches;
pub mod system;
pub mod version;
