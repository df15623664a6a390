//! Can the AWS SDK for Java in an archive exchange a token?
//!
//! Both generations of the SDK load the part that talks to STS by name at run time, from a module that nothing else needs.
//! Where it is missing, or the SDK is older than web identity, the default chain goes on to the node's role without a
//! word. Archives are read as they are: names of classes, the constants of two of them, and the versions that Maven left
//! behind. Nothing is executed.
//!
//! Applications are judged apart: an STS module in one is of no use to another.

mod class;
mod home;
mod judge;
mod scan;
mod version;

use serde::Serialize;
use std::path::{Path, PathBuf};

/// An archive cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum JarError {
    /// It cannot be read.
    #[error("{path} cannot be read: {error}", path = path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// It is neither an archive nor a directory.
    #[error("{path} is neither an archive nor a directory: {detail}", path = path.display())]
    NoArchive {
        /// The path.
        path: PathBuf,
        /// Why.
        detail: String,
    },
}

/// What an archive says about the AWS SDK for Java.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JarFindings {
    /// The path as it was given.
    pub path: String,
    /// The answer for all generations together.
    pub verdict: JarVerdict,
    /// Each generation that is in it, for each application apart.
    pub sdks: Vec<SdkFinding>,
    /// What could not be looked at. While there is anything, the answer is open.
    pub incomplete: Vec<String>,
    /// How many archives were looked at, nested ones included.
    pub archives: u64,
}

/// Whether an SDK can take part in IRSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JarVerdict {
    /// It can.
    Capable,
    /// It cannot.
    Incapable,
    /// It cannot be told.
    CannotTell,
    /// There is no AWS SDK for Java.
    NoSdk,
}

/// A generation of the SDK: they know nothing of each other's modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Generation {
    /// `com.amazonaws`.
    V1,
    /// `software.amazon.awssdk`.
    V2,
}

/// One generation of the SDK in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SdkFinding {
    /// Which one.
    pub generation: Generation,
    /// The versions that were seen.
    pub versions: Vec<SeenVersion>,
    /// The oldest version that knows web identity.
    pub minimum: String,
    /// Whether the STS module is there.
    pub sts_module: bool,
    /// Where the SDK and its STS module were found.
    pub found_at: Vec<String>,
    /// The answer.
    pub verdict: JarVerdict,
    /// Why, in a sentence.
    pub because: String,
}

/// A version of one module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenVersion {
    /// For example `auth`.
    pub module: String,
    /// For example `2.29.6`.
    pub version: String,
    /// The archive.
    pub at: String,
}

/// Looks at an archive (jar, war, ear, zip, with archives in it) or a directory of them.
///
/// Reads at most a few gigabytes; what lies beyond is named in `incomplete`.
///
/// # Errors
/// If the path cannot be read, or is neither an archive nor a directory.
pub fn inspect_jar(path: &Path) -> Result<JarFindings, JarError> {
    let seen = scan::scan(path)?;
    Ok(judge::judge(path.display().to_string(), seen))
}

impl Generation {
    /// Where the classes of this generation are, unless somebody moved them.
    fn root(self) -> &'static str {
        match self {
            Self::V1 => "com/amazonaws/",
            Self::V2 => "software/amazon/awssdk/",
        }
    }

    fn group(self) -> &'static str {
        match self {
            Self::V1 => "com.amazonaws",
            Self::V2 => "software.amazon.awssdk",
        }
    }

    /// The modules that the chain of credentials rests on; each may hold all the others.
    fn modules(self) -> &'static [&'static str] {
        match self {
            Self::V1 => &["aws-java-sdk-core", "aws-java-sdk-sts", "aws-java-sdk-bundle", "aws-java-sdk"],
            Self::V2 => &["auth", "sdk-core", "sts", "bundle", "aws-sdk-java"],
        }
    }

    fn sts_module(self) -> &'static str {
        match self {
            Self::V1 => "aws-java-sdk-sts",
            Self::V2 => "sts",
        }
    }

    /// The oldest version whose chain has web identity before the node's role, by the EKS user guide.
    fn minimum(self) -> &'static str {
        match self {
            Self::V1 => "1.11.704",
            Self::V2 => "2.10.11",
        }
    }

    /// The end of an entry's name, for the classes that matter.
    fn suffix(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::V1, Kind::Chain) => "auth/DefaultAWSCredentialsProviderChain.class",
            (Self::V1, Kind::Provider) => "auth/WebIdentityTokenCredentialsProvider.class",
            (Self::V1, Kind::Loader) => {
                "auth/profile/internal/securitytoken/STSProfileCredentialsServiceProvider.class"
            }
            (Self::V1, Kind::Target) => "services/securitytoken/internal/STSProfileCredentialsService.class",
            (Self::V1, Kind::Version) => "sdk/versionInfo.properties",
            (Self::V2, Kind::Chain) => "auth/credentials/DefaultCredentialsProvider.class",
            (Self::V2, Kind::Provider) => "auth/credentials/WebIdentityTokenFileCredentialsProvider.class",
            (Self::V2, Kind::Loader) => "auth/credentials/internal/WebIdentityCredentialsUtils.class",
            (Self::V2, Kind::Target) => "services/sts/internal/StsWebIdentityCredentialsProviderFactory.class",
            (Self::V2, Kind::Version) => "core/util/VersionInfo.class",
        }
    }
}

/// The classes that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The default chain of credentials.
    Chain,
    /// The provider in it that knows web identity.
    Provider,
    /// What loads the STS module by name.
    Loader,
    /// The class that it loads.
    Target,
    /// Where the SDK keeps its own version.
    Version,
}

const GENERATIONS: [Generation; 2] = [Generation::V1, Generation::V2];

const KINDS: [Kind; 5] = [Kind::Chain, Kind::Provider, Kind::Loader, Kind::Target, Kind::Version];

#[cfg(test)]
pub(crate) mod tests;
