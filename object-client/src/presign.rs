//! Requests that others may make: the signature is in the URL, and covers method, host, key and the headers given with it.

use std::collections::BTreeMap;
use std::time::Duration;

use archive::digest::Part;
use aws_sdk_s3::presigning::{PresignedRequest as Signed, PresigningConfig};
use model::secret::Secret;
use protocol::transfer::PresignedRequest;

use crate::client::ObjectClient;
use crate::error::{StoreError, classify};
use crate::uploads::Upload;

/// Longest lifetime of a presigned request, which is S3's limit.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(7 * 86_400);

impl ObjectClient {
    /// A request to put one part: `PUT` with its length and SHA-256 as signed headers, so that the store takes these bytes and no others. It can be
    /// used for `lifetime`, from now, as often as wished.
    pub async fn presign_part(
        &self,
        upload: &Upload,
        number: u32,
        part: &Part,
        lifetime: Duration,
    ) -> Result<PresignedRequest, StoreError> {
        let what = format!("sign part {number} of {}", upload.key);
        let wrong =
            |_| StoreError::Configuration(format!("part {number} of {} with {} bytes is none that S3 takes", upload.key, part.size));
        let request = self.inner.signer.upload_part().bucket(self.bucket()).key(self.full_key(&upload.key)).upload_id(&upload.id);
        let request = request.part_number(i32::try_from(number).map_err(wrong)?);
        let request = request.content_length(i64::try_from(part.size).map_err(wrong)?).checksum_sha256(part.sha256.to_base64());
        let signed = request.presigned(lasting(lifetime)?).await.map_err(|error| classify(error, self.asked(&what)))?;
        Ok(presigned(&signed))
    }

    /// A request to fetch an object. `Range` is not signed and may be added. It can be used for `lifetime`, from now, as often as wished.
    pub async fn presign_get(&self, key: &str, lifetime: Duration) -> Result<PresignedRequest, StoreError> {
        let what = format!("sign a request for {key}");
        let request = self.inner.signer.get_object().bucket(self.bucket()).key(self.full_key(key));
        let signed = request.presigned(lasting(lifetime)?).await.map_err(|error| classify(error, self.asked(&what)))?;
        Ok(presigned(&signed))
    }
}

fn lasting(lifetime: Duration) -> Result<PresigningConfig, StoreError> {
    let wrong = || StoreError::Configuration(format!("a presigned request of {} s is none; give 1 s to 7 days", lifetime.as_secs()));
    if !(Duration::from_secs(1)..=LONGEST_LIFETIME).contains(&lifetime) {
        return Err(wrong());
    }
    PresigningConfig::expires_in(lifetime).map_err(|_| wrong())
}

fn presigned(signed: &Signed) -> PresignedRequest {
    let headers: BTreeMap<String, String> = signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    PresignedRequest { method: signed.method().to_owned(), url: Secret::new(signed.uri()), headers }
}
