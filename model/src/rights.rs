//! Rights of a service user on a system (FLEET-9). The rights group `COM Admin` holds the four that COM needs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Default name of the service user COM signs in as (FLEET-2).
pub const DEFAULT_SERVICE_USER: &str = "COMAdmin";

/// A right that COM needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Right {
    /// `Security Write Own Password`: to set a new password when the system asks for one.
    SecurityWriteOwnPassword,
    /// `Backup`: backup and restore.
    Backup,
    /// `Upgrade`: transfer of software, and upgrades.
    Upgrade,
    /// `Service Monitor Read`: status and alarms.
    ServiceMonitorRead,
}

impl Right {
    /// Every right COM needs, in the order of the manual.
    pub const ALL: [Right; 4] = [Right::SecurityWriteOwnPassword, Right::Backup, Right::Upgrade, Right::ServiceMonitorRead];
}
