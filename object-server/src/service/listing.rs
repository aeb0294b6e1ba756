//! Listings of objects.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto::*;
use s3s::{S3Request, S3Response};

use super::objects::signed;
use super::{Service, headers};
use crate::failure::Failure;
use crate::record;
use crate::store::bucket::Summary;
use crate::store::listing::{Item, Page, Query};

/// Keys on a page at most, which is S3's.
const MOST_KEYS: usize = 1000;

impl Service {
    async fn page(&self, bucket: &str, query: Query) -> Result<Page<Summary>, Failure> {
        let bucket = self.store.bucket(bucket)?;
        self.blocking(move |_| Ok(bucket.list(&query))).await
    }

    pub(super) async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> Result<S3Response<ListObjectsOutput>, Failure> {
        let input = request.input;
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            after: input.marker.clone().unwrap_or_default(),
            limit: headers::limit(input.max_keys, MOST_KEYS)?,
        };
        let limit = query.limit;
        let page = self.page(&input.bucket, query).await?;
        let code = Coding::of(input.encoding_type.as_ref())?;
        let next_marker = page.more.then(|| page.items.last().map(|item| code.bytes(item.name()))).flatten();
        let (contents, common_prefixes, more) = split(page, code);
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(code.text(input.prefix.unwrap_or_default())),
            marker: Some(code.text(input.marker.unwrap_or_default())),
            max_keys: i32::try_from(limit).ok(),
            is_truncated: Some(more),
            contents,
            common_prefixes,
            delimiter: input.delimiter.map(|delimiter| code.text(delimiter)),
            next_marker,
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    pub(super) async fn list_objects_v2(&self, request: S3Request<ListObjectsV2Input>) -> Result<S3Response<ListObjectsV2Output>, Failure> {
        let input = request.input;
        let after = match &input.continuation_token {
            Some(token) => read_token(token)?,
            None => input.start_after.clone().unwrap_or_default(),
        };
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            after,
            limit: headers::limit(input.max_keys, MOST_KEYS)?,
        };
        let limit = query.limit;
        let page = self.page(&input.bucket, query).await?;
        let code = Coding::of(input.encoding_type.as_ref())?;
        let next_continuation_token = page.more.then(|| page.items.last().map(|item| URL_SAFE_NO_PAD.encode(item.name()))).flatten();
        let key_count = i32::try_from(page.items.len()).ok();
        let (contents, common_prefixes, more) = split(page, code);
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(code.text(input.prefix.unwrap_or_default())),
            max_keys: i32::try_from(limit).ok(),
            key_count,
            continuation_token: input.continuation_token,
            is_truncated: Some(more),
            next_continuation_token,
            contents,
            common_prefixes,
            delimiter: input.delimiter.map(|delimiter| code.text(delimiter)),
            encoding_type: input.encoding_type,
            start_after: input.start_after.map(|start| code.text(start)),
            ..Default::default()
        }))
    }
}

fn read_token(token: &str) -> Result<String, Failure> {
    let name = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(|| Failure::InvalidArgument(String::from("the continuation token is none of this store's; begin the listing again")))
}

/// How keys stand in the answer: XML cannot carry every character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Url,
}

impl Coding {
    pub(super) fn of(encoding: Option<&EncodingType>) -> Result<Self, Failure> {
        match encoding.map(EncodingType::as_str) {
            None => Ok(Self::Plain),
            Some(EncodingType::URL) => Ok(Self::Url),
            Some(_) => Err(Failure::InvalidArgument(String::from("encoding-type can be url only"))),
        }
    }

    pub(super) fn text(self, text: String) -> String {
        match self {
            Self::Plain => text,
            Self::Url => self.bytes(text.as_bytes()),
        }
    }

    fn bytes(self, bytes: &[u8]) -> String {
        if self == Self::Plain {
            return String::from_utf8_lossy(bytes).into_owned();
        }
        let mut text = String::with_capacity(bytes.len());
        for &byte in bytes {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => text.push(char::from(byte)),
                _ => text.push_str(&format!("%{byte:02X}")),
            }
        }
        text
    }
}

/// Objects and common prefixes as S3 lists them: apart.
fn split(page: Page<Summary>, code: Coding) -> (Option<Vec<Object>>, Option<Vec<CommonPrefix>>, bool) {
    let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
    for item in page.items {
        match item {
            Item::Prefix(prefix) => prefixes.push(CommonPrefix { prefix: Some(code.bytes(&prefix)) }),
            Item::Key(key, summary) => objects.push(Object {
                key: Some(code.bytes(&key)),
                size: Some(signed(summary.size)),
                e_tag: headers::etag(&summary.etag),
                last_modified: Some(record::time(summary.modified).into()),
                storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
                ..Default::default()
            }),
        }
    }
    (Some(objects), Some(prefixes), page.more)
}
