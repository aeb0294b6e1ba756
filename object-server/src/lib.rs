//! The embedded object store: S3 over a folder, durable, with a checksum for every part. It serves `switchboard up` on one machine and knows
//! nothing of Switchboard. `docs/decisions/0019-embedded-object-store.md` says why it is built like this.
//!
//! # The folder
//!
//! ```text
//! lock                                        the process that has the folder open
//! buckets/<bucket>/bucket.json                when it was made
//! buckets/<bucket>/objects/<key>@<version>/   one object
//!     object.json                             key, size, ETag, checksums, headers, and its parts in order
//!     part-00001 …                            the bytes; `cat part-*` is the object
//! buckets/<bucket>/uploads/<upload id>/       an upload in parts that was neither completed nor aborted
//!     upload.json                             key, when it began, headers
//!     <number>.<try>.<md5>[.<checksum>]       the bytes of a part
//! staging/  trash/                            writes under way, and what is being removed; emptied at every start
//! ```
//!
//! `<key>` is the key with its slashes as folders. Digits, lower case letters, `-`, `_` and `.` stand for themselves, an upper case letter is
//! `^` and the lower case one, every other byte is `%` and two hexadecimal digits (so is a `.` that begins a name). A name of more than 200
//! characters is continued in a folder below it, which a `+` at its end says; an empty name is a single `%`. So `backups/c1/Config.tar` is in
//! `backups/c1/^config.tar@…`, on every file system, and two keys never meet. Of two versions of a key the higher counts.
//!
//! An object is built in `staging`, made durable there, and appears by one rename; it disappears by a rename into `trash`. An answer goes out
//! once that rename is durable. Nothing is ever changed in place, so a copy of `buckets` taken with the server stopped is a whole backup.
//!
//! | module | what |
//! |---|---|
//! | [`options`] | what can be set, and why it does not open |
//! | `name` | keys as file names |
//! | `digest` | MD5 and the checksums of S3 |
//! | `record` | `object.json` and `upload.json` |
//! | `store` | the folder |
//! | `service` | the operations of S3 over the store |
//! | `server` | TLS, HTTP, bounds |

mod digest;
mod failure;
mod name;
pub mod options;
mod record;
mod server;
mod service;
mod store;

pub use options::{BindError, Credentials, Limits, OpenError, Options, Tls};
pub use server::{BoundServer, ObjectServer};
