//! Has the system put one element into the store, in parts, until the store lists all of it.

use std::time::Duration;

use archive::manifest::Element;
use object_client::{StoreError, Upload, UploadedPart};
use protocol::message::Command;
use protocol::transfer::{MOST_PARTS_ORDERED, Output, PartUpload, StoreFailure};

use super::run::unexpected;
use crate::action::reach::{Reach, Stop};

/// How long a presigned request is good for: a batch of parts on a slow line.
const PRESIGNED_FOR: Duration = Duration::from_secs(3600);

/// What came of ordering the parts that were missing.
struct Round {
    /// Parts that the store had before.
    had: usize,
    /// Why the system stopped, where it did.
    failure: Option<StoreFailure>,
}

/// Has the system put what is missing until the store lists all of it: that it took the parts is only said by the system.
pub async fn upload(reach: &Reach, element: &Element, name: &str) -> Result<(), Stop> {
    let (mut upload, mut own) = open(reach, element).await?;
    let (mut tries, mut last) = (0, None);
    loop {
        let there = reach.store(|client| uploaded(client, upload.clone())).await?;
        let there =
            there.ok_or_else(|| Stop::again("UploadMissing", format!("somebody ended the upload of {}; it is begun again", upload.key)))?;
        if !own && there.iter().any(|part| part.sha256.is_none()) {
            // The store lists no digests: what an earlier run put may be of another packing.
            own = true;
            upload = replace(reach, &upload, element).await?;
            continue;
        }
        let good: Vec<UploadedPart> = there.into_iter().filter_map(|part| as_described(part, element)).collect();
        let missing: Vec<u32> = (1..=u32::try_from(element.parts.len()).unwrap_or(u32::MAX))
            .filter(|number| !good.iter().any(|part| part.number == *number))
            .collect();
        if missing.is_empty() {
            reach.moved();
            return finish(reach, &upload, good).await;
        }
        if let Some(Round { had, failure }) = last {
            let got_on = good.len() > had;
            if got_on {
                reach.moved();
            }
            tries = if got_on { 0 } else { tries + 1 };
            if let Some(failure) = failure.or_else(|| (!got_on).then(not_there)) {
                reach.store_failed(tries, &failure).await?;
            }
        }
        last = Some(Round { had: good.len(), failure: put_all(reach, &upload, element, name, &missing).await? });
    }
}

fn not_there() -> StoreFailure {
    let message = "it put parts that the store does not list; they are put again".to_owned();
    StoreFailure { status: Some(200), code: String::new(), message }
}

/// Has the system put these parts, as many at a time as fit an order, until one of them does not get there.
async fn put_all(reach: &Reach, upload: &Upload, element: &Element, name: &str, missing: &[u32]) -> Result<Option<StoreFailure>, Stop> {
    for batch in missing.chunks(MOST_PARTS_ORDERED) {
        let (done, failure) = put(reach, upload, element, name, batch).await?;
        if failure.is_some() || done < batch.len() {
            return Ok(failure);
        }
    }
    Ok(None)
}

/// The parts that are in the store; none where the store does not know the upload any more.
async fn uploaded(client: object_client::ObjectClient, upload: Upload) -> Result<Option<Vec<UploadedPart>>, StoreError> {
    match client.uploaded_parts(&upload).await {
        Err(StoreError::NoUpload(_)) => Ok(None),
        other => other.map(Some),
    }
}

/// The part, if it is the one that was described; with its digest, which some stores list nowhere and yet want to be told at the end.
fn as_described(part: UploadedPart, element: &Element) -> Option<UploadedPart> {
    let described = part.number.checked_sub(1).and_then(|at| element.parts.get(at as usize))?;
    let same = described.size == part.size && part.sha256.is_none_or(|sha256| sha256 == described.sha256);
    same.then_some(UploadedPart { sha256: Some(described.sha256), ..part })
}

/// The unfinished upload of this element, or a new one; and whether it is new. Of several the newest goes on.
async fn open(reach: &Reach, element: &Element) -> Result<(Upload, bool), Stop> {
    reach
        .store(|client| async move {
            let mut found = client.find_uploads(&element.key).await?;
            found.retain(|upload| upload.key == element.key);
            let newest = found.pop();
            for older in found {
                client.abort_upload(&older).await?;
            }
            match newest {
                Some(upload) => Ok((upload, false)),
                None => Ok((client.begin_upload(&element.key, Some(&element.sha256)).await?, true)),
            }
        })
        .await
}

/// Puts a new upload in the place of one.
async fn replace(reach: &Reach, upload: &Upload, element: &Element) -> Result<Upload, Stop> {
    reach
        .store(|client| async move {
            client.abort_upload(upload).await?;
            client.begin_upload(&element.key, Some(&element.sha256)).await
        })
        .await
}

/// Has the system put these parts. Says how many it put, and why it stopped before all were.
async fn put(
    reach: &Reach,
    upload: &Upload,
    element: &Element,
    name: &str,
    numbers: &[u32],
) -> Result<(usize, Option<StoreFailure>), Stop> {
    let orders = reach
        .store(|client| {
            let upload = upload.clone();
            async move {
                let mut orders = Vec::with_capacity(numbers.len());
                for number in numbers {
                    let part = element.parts[*number as usize - 1];
                    let request = client.presign_part(&upload, *number, &part, PRESIGNED_FOR).await?;
                    orders.push(PartUpload { number: *number, request });
                }
                Ok((orders, client.options().authority.clone()))
            }
        })
        .await?;
    let (parts, authority) = orders;
    let done = reach.ask(Command::UploadParts { element: name.to_owned(), parts, authority }).await?;
    let Some(Output::Uploaded { parts, failure }) = &done.output else { return Err(unexpected("uploadParts", &done)) };
    Ok((parts.len(), failure.clone()))
}

async fn finish(reach: &Reach, upload: &Upload, mut parts: Vec<UploadedPart>) -> Result<(), Stop> {
    parts.sort_by_key(|part| part.number);
    reach
        .store(|client| {
            let (upload, parts) = (upload.clone(), parts.clone());
            async move {
                match client.finish_upload(&upload, &parts).await {
                    // Finished by a try whose answer was lost; what is there is confirmed by the caller.
                    Err(StoreError::NoUpload(_)) => Ok(()),
                    other => other,
                }
            }
        })
        .await
}
