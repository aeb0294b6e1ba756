//! What goes wrong with a simulated system's disk, transfers and software.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What goes wrong with disk and transfers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Faults {
    /// Megabytes (10^6 bytes) of the system's disk. What it holds already counts, also the log; as large as the machine's own where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub disk_megabytes: Option<u32>,
    /// Most kilobytes (1000 bytes) a second that the system packs; as fast as it can where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub packing_kilobytes_per_second: Option<u32>,
    /// The way between the system and the object store.
    pub transfers: Transfers,
    /// Whether all that the system says to COM is no message of the protocol, as from damaged software.
    pub garbled_messages: bool,
    /// A restart in the middle of a backup or a restore, without a goodbye.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reboot_during: Option<RebootDuring>,
}

/// The way between the system and the object store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Transfers {
    /// Most kilobytes (1000 bytes) a second of all transfers together; as fast as they can where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub kilobytes_per_second: Option<u32>,
    /// Transfers whose connection breaks.
    #[serde(rename = "break", skip_serializing_if = "Option::is_none")]
    pub breaks: Option<Break>,
    /// The first byte of each part that is put arrives as another one.
    pub corrupt: bool,
}

/// Transfers whose connection breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Break {
    /// Kilobytes (1000 bytes) after which the connection breaks, of each part that is put and each element that is fetched.
    #[schemars(range(max = 100_000_000))]
    pub after_kilobytes: u32,
    /// Any text. With it one transfer breaks each time it changes; without it every one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub token: Option<String>,
}

/// A restart in the middle of a backup or a restore, without a goodbye, as when the power fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RebootDuring {
    /// In the middle of what.
    pub work: Work,
    /// Kilobytes (1000 bytes) of that work after which it comes.
    #[serde(default)]
    #[schemars(range(max = 100_000_000))]
    pub after_kilobytes: u32,
    /// Any text. The system restarts once each time it changes.
    #[schemars(length(min = 1, max = 64))]
    pub token: String,
    /// Seconds the system is away.
    #[serde(default = "default_power_cut")]
    #[schemars(range(max = 86400))]
    pub outage_seconds: u32,
}

/// A part of a backup or a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Work {
    /// Elements are packed.
    Packing,
    /// Parts are put into the store.
    Upload,
    /// An element is fetched from the store.
    Fetch,
    /// Fetched elements are unpacked, before they replace what is in use.
    Unpacking,
    /// Fetched elements replace what is in use: some are in place, others are not. Kilobytes do not count here.
    Replacing,
}

fn default_power_cut() -> u32 {
    3
}
