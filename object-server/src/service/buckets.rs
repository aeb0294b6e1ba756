//! Buckets.

use s3s::dto::*;
use s3s::{S3Request, S3Response};

use super::{Service, headers};
use crate::failure::Failure;
use crate::record;

impl Service {
    pub(super) async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> Result<S3Response<HeadBucketOutput>, Failure> {
        self.store.bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput { bucket_region: Some(self.region.clone()), ..Default::default() }))
    }

    pub(super) async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> Result<S3Response<CreateBucketOutput>, Failure> {
        headers::refuse_what_is_not_done(&request.headers)?;
        let bucket = request.input.bucket;
        let location = Some(format!("/{bucket}"));
        self.blocking(move |store| store.create_bucket(&bucket)).await?;
        Ok(S3Response::new(CreateBucketOutput { location }))
    }

    pub(super) async fn list_buckets(&self, request: S3Request<ListBucketsInput>) -> Result<S3Response<ListBucketsOutput>, Failure> {
        let prefix = request.input.prefix.unwrap_or_default();
        let named = self.store.buckets().into_iter().filter(|(name, _)| name.starts_with(&prefix));
        let buckets = named.map(|(name, created)| Bucket {
            bucket_region: Some(self.region.clone()),
            creation_date: Some(record::time(created).into()),
            name: Some(name),
        });
        let buckets = Some(buckets.collect());
        Ok(S3Response::new(ListBucketsOutput { buckets, prefix: Some(prefix), ..Default::default() }))
    }

    pub(super) async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> Result<S3Response<GetBucketLocationOutput>, Failure> {
        self.store.bucket(&request.input.bucket)?;
        // S3 names every region but this one.
        let named = (self.region != "us-east-1").then(|| BucketLocationConstraint::from(self.region.clone()));
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint: named }))
    }
}
