//! The network of a plane, inside the loopback network of one machine.
//!
//! | module | what it does |
//! |---|---|
//! | [`block`] | the addresses of a plane, which no other plane on the machine has |
//! | [`renumber`] | gives Services of an earlier block addresses of the present one |
//! | [`names`] | how Services and their slices are found |
//! | [`routes`] | from Services and EndpointSlices to addresses and who answers there (pure) |
//! | [`listener`] | one address and port: takes connections on to whoever answers |
//! | [`proxy`] | keeps the listeners as the routes are |

pub mod block;
pub mod listener;
pub mod names;
pub mod proxy;
pub mod renumber;
pub mod routes;

pub use block::{Block, BlockError, ServiceNetwork};
