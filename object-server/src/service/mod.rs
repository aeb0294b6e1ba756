//! The operations of S3 over the store.
//!
//! | file | what |
//! |---|---|
//! | `buckets` | buckets |
//! | `objects` | objects, whole and in ranges |
//! | `listing` | listings of objects |
//! | `multipart` | uploads in parts |
//! | `headers` | what requests say and answers carry in headers |
//!
//! What this store cannot do is refused, never ignored: a client that asks for encryption or a lock must not believe it has them.

mod buckets;
mod headers;
mod listing;
mod multipart;
mod objects;

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};
use tokio::task::spawn_blocking;

use crate::failure::Failure;
use crate::store::Store;
use crate::store::incoming::joined;

/// The trait of the library.
pub(crate) struct Service {
    pub(crate) store: Arc<Store>,
    pub(crate) region: String,
    /// Most bytes of a body.
    pub(crate) put_bytes: u64,
}

impl Service {
    /// Runs what blocks where that is allowed.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Store) -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
        let store = Arc::clone(&self.store);
        joined(spawn_blocking(move || work(&store))).await
    }
}

macro_rules! operations {
    ($($operation:ident: $input:ident -> $output:ident;)*) => {
        #[async_trait::async_trait]
        impl S3 for Service {
            $(async fn $operation(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                Ok(Service::$operation(self, request).await?)
            })*
        }
    };
}

operations! {
    head_bucket: HeadBucketInput -> HeadBucketOutput;
    create_bucket: CreateBucketInput -> CreateBucketOutput;
    list_buckets: ListBucketsInput -> ListBucketsOutput;
    get_bucket_location: GetBucketLocationInput -> GetBucketLocationOutput;
    put_object: PutObjectInput -> PutObjectOutput;
    get_object: GetObjectInput -> GetObjectOutput;
    head_object: HeadObjectInput -> HeadObjectOutput;
    get_object_attributes: GetObjectAttributesInput -> GetObjectAttributesOutput;
    delete_object: DeleteObjectInput -> DeleteObjectOutput;
    delete_objects: DeleteObjectsInput -> DeleteObjectsOutput;
    list_objects: ListObjectsInput -> ListObjectsOutput;
    list_objects_v2: ListObjectsV2Input -> ListObjectsV2Output;
    create_multipart_upload: CreateMultipartUploadInput -> CreateMultipartUploadOutput;
    upload_part: UploadPartInput -> UploadPartOutput;
    list_parts: ListPartsInput -> ListPartsOutput;
    list_multipart_uploads: ListMultipartUploadsInput -> ListMultipartUploadsOutput;
    complete_multipart_upload: CompleteMultipartUploadInput -> CompleteMultipartUploadOutput;
    abort_multipart_upload: AbortMultipartUploadInput -> AbortMultipartUploadOutput;
}
