//! The program `switchboard`: arguments and wiring only, one file a subcommand.

mod arguments;
mod commands;
mod demo;
mod manifests;
mod operator;
mod plane;
mod plane_metrics;
mod store;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser as _;

fn main() -> ExitCode {
    // The launcher becomes another program: nothing else may start before it.
    if let Some(arguments) = commands::launcher::called() {
        embedded::node::launcher_main(arguments);
    }
    let result = match Arguments::parse().command {
        Command::Up(options) => commands::up::run(options),
        Command::Operator(options) => commands::operator::run(options),
        Command::Simulate(options) => commands::simulate::run(options),
        Command::Fleet(options) => commands::fleet::run(options),
        Command::Crds(options) => commands::crds::run(&options),
        Command::Catalogue(options) => commands::catalogue::run(&options),
        Command::Verify(options) => commands::verify::run(&options),
        Command::Store(options) => commands::store::run(options),
        Command::SupportBundle(options) => commands::support_bundle::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            commands::report(error.as_ref());
            commands::exit_code(error.as_ref())
        }
    }
}
