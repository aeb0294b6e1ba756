//! `switchboard simulate`: one simulated telephone system.

use simulator::{Options, SimulateArguments};
use tokio_util::sync::CancellationToken;

use super::{CommandResult, block_on, stop_on_signals};
use crate::arguments::SimulateOptions;

/// Runs it.
pub fn run(options: SimulateOptions) -> CommandResult {
    block_on(async {
        let shutdown = CancellationToken::new();
        stop_on_signals(&shutdown)?;
        // A folder of passwords that is not there is an empty one: no account has a password.
        let passwords = options.passwords.unwrap_or_else(|| options.subscription.join("passwords"));
        let arguments = SimulateArguments {
            causes: options.causes,
            subscription: options.subscription,
            passwords,
            data: options.data,
            listen: options.listen,
            options: Options::default(),
        };
        Ok(simulator::run(arguments, shutdown).await?)
    })
}
