//! Which elements the system has, and which of them are meant.

use std::path::{Path, PathBuf};

use archive::element::{BackupElement, Selection, Service};
use model::system::{Profile, ServerRole};
use protocol::message::Facts;

use crate::disk::content::{self, folder_name};
use crate::transfer::refusal::Refusal;

/// An element and whether its server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Which.
    pub element: BackupElement,
    /// Name of the server that it is on, if that is not reached.
    pub offline: Option<String>,
}

/// Everything the system can give, in a fixed order.
pub fn offers(facts: &Facts) -> Vec<Offer> {
    let mut offers = Vec::new();
    for server in &facts.servers {
        // A name that no element can carry gives none.
        let Ok(name) = server.name.parse::<archive::element::ServerName>() else { continue };
        for service in server.services.iter().filter_map(|service| Service::from_text(service)) {
            let offline = (!server.online).then(|| server.name.clone());
            offers.push(Offer { element: BackupElement::Configuration(service, name.clone()), offline });
        }
    }
    if facts.profile == Profile::ServerEdition {
        let voicemail = [
            BackupElement::VoicemailConfiguration,
            BackupElement::CustomPrompts,
            BackupElement::SelectiveVoicemails,
            BackupElement::AllVoicemails,
        ];
        offers.extend(voicemail.map(|element| Offer { element, offline: None }));
    }
    offers
}

/// The elements that selections mean, in the system's order.
///
/// # Errors
/// Nothing is selected, a selection means nothing here, or a server is offline: a backup that leaves it out in silence would be worse than none.
pub fn selected(facts: &Facts, selections: &[String]) -> Result<Vec<BackupElement>, Refusal> {
    let offers = offers(facts);
    if selections.is_empty() {
        return Err(Refusal::InvalidOrder("no element was named; name at least one".to_owned()));
    }
    let mut wanted = vec![false; offers.len()];
    for text in selections {
        let selection: Selection = text.parse().map_err(|_| unknown(text, &offers))?;
        let mut any = false;
        for (offer, wanted) in offers.iter().zip(&mut wanted).filter(|(offer, _)| selection.covers(&offer.element)) {
            reached(offer)?;
            (any, *wanted) = (true, true);
        }
        if !any {
            return Err(unknown(text, &offers));
        }
    }
    let chosen: Vec<_> = offers.into_iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(offer, _)| offer.element).collect();
    one_sort_of_messages(&chosen)?;
    Ok(chosen)
}

/// One element by its exact name.
///
/// # Errors
/// The system has none of that name, or its server is offline.
pub fn named(facts: &Facts, text: &str) -> Result<BackupElement, Refusal> {
    let offers = offers(facts);
    let element: BackupElement = text.parse().map_err(|_| unknown(text, &offers))?;
    let offer = offers.iter().find(|offer| offer.element == element).ok_or_else(|| unknown(text, &offers))?;
    reached(offer)?;
    Ok(element)
}

/// Several elements of a restore by their exact names.
///
/// # Errors
/// As [`named`], none at all, or one twice.
pub fn all_named(facts: &Facts, texts: &[String]) -> Result<Vec<BackupElement>, Refusal> {
    if texts.is_empty() {
        return Err(Refusal::InvalidOrder("no element was named; name at least one".to_owned()));
    }
    let mut elements = Vec::new();
    for text in texts {
        let element = named(facts, text)?;
        if elements.contains(&element) {
            return Err(Refusal::InvalidOrder(format!("{text} was named twice; name it once")));
        }
        elements.push(element);
    }
    one_sort_of_messages(&elements)?;
    Ok(elements)
}

/// Name of the primary.
pub fn primary(facts: &Facts) -> &str {
    facts.servers.iter().find(|server| server.role == ServerRole::Primary).map_or("", |server| server.name.as_str())
}

/// The folders that an element consists of: where they are in its archive, and where on the disk.
pub fn sources(facts: &Facts, content: &Path, element: &BackupElement) -> Vec<(PathBuf, PathBuf)> {
    let home = content.join(content::home(element, primary(facts)));
    if *element != BackupElement::SelectiveVoicemails {
        return vec![(PathBuf::new(), home)];
    }
    let mut mailboxes: Vec<_> = facts.voicemail_backup.mailboxes.iter().map(|mailbox| folder_name::of(mailbox)).collect();
    mailboxes.sort();
    mailboxes.dedup();
    mailboxes.into_iter().map(|mailbox| (PathBuf::from(&mailbox), home.join(&mailbox))).filter(|(_, folder)| folder.is_dir()).collect()
}

fn one_sort_of_messages(elements: &[BackupElement]) -> Result<(), Refusal> {
    if elements.contains(&BackupElement::SelectiveVoicemails) && elements.contains(&BackupElement::AllVoicemails) {
        let text = "SelectiveVoicemails and AllVoicemails hold the same messages; keep one of the two";
        return Err(Refusal::InvalidOrder(text.to_owned()));
    }
    Ok(())
}

fn reached(offer: &Offer) -> Result<(), Refusal> {
    match &offer.offline {
        None => Ok(()),
        Some(server) => Err(Refusal::ServerOffline { element: offer.element.to_string(), server: server.clone() }),
    }
}

fn unknown(asked: &str, offers: &[Offer]) -> Refusal {
    let has: Vec<String> = offers.iter().map(|offer| offer.element.to_string()).collect();
    Refusal::UnknownElement { asked: asked.chars().take(120).collect(), has: has.join(", ") }
}

#[cfg(test)]
mod tests;
