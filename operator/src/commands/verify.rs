//! `switchboard verify`: reads backups again, every byte, and keeps what it found beside them.

use archive::catalogue::{Catalogue, Entry, State};
use archive::verification::{Outcome, Soundness};
use jiff::Timestamp;
use object_client::ObjectClient;
use object_client::verification::{VerifyError, keep, verify};

use super::catalogue::{reason, word};
use super::{CommandResult, block_on, say, store_access, table};
use crate::arguments::VerifyOptions;

/// What became of one backup.
enum Result {
    Sound,
    Damaged,
    /// Nothing was found out.
    Unknown,
}

/// Runs it.
pub fn run(options: &VerifyOptions) -> CommandResult {
    block_on(async {
        let client = store_access::client(&options.store)?;
        let catalogue = object_client::catalogue(&client, &store_access::prefix(&options.store)).await?;
        let chosen = choose(&catalogue, options)?;
        if chosen.is_empty() {
            say("No backups to verify.");
            return Ok(());
        }
        let (mut damaged, mut unknown) = (0_usize, 0_usize);
        for entry in &chosen {
            let (result, text) = one(&client, entry).await?;
            match result {
                Result::Sound => {}
                Result::Damaged => damaged += 1,
                Result::Unknown => unknown += 1,
            }
            say(&format!("{} of {}: {}", entry.folder.id, entry.folder.system, table::printable(&text)));
        }
        match (damaged, unknown) {
            (0, 0) => Ok(()),
            (0, unknown) => Err(format!("{unknown} of {} backups could not be verified; the lines above say why", chosen.len()).into()),
            (damaged, 0) => Err(format!("{damaged} of {} backups are damaged; restore others, and take new ones", chosen.len()).into()),
            (damaged, unknown) => {
                Err(format!("{damaged} of {} backups are damaged, and {unknown} could not be verified", chosen.len()).into())
            }
        }
    })
}

/// The folders to read, oldest first, so that what was never read comes before what is newest.
fn choose<'a>(catalogue: &'a Catalogue, options: &VerifyOptions) -> std::result::Result<Vec<&'a Entry>, String> {
    if let Some(id) = options.backups.iter().find(|id| !catalogue.entries.iter().any(|entry| entry.folder.id == **id)) {
        return Err(format!("there is no backup {id} in the store where it was looked for; 'switchboard catalogue' lists what there is"));
    }
    let wanted = |entry: &&Entry| match &entry.state {
        _ if !options.backups.is_empty() => options.backups.contains(&entry.folder.id),
        // An upload that is under way or was broken off is no backup.
        State::Incomplete => false,
        State::Complete { soundness, .. } if options.unverified => *soundness == Soundness::Unverified && !entry.verification_unread,
        State::Complete { .. } | State::Damaged(_) | State::Newer(_) | State::Foreign(_) | State::Unread(_) => true,
    };
    let mut chosen: Vec<&Entry> = catalogue.entries.iter().filter(wanted).collect();
    chosen.reverse();
    Ok(chosen)
}

/// Verifies one and says it. An error is one of the store, after which nothing else can be verified either.
async fn one(client: &ObjectClient, entry: &Entry) -> std::result::Result<(Result, String), VerifyError> {
    match &entry.state {
        State::Complete { .. } => {}
        // What the listing shows needs no record.
        State::Damaged(damage) => return Ok((Result::Damaged, format!("damaged: {damage}"))),
        State::Incomplete => return Ok((Result::Unknown, "not verified: it has no manifest, so it is no backup".to_owned())),
        State::Newer(_) | State::Foreign(_) | State::Unread(_) => {
            return Ok((Result::Unknown, format!("not verified, {}: {}", word(entry).to_lowercase(), reason(entry).unwrap_or_default())));
        }
    }
    let verification = match verify(client, &entry.folder).await {
        Ok(verification) => verification,
        Err(VerifyError::Store(error)) if error.is_transient() => return Err(VerifyError::Store(error)),
        Err(error @ VerifyError::Missing(_)) => return Ok((Result::Damaged, format!("damaged: {error}"))),
        Err(error) => return Ok((Result::Unknown, format!("not verified: {error}"))),
    };
    keep(client, &verification, Timestamp::now()).await?;
    let read = table::size(verification.bytes);
    Ok(match verification.outcome {
        Outcome::Verified => (Result::Sound, format!("verified, {read} read")),
        Outcome::Damaged { reason } => (Result::Damaged, format!("damaged: {reason}")),
    })
}
