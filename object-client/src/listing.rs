//! Listing keys.

use aws_sdk_s3::types::EncodingType;

use crate::client::ObjectClient;
use crate::error::{StoreError, classify};

impl ObjectClient {
    /// Gives `each` every key below `prefix` with the size of its object in bytes, in the order of the keys' bytes. Takes the memory of one page of
    /// 1000 keys. Keys come without the prefix of the store.
    pub async fn list(&self, prefix: &str, mut each: impl FnMut(&str, u64) + Send) -> Result<(), StoreError> {
        let what = format!("list {prefix}");
        let mut continuation: Option<String> = None;
        loop {
            let request = self.client().list_objects_v2().bucket(self.bucket()).prefix(self.full_key(prefix));
            // A key with a character that XML cannot hold would make the whole page unreadable.
            let request = request.encoding_type(EncodingType::Url).set_continuation_token(continuation.clone());
            let page = request.send().await.map_err(|error| classify(error, self.asked(&what)))?;
            let encoded = page.encoding_type() == Some(&EncodingType::Url);
            for object in page.contents() {
                let key = decoded(object.key().unwrap_or_default(), encoded);
                let size = object.size().and_then(|size| u64::try_from(size).ok());
                let size = size.ok_or_else(|| StoreError::Unusable(format!("the listing of {prefix:?} has an object without a size")))?;
                if let Some(key) = self.own_key(&key) {
                    each(key, size);
                }
            }
            continuation = next(page.is_truncated(), page.next_continuation_token(), continuation.as_deref(), prefix)?;
            if continuation.is_none() {
                return Ok(());
            }
        }
    }
}

/// Where the next page begins; none after the last one. A store that names the same place again would be listed for ever.
pub(crate) fn next(truncated: Option<bool>, named: Option<&str>, before: Option<&str>, what: &str) -> Result<Option<String>, StoreError> {
    match (truncated.unwrap_or(false), named) {
        (false, _) => Ok(None),
        (true, Some(named)) if before != Some(named) && !named.is_empty() => Ok(Some(named.to_owned())),
        (true, _) => Err(StoreError::Unusable(format!("the listing of {what:?} has more pages and does not say where the next begins"))),
    }
}

/// A key as it is: stores that encode it escape bytes as in a query.
pub(crate) fn decoded(text: &str, encoded: bool) -> String {
    if !encoded || !text.contains(['%', '+']) {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten().and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{decoded, next};

    #[test]
    fn encoded_keys_are_read_as_they_are() {
        assert_eq!(decoded("a%20b+c%2Bd/%C3%A9%01", true), "a b c+d/é\u{1}");
        assert_eq!(decoded("50%+%zz%4", true), "50% %zz%4");
        assert_eq!(decoded("a%20b+c", false), "a%20b+c");
    }

    #[test]
    fn a_listing_that_would_not_end_is_refused() {
        assert_eq!(next(Some(false), Some("x"), None, ""), Ok(None));
        assert_eq!(next(Some(true), Some("x"), Some("w"), ""), Ok(Some("x".to_owned())));
        assert!(next(Some(true), Some("x"), Some("x"), "").is_err());
        assert!(next(Some(true), None, None, "").is_err() && next(Some(true), Some(""), None, "").is_err());
    }
}
