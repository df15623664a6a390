//! `eks-preflight`: arguments, configuration, plan, run, report, exit code. What is true is found out by the checks, and
//! what it means is decided in the report crate; nothing is judged here.

mod areas;
mod catalogue;
mod cleanup;
mod cli;
mod commands;
mod config;
mod deliver;
mod deployed;
mod doctor;
mod fetch;
#[cfg(test)]
mod generated;
mod init;
mod inspect;
mod interrupts;
mod manifest;
mod output;
mod overwrite;
mod pattern;
mod plan;
mod progress;
mod reports;
mod rights;
mod run;

use anyhow::Context;
use clap::Parser;
use cli::{Cli, Command};
use interrupts::Interrupts;
use preflight_report::{ExitCode, Reason};
use std::io::IsTerminal;
use std::time::Duration;

/// How long work that ignores its end may hold up the end of the program.
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(500);

/// The fewest threads for checks. With one, as in a container of one processor, a check that blocks would stop the clock
/// that ends it, and signals with it.
const WORKERS_MIN: usize = 4;

fn main() -> std::process::ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        // The message may quote data, secrets included; the place does not.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        output::complain(&format!("internal error at {place}"));
    }));
    let code = match std::panic::catch_unwind(start) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            output::complain(&format!("error: {error:#}"));
            failure_code(&error)
        }
        Err(_) => ExitCode::Internal,
    };
    std::process::ExitCode::from(code.code())
}

/// Everything that is wrong before a run begins is wrong with what this tool was told, unless it says otherwise.
fn failure_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<ToolFailure>() {
        return ExitCode::Internal;
    }
    match deployed::unread(error).map(|unread| unread.why.reason) {
        Some(Reason::Forbidden | Reason::Unreachable | Reason::Timeout | Reason::Unsupported) => {
            ExitCode::NothingReached
        }
        _ => ExitCode::Usage,
    }
}

/// This tool failed, not what it was told.
#[derive(Debug, Clone, Copy)]
struct ToolFailure;

impl std::fmt::Display for ToolFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("eks-preflight itself failed")
    }
}

/// Listens for signals before anything else: one that comes early must find somebody who hears it.
fn start() -> anyhow::Result<ExitCode> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.max(WORKERS_MIN))
        .enable_all()
        .build()
        .map_err(|error| anyhow::Error::new(error).context(ToolFailure))?;
    let done = runtime.block_on(async {
        let interrupts = Interrupts::listen().context(ToolFailure)?;
        match Cli::try_parse() {
            Ok(cli) => command(cli, interrupts).await,
            Err(error) => output::answer(&error),
        }
    });
    runtime.shutdown_timeout(SHUTDOWN_LIMIT);
    done
}

async fn command(cli: Cli, mut interrupts: Interrupts) -> anyhow::Result<ExitCode> {
    // One TLS stack and one crypto provider for every client of every check.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a crypto provider was installed already").context(ToolFailure))?;
    let style = output::Style::of(cli.no_color, std::io::stdout().is_terminal());
    if let Command::Run(args) = cli.command {
        // Alone it has something to do before it ends.
        return run::run(&args, style, interrupts).await;
    }
    let work = tokio::spawn(answer(cli.command, style));
    tokio::select! {
        done = work => done.map_err(|error| anyhow::Error::new(error).context(ToolFailure))?,
        by = interrupts.next() => {
            output::complain(&format!("interrupted by {by}"));
            Ok(ExitCode::Interrupted)
        }
    }
}

/// What every command but `run` does.
async fn answer(command: Command, style: output::Style) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init(args) => init::init(&args).await,
        Command::Lint(args) => commands::lint(&args),
        Command::Plan(args) => commands::plan(&args).await,
        Command::Run(_) => Err(anyhow::anyhow!("`run` is no answer").context(ToolFailure)),
        Command::Report(command) => reports::report(&command, style).await,
        Command::Inspect(command) => inspect::inspect(&command),
        Command::Explain(args) => catalogue::explain(&args),
        Command::List(args) => catalogue::list(&args),
        Command::Schema { of } => commands::schema(of),
        Command::Manifest(args) => manifest::manifest(&args).await,
        Command::Cleanup(args) => cleanup::cleanup(&args).await,
        Command::Doctor(args) => doctor::doctor(&args).await,
        Command::Completions { shell } => commands::completions(shell),
        Command::Man => commands::man(),
    }
}
