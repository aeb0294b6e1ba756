//! The client of the object store: any endpoint that speaks S3, with presigned requests for systems. Bulk data never passes through here but for
//! verification: systems put and fetch by what [`ObjectClient::presign_part`] and [`ObjectClient::presign_get`] give them.
//!
//! | module | what |
//! |---|---|
//! | [`options`] | everything about one store |
//! | [`client`] | the client, and whether the store is there and lets us in |
//! | [`objects`] | reading, writing and deleting whole objects |
//! | [`reader`] | reading large objects as a stream that goes on after a broken connection |
//! | [`listing`] | listing keys |
//! | [`uploads`] | uploads in parts |
//! | [`presign`] | requests that others may make |
//! | [`catalogue`] | what backups there are |
//! | [`verification`] | reading a backup again |
//! | [`guard`] | whether anything may be changed in the store now |
//! | [`error`] | why a store did not do it |
//!
//! Every call is bounded in time: [`options::CONNECT_TIMEOUT`] to connect, [`options::ATTEMPT_TIMEOUT`] an attempt, [`options::ATTEMPTS`] attempts.
//! What stores do differently is in `docs/decisions/0020-object-client.md`.

pub mod catalogue;
pub mod client;
pub mod error;
pub mod guard;
mod http_client;
pub mod listing;
pub mod objects;
pub mod options;
pub mod presign;
pub mod reader;
mod unpacking;
pub mod uploads;
pub mod verification;

pub use catalogue::catalogue;
pub use client::{ObjectClient, Probe};
pub use error::StoreError;
pub use guard::Guard;
pub use objects::{Stored, Written};
pub use options::{Addressing, Encryption, LockMode, ObjectLock, Options};
pub use reader::ObjectReader;
pub use uploads::{Upload, UploadedPart};
