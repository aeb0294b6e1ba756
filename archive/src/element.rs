//! What a backup may hold (BACKUP-1, BACKUP-3, BACKUP-6), and how people name it: in `spec.elements` of a `Backup` or `Restore`, in status, and
//! in manifests.
//!
//! | text | element |
//! |---|---|
//! | `Configuration/<service>/<server>` | configuration of one service on one server |
//! | `VoicemailConfiguration` | configuration of the voicemail service |
//! | `CustomPrompts` | the custom prompts folder of voicemail |
//! | `SelectiveVoicemails` | messages of the mailboxes that are selected on the system |
//! | `AllVoicemails` | messages of all mailboxes |
//!
//! A [`Selection`] is such a text or its beginning: `Configuration` means every service on every server, `Configuration/IPOffice` one service on
//! every server.

use std::fmt;
use std::str::FromStr;

use model::switches::VoicemailBackup;
use model::system::Profile;
use serde::{Deserialize, Serialize};

/// Longest name of a server, in characters.
pub const LONGEST_SERVER_NAME: usize = 64;

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$each])* #[serde(rename = $text)] $variant),* }
        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
            /// As users write it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
            /// From what users write.
            pub fn from_text(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|each| each.as_str() == text)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// A service whose configuration is backed up. Voicemail is not among them: its parts are elements of their own.
    Service {
        /// Telephony itself: users, lines, extensions.
        IpOffice = "IPOffice",
        /// The server's own settings: network, time, certificates.
        ServerSettings = "ServerSettings",
        /// one-X Portal.
        OneXPortal = "OneXPortal",
        /// Media Manager: its configuration, never its recordings (BACKUP-3).
        MediaManager = "MediaManager",
        /// The WebRTC gateway.
        WebRtcGateway = "WebRTCGateway",
        /// Web collaboration.
        WebCollaboration = "WebCollaboration",
        /// WebLM, the licence manager.
        WebLicenseManager = "WebLM",
    }
}

names! {
    /// What sort of content an element is.
    ElementKind {
        /// Configuration of services and servers.
        Configuration = "Configuration",
        /// Configuration of the voicemail service.
        VoicemailConfiguration = "VoicemailConfiguration",
        /// The custom prompts folder of voicemail.
        CustomPrompts = "CustomPrompts",
        /// Messages of the selected mailboxes.
        SelectiveVoicemails = "SelectiveVoicemails",
        /// Messages of all mailboxes.
        AllVoicemails = "AllVoicemails",
    }
}

names! {
    /// Why a backup was made; decides what may be in it and how long it stays.
    Occasion {
        /// A person ordered it (BACKUP-1).
        Manual = "Manual",
        /// A schedule made it (BACKUP-2).
        Automatic = "Automatic",
    }
}

impl ElementKind {
    /// Name of the kind in object keys: lower case, with `-`.
    pub fn in_keys(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::VoicemailConfiguration => "voicemail-configuration",
            Self::CustomPrompts => "custom-prompts",
            Self::SelectiveVoicemails => "selective-voicemails",
            Self::AllVoicemails => "all-voicemails",
        }
    }
    /// From its name in object keys.
    pub fn from_keys(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.in_keys() == text)
    }
}

/// Why a text names no element and no selection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseElementError {
    /// The first word is not known.
    #[error(
        "{0:?} is no element of a backup; use Configuration, VoicemailConfiguration, CustomPrompts, SelectiveVoicemails or AllVoicemails; if a newer Switchboard wrote it, use that version"
    )]
    Unknown(String),
    /// The service is not known.
    #[error(
        "{0:?} is no service with a configuration of its own; use IPOffice, ServerSettings, OneXPortal, MediaManager, WebRTCGateway, WebCollaboration or WebLM; if a newer Switchboard wrote it, use that version"
    )]
    UnknownService(String),
    /// Service or server are missing where one certain element is meant.
    #[error("{0:?} names no single element; write Configuration/<service>/<server>, for example Configuration/IPOffice/HQ")]
    Incomplete(String),
    /// Something follows that has no meaning.
    #[error("{0:?} has more to it than a voicemail element takes; write {1} alone, because it stands for the whole system")]
    Excess(String, ElementKind),
    /// The server name cannot be one.
    #[error(
        "{0:?} is no name of a server; it has 1 to {LONGEST_SERVER_NAME} characters, no control characters, and no blank at either end"
    )]
    Server(String),
}

fn excerpt(text: &str) -> String {
    text.chars().take(120).collect()
}

/// Name of a server as the system reports it. Any characters but control characters, also `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerName(String);

impl ServerName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl FromStr for ServerName {
    type Err = ParseElementError;
    fn from_str(text: &str) -> Result<Self, ParseElementError> {
        let length = text.chars().take(LONGEST_SERVER_NAME + 1).count();
        let good = (1..=LONGEST_SERVER_NAME).contains(&length) && text.trim() == text && !text.chars().any(char::is_control);
        if good { Ok(Self(text.to_owned())) } else { Err(ParseElementError::Server(excerpt(text))) }
    }
}

/// One element of a backup: one object in the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum BackupElement {
    /// Configuration of one service on one server.
    Configuration(Service, ServerName),
    /// Configuration of the voicemail service.
    VoicemailConfiguration,
    /// The custom prompts folder of voicemail.
    CustomPrompts,
    /// Messages of the selected mailboxes.
    SelectiveVoicemails,
    /// Messages of all mailboxes.
    AllVoicemails,
}

impl BackupElement {
    /// Its sort of content.
    pub fn kind(&self) -> ElementKind {
        match self {
            Self::Configuration(..) => ElementKind::Configuration,
            Self::VoicemailConfiguration => ElementKind::VoicemailConfiguration,
            Self::CustomPrompts => ElementKind::CustomPrompts,
            Self::SelectiveVoicemails => ElementKind::SelectiveVoicemails,
            Self::AllVoicemails => ElementKind::AllVoicemails,
        }
    }
}

/// An element or, for configuration, all that begin alike. An order for a backup or a restore is a list of these.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Selection {
    /// Every service on every server.
    AllConfiguration,
    /// One service on every server that has it.
    ConfigurationOf(Service),
    /// Exactly this element.
    Element(BackupElement),
}

impl Selection {
    /// Whether `element` is meant.
    pub fn covers(&self, element: &BackupElement) -> bool {
        match self {
            Self::AllConfiguration => element.kind() == ElementKind::Configuration,
            Self::ConfigurationOf(service) => matches!(element, BackupElement::Configuration(of, _) if of == service),
            Self::Element(exactly) => exactly == element,
        }
    }
    /// The sort of content it selects.
    pub fn kind(&self) -> ElementKind {
        match self {
            Self::AllConfiguration | Self::ConfigurationOf(_) => ElementKind::Configuration,
            Self::Element(element) => element.kind(),
        }
    }
}

impl FromStr for Selection {
    type Err = ParseElementError;
    fn from_str(text: &str) -> Result<Self, ParseElementError> {
        let (first, rest) = text.split_once('/').map_or((text, None), |(first, rest)| (first, Some(rest)));
        let kind = ElementKind::from_text(first).ok_or_else(|| ParseElementError::Unknown(excerpt(text)))?;
        let whole = |element| match rest {
            None => Ok(Self::Element(element)),
            Some(_) => Err(ParseElementError::Excess(excerpt(text), kind)),
        };
        match kind {
            ElementKind::Configuration => rest.map_or(Ok(Self::AllConfiguration), configuration),
            ElementKind::VoicemailConfiguration => whole(BackupElement::VoicemailConfiguration),
            ElementKind::CustomPrompts => whole(BackupElement::CustomPrompts),
            ElementKind::SelectiveVoicemails => whole(BackupElement::SelectiveVoicemails),
            ElementKind::AllVoicemails => whole(BackupElement::AllVoicemails),
        }
    }
}

fn configuration(rest: &str) -> Result<Selection, ParseElementError> {
    let (service, server) = rest.split_once('/').map_or((rest, None), |(service, server)| (service, Some(server)));
    let service = Service::from_text(service).ok_or_else(|| ParseElementError::UnknownService(excerpt(service)))?;
    match server {
        None => Ok(Selection::ConfigurationOf(service)),
        Some(server) => Ok(Selection::Element(BackupElement::Configuration(service, server.parse()?))),
    }
}

impl FromStr for BackupElement {
    type Err = ParseElementError;
    fn from_str(text: &str) -> Result<Self, ParseElementError> {
        match text.parse()? {
            Selection::Element(element) => Ok(element),
            Selection::AllConfiguration | Selection::ConfigurationOf(_) => Err(ParseElementError::Incomplete(excerpt(text))),
        }
    }
}

impl fmt::Display for BackupElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(service, server) => write!(f, "{}/{service}/{}", self.kind(), server.as_str()),
            other => other.kind().fmt(f),
        }
    }
}
impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllConfiguration => ElementKind::Configuration.fmt(f),
            Self::ConfigurationOf(service) => write!(f, "{}/{service}", ElementKind::Configuration),
            Self::Element(element) => element.fmt(f),
        }
    }
}

macro_rules! text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = ParseElementError;
            fn try_from(text: String) -> Result<Self, ParseElementError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    )*};
}
text!(BackupElement, Selection);

/// Why something cannot be backed up from a system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElementRefused {
    /// The system has no such thing to back up.
    #[error("{selection} cannot be backed up from a system of profile {profile}, which gives {offers}; take it out of elements", profile = profile.as_str(), offers = offers(*profile))]
    Profile {
        /// What was asked for.
        selection: Selection,
        /// Of what.
        profile: Profile,
    },
    /// Automatic backups take selected mailboxes only (BACKUP-6).
    #[error(
        "AllVoicemails cannot be in an automatic backup, which takes messages of selected mailboxes only; use SelectiveVoicemails, or a manual backup"
    )]
    AutomaticAllVoicemails,
    /// Both sorts of messages at once.
    #[error(
        "SelectiveVoicemails and AllVoicemails cannot be in one backup, because the messages would be in it twice; keep one of the two"
    )]
    VoicemailsTwice,
    /// The same twice.
    #[error("{0} is there twice; keep it once")]
    Twice(Selection),
}

fn offers(profile: Profile) -> &'static str {
    match profile {
        Profile::Ip500V2 => "Configuration or Configuration/IPOffice only",
        Profile::Accs => "Configuration only",
        Profile::ServerEdition => "all elements",
    }
}

/// Whether a system of `profile` can give what `selection` asks for. An IP500 V2 gives its own configuration only (BACKUP-6); an ACCS, on which
/// the seeds are silent, the configuration of its services; a Server Edition network everything.
pub fn offered(profile: Profile, selection: &Selection) -> bool {
    match profile {
        Profile::ServerEdition => true,
        Profile::Accs => selection.kind() == ElementKind::Configuration,
        Profile::Ip500V2 => match selection {
            Selection::AllConfiguration => true,
            Selection::ConfigurationOf(service) | Selection::Element(BackupElement::Configuration(service, _)) => {
                *service == Service::IpOffice
            }
            Selection::Element(_) => false,
        },
    }
}

/// Every reason why `selections` cannot be ordered from a system of `profile`; empty where they can.
pub fn refusals(profile: Profile, occasion: Occasion, selections: &[Selection]) -> Vec<ElementRefused> {
    let mut refused = Vec::new();
    for (at, selection) in selections.iter().enumerate() {
        if selections[..at].contains(selection) {
            refused.push(ElementRefused::Twice(selection.clone()));
        } else if !offered(profile, selection) {
            refused.push(ElementRefused::Profile { selection: selection.clone(), profile });
        }
    }
    let has = |kind| selections.iter().any(|selection| selection.kind() == kind);
    if has(ElementKind::AllVoicemails) && occasion == Occasion::Automatic {
        refused.push(ElementRefused::AutomaticAllVoicemails);
    }
    if has(ElementKind::AllVoicemails) && has(ElementKind::SelectiveVoicemails) {
        refused.push(ElementRefused::VoicemailsTwice);
    }
    refused
}

/// What an automatic backup holds (BACKUP-6): all configuration, and of voicemail what the system's own options say (BACKUP-3).
pub fn automatic(profile: Profile, voicemail: &VoicemailBackup) -> Vec<Selection> {
    let parts = [
        (voicemail.configuration, BackupElement::VoicemailConfiguration),
        (voicemail.custom_prompts, BackupElement::CustomPrompts),
        (voicemail.selective_mailboxes && !voicemail.mailboxes.is_empty(), BackupElement::SelectiveVoicemails),
    ];
    let parts = parts.into_iter().filter(|(on, _)| *on).map(|(_, element)| Selection::Element(element));
    std::iter::once(Selection::AllConfiguration).chain(parts).filter(|selection| offered(profile, selection)).collect()
}

/// What a manual backup holds whose order names nothing: all but messages, which a person asks for by name.
pub fn manual_default(profile: Profile) -> Vec<Selection> {
    [
        Selection::AllConfiguration,
        Selection::Element(BackupElement::VoicemailConfiguration),
        Selection::Element(BackupElement::CustomPrompts),
    ]
    .into_iter()
    .filter(|selection| offered(profile, selection))
    .collect()
}

#[cfg(test)]
mod tests;
