//! The servers of the system, the Small Community Network it belongs to, and its phones.

use model::system::ServerRole;
use protocol::message::ServerFacts;

use crate::accounts::Standing;
use crate::causes::Server;
use crate::disk::content;
use crate::log::Kind;
use crate::machine::Machine;

/// Service user that application servers join with (FLEET-10).
const ADJUNCT_SERVER: &str = "Adjunct Server";
/// What phones take when they boot (CUSTOM-5).
const PHONE_SETTINGS: &str = "46xxsettings.txt";

impl Machine {
    /// Servers as reported, the primary first.
    pub(super) fn servers(&self, system_name: &str, address: &str) -> Vec<ServerFacts> {
        let causes = &self.inputs.causes;
        let facts = |name: &str, role, server: Option<&Server>| ServerFacts {
            name: name.to_owned(),
            role,
            version: server.and_then(|server| server.version.clone()).unwrap_or_else(|| causes.software_version.clone()),
            address: server.and_then(|server| server.address.clone()).unwrap_or_else(|| address.to_owned()),
            online: server.is_none_or(|server| server.online) && self.joins(role),
            services: content::services(causes.profile, role).iter().map(|service| service.as_str().to_owned()).collect(),
        };
        let mut servers: Vec<_> = causes.servers.iter().map(|server| facts(&server.name, server.role, Some(server))).collect();
        if servers.is_empty() {
            servers.push(facts(system_name, ServerRole::Primary, None));
        }
        servers.sort_by_key(|server| server.role != ServerRole::Primary);
        servers
    }

    /// Whether a server of that role gets into the system: an application server signs in, a UCM module joins by itself (FLEET-10).
    fn joins(&self, role: ServerRole) -> bool {
        match role {
            ServerRole::ApplicationServer => matches!(self.standing(ADJUNCT_SERVER), Standing::Open { .. }),
            ServerRole::Primary | ServerRole::Secondary | ServerRole::Expansion | ServerRole::Ucm => true,
        }
    }

    /// After a start: the network, and the phones.
    pub(super) fn greet_neighbours(&self) {
        self.greet_network();
        let (phones, content) = (&self.inputs.causes.phones, &self.inputs.causes.content);
        let settings = self.phone_settings();
        for number in 0..phones.count {
            let extension = 200 + number % content.extensions.max(1);
            self.log.line(
                Kind::Phone,
                format_args!(
                    "phone {} of series {}, extension {extension}, booted and took {PHONE_SETTINGS}, {} bytes",
                    number + 1,
                    phones.series.as_str(),
                    settings.len()
                ),
            );
        }
    }

    pub(super) fn greet_network(&self) {
        if let Some(network) = &self.inputs.causes.small_community_network {
            let units = network.units.join(", ");
            self.log.line(Kind::System, format_args!("in the Small Community Network {:?} with {units}", network.name));
        }
    }

    /// The settings file that the system serves its phones, made from its configuration.
    fn phone_settings(&self) -> String {
        let configuration = &self.state.configuration;
        let port = self.inputs.causes.port;
        format!(
            "## {PHONE_SETTINGS} of revision {}\nSET TLSSRVR_PORT {port}\nSET TIMEZONE {}\nSET SNTPSRVR 0.pool.ntp.org\nGET 46xxspecials.txt\n",
            configuration.revision, configuration.time_zone
        )
    }
}
