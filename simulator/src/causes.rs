//! What a simulated system is made of and what befalls it. The types are shared with the kind `SimulatedSystem`, so they live in `model`.

pub use model::causes::*;
