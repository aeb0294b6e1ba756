//! The embedded object store: S3 over a folder, durable, with a checksum for every part.
