//! What backups there are, read from the store alone.

use std::collections::BTreeMap;

use archive::catalogue::{Catalogue, Listing, Read};
use archive::layout::{Item, parse_key};
use archive::{manifest, verification};
use futures::StreamExt as _;
use tokio::sync::Semaphore;

use crate::client::ObjectClient;
use crate::error::StoreError;

/// Manifests that are read at once.
const AT_ONCE: usize = 8;
/// Catalogues that are read at once by this process: each holds its manifests while it is read.
static CATALOGUES: Semaphore = Semaphore::const_new(4);
/// After so many failures of the store as a whole with no success in between, it is given up.
const MOST_FAILURES: usize = 4;

/// The backups below `prefix`, for example [`archive::layout::ROOT`] or [`archive::layout::system_prefix`].
///
/// # Errors
/// Where the store cannot be listed, or stops answering. A single manifest that cannot be read stops nothing: its backup is
/// [`archive::catalogue::State::Unread`].
pub async fn catalogue(client: &ObjectClient, prefix: &str) -> Result<Catalogue, StoreError> {
    // It is never closed.
    let _turn = CATALOGUES.acquire().await;
    let mut listing = Listing::new();
    client.list(prefix, |key, size| listing.add(key, size)).await?;
    let mut answers = futures::stream::iter(listing.to_read())
        .map(|key| async move {
            // One byte more than may be there, so that it is seen as too large and never read to its end.
            let answer = client.read_beginning(&key, largest(&key) + 1).await;
            (key, answer)
        })
        .buffer_unordered(AT_ONCE);
    let mut read = BTreeMap::new();
    let mut failures = 0;
    while let Some((key, answer)) = answers.next().await {
        let known = match answer {
            Ok(Some(bytes)) => Read::Bytes(bytes),
            Ok(None) => Read::Gone,
            Err(error) => {
                failures = if error.is_outage() { failures + 1 } else { 0 };
                if failures >= MOST_FAILURES {
                    return Err(error);
                }
                read.insert(key, Read::Failed(error.to_string()));
                continue;
            }
        };
        failures = 0;
        read.insert(key, known);
    }
    drop(answers);
    Ok(listing.into_catalogue(&read))
}

fn largest(key: &str) -> usize {
    match parse_key(key) {
        Ok((_, Item::Verification)) => verification::LARGEST,
        _ => manifest::LARGEST,
    }
}
