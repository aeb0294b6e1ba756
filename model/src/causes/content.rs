//! What lies on a simulated system's disk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What lies on the system's disk and goes into its backups. It counts when the content is first made: at the first start, and for a server when it
/// first appears. Content of no extension, mailbox and filler is made only once a backup or a restore needs it, so that thousands of such systems
/// take no room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Content {
    /// Extensions, each with a user, from 200 on.
    #[schemars(range(max = 5000))]
    pub extensions: u32,
    /// How many of the extensions have a mailbox.
    #[schemars(range(max = 1000))]
    pub mailboxes: u32,
    /// Messages in each mailbox.
    #[schemars(range(max = 100))]
    pub messages_per_mailbox: u32,
    /// Kilobytes (1000 bytes) of a message.
    #[schemars(range(min = 1, max = 10000))]
    pub message_kilobytes: u32,
    /// Custom prompts of voicemail.
    #[schemars(range(max = 1000))]
    pub prompts: u32,
    /// Kilobytes (1000 bytes) of a prompt.
    #[schemars(range(min = 1, max = 10000))]
    pub prompt_kilobytes: u32,
    /// Megabytes (10^6 bytes) that the configuration of `IPOffice` on the primary has beside what is sensible, to make backups large.
    #[schemars(range(max = 16000))]
    pub filler_megabytes: u32,
}

impl Content {
    /// Whether there is so little that it is made only once it is needed.
    pub fn is_light(&self) -> bool {
        self.extensions == 0 && self.mailboxes == 0 && self.filler_megabytes == 0
    }
}

impl Default for Content {
    fn default() -> Self {
        Self {
            extensions: 24,
            mailboxes: 8,
            messages_per_mailbox: 2,
            message_kilobytes: 8,
            prompts: 4,
            prompt_kilobytes: 16,
            filler_megabytes: 0,
        }
    }
}
