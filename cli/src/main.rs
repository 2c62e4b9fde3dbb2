//! `switchboard`: the whole bundle in one process, and the commands around it.

mod bundle;
mod bus;
mod deliveries;
mod demo;
mod dev;
mod redrive;
mod routes;
mod routes_file;
mod samples;
mod schema;
mod send;
mod serve;
mod start;
mod world;

use clap::{Parser, Subcommand};
use shared::telemetry;

/// The other side of Sentry's Integration Platform.
#[derive(Parser)]
#[command(name = "switchboard", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Dev(dev::Dev),
    Send(send::Send),
    Serve(serve::Serve),
    #[command(subcommand)]
    Routes(routes::Routes),
    Schema(schema::Schema),
    #[command(subcommand)]
    Deliveries(deliveries::Deliveries),
    Redrive(redrive::Redrive),
}

/// `… | head` closes the pipe before everything is said: no reason for a backtrace.
fn end_quietly_with_the_reader() {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or_default();
        if said.starts_with("failed printing to stdout") && said.contains("Broken pipe") {
            std::process::exit(0);
        }
        otherwise(panic);
    }));
}

fn main() -> std::process::ExitCode {
    end_quietly_with_the_reader();
    let command = Cli::parse().command;
    // The demo tells its own story; only what goes wrong may stand between its lines.
    let level = if matches!(command, Command::Demo(_)) { "error" } else { "info" };
    telemetry::init(telemetry::Format::Text, level);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(async {
        match command {
            Command::Demo(demo) => demo.run().await,
            Command::Dev(dev) => dev.run().await,
            Command::Send(send) => send.run().await,
            Command::Serve(serve) => serve.run().await,
            Command::Routes(routes) => routes.run().await,
            Command::Schema(schema) => schema.run(),
            Command::Deliveries(deliveries) => deliveries.run().await,
            Command::Redrive(redrive) => redrive.run().await,
        }
    });
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// One line: what is wrong, and why.
fn fail(error: &anyhow::Error) -> std::process::ExitCode {
    eprintln!("switchboard: {error:#}");
    std::process::ExitCode::FAILURE
}
