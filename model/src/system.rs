//! What a system consists of (FLEET-2, FLEET-3).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kind of installation, in the manual's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Profile {
    /// A single control unit.
    #[serde(rename = "IP500 V2")]
    Ip500V2,
    /// A network of Linux servers: primary, secondary, expansions and adjuncts.
    #[serde(rename = "Server Edition")]
    ServerEdition,
    /// A contact centre server.
    #[serde(rename = "ACCS")]
    Accs,
}

impl Profile {
    /// As users know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ip500V2 => "IP500 V2",
            Self::ServerEdition => "Server Edition",
            Self::Accs => "ACCS",
        }
    }
}

/// What a server does in its system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ServerRole {
    /// The one that connects to COM; the others are reached through it.
    Primary,
    /// Takes over for the primary. At most one.
    Secondary,
    /// A further call server of a Server Edition network.
    Expansion,
    /// one-X Portal and similar, beside the primary (FLEET-10).
    ApplicationServer,
    /// A Unified Communications Module inside a control unit.
    #[serde(rename = "UCM")]
    Ucm,
}
