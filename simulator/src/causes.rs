//! What a simulated system is like: the types are shared with the `SimulatedSystem` kind, so they live in the `model` crate
//! (`model/src/causes.rs`): the system id is not among them, it comes with the subscription (file `systemId`).

pub use model::causes::*;
