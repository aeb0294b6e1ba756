//! The door: TLS, who is asking, and what they may.
//!
//! | file | what |
//! |---|---|
//! | `pki` | certificate authority of the data folder, the server's certificate, certificates for clients |
//! | `tokens` | bearer tokens, fixed ones and those of service accounts |
//! | `authenticate` | credentials of a request → user |
//! | `rbac` | roles and bindings → allowed or not |
//! | `tls`, `connection` | the listener and its limits; one connection |
//! | `kubeconfig` | what clients are given |
//! | `private` | files for the owner only, replaced as a whole |

mod authenticate;
mod connection;
pub mod kubeconfig;
pub mod pki;
mod private;
pub mod rbac;
pub mod tls;
pub mod tokens;

pub use authenticate::Authenticator;
pub use connection::Handler;
pub use kubeconfig::Kubeconfig;
pub use pki::Pki;
pub use rbac::Rbac;
pub use tls::{Limits, Listener, ServeError};
pub use tokens::{FixedTokens, ServiceAccountTokens};
