//! The client of the object store: any endpoint that speaks S3, with presigned requests for systems.
