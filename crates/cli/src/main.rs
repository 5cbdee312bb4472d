//! `tieout`: the command line, for a local stack and for AWS alike.

mod args;
mod artifact;
mod batch;
mod download;
mod error;
mod feed;
mod follow;
mod installation;
mod job;
mod ledgers;
mod operations;
mod output;
mod progress;
mod reference;
mod rejects;
mod run;
mod submit;
mod view;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;
use error::Failure;
use installation::Installation;
use output::Output;

#[tokio::main]
async fn main() -> ExitCode {
    let Args { target, json, command } = Args::parse();
    let output = Output { json };
    let local = target.is_local();
    let end = async {
        match command {
            Command::Operations { operation } => operations::perform(operation.as_deref(), output),
            command => perform(command, &Installation::connect(target).await?, output).await,
        }
    }
    .await;
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message(local) {
                output::note(&message);
            }
            failure.exit_code()
        }
    }
}

async fn perform(command: Command, installation: &Installation, output: Output) -> Result<(), Failure> {
    match command {
        Command::Feed(command) => feed::perform(command, installation, output).await,
        Command::Reference(command) => reference::perform(command, installation, output).await,
        Command::Submit(command) => submit::perform(command, installation, output).await,
        Command::Run(command) => run::perform(command, installation, output).await,
        Command::Watch(command) => run::watch(command, installation, output).await,
        Command::Ledger(command) => ledgers::perform(command, installation, output).await,
        Command::Batch(command) => batch::perform(command, installation, output).await,
        Command::Artifact(command) => artifact::perform(command, installation, output).await,
        Command::Job(command) => job::perform(command, installation, output).await,
        Command::Operations { operation } => operations::perform(operation.as_deref(), output),
    }
}
