//! `inspect jar|trust`: findings for build artifacts and policies, without any configuration.

use crate::cli::InspectCommand;
use preflight_report::ExitCode;

pub(crate) fn inspect(_command: &InspectCommand) -> anyhow::Result<ExitCode> {
    anyhow::bail!("waiting for checks/irsa")
}
