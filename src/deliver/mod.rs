//! `run --deliver`: getting the result out of a pod, into which nobody can look. Every route carries the digest of the
//! report's bytes, so that whoever fetches it knows that it is whole.

mod frame;
mod termination;

pub(crate) use frame::frames;
pub(crate) use termination::Message;

use crate::output::{complain, say};
use anyhow::{Context, Result, anyhow, bail};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use preflight_cluster::{Client, ClusterAccess, ResultMap, connect};
use preflight_core::CannotTell;
use preflight_report::{REPORT_BYTES_MAX, Report, sha256_hex, to_json};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// The longest that one delivery over the network may take.
const NETWORK_LIMIT: Duration = Duration::from_secs(20);

/// The longest that the taking away of an earlier result may take.
const CLAIM_LIMIT: Duration = Duration::from_secs(5);

/// The most bytes in a ConfigMap: 1 MiB less what stands beside the report.
const CONFIG_MAP_BYTES_MAX: usize = 1024 * 1024 - 4_096;

/// Where Kubernetes reads the last words of a container.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// The key of the report in a ConfigMap.
pub(crate) const REPORT_KEY: &str = "report.json.gz";

/// One way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The termination message: the verdict and its reasons, not the report.
    Termination(PathBuf),
    /// A frame on standard output.
    Log,
    /// A ConfigMap that is there already.
    ConfigMap { namespace: Option<String>, name: String },
    /// A file on a volume.
    File(PathBuf),
    /// An HTTP PUT. The URL may hold a signature and is not shown whole.
    Put(Url),
}

impl std::str::FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, value) = text.split_once('=').map_or((text, None), |(kind, value)| (kind, Some(value)));
        match (kind, value.filter(|value| !value.is_empty())) {
            ("termination", file) if value.is_none() || file.is_some() => {
                Ok(Self::Termination(file.unwrap_or(TERMINATION_LOG).into()))
            }
            ("log", None) if value.is_none() => Ok(Self::Log),
            ("configmap", Some(name)) => {
                let (namespace, name) = name.split_once('/').map_or((None, name), |(space, name)| (Some(space), name));
                Ok(Self::ConfigMap { namespace: namespace.map(str::to_owned), name: name.to_owned() })
            }
            ("file", Some(path)) => Ok(Self::File(path.into())),
            ("put", Some(url)) => {
                // A signature in it is a secret, and arguments are seen by everybody.
                #[expect(clippy::disallowed_methods, reason = "an argument may name a variable")]
                let url = match url.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
                    Some(name) => std::env::var(name).map_err(|_| format!("the variable `{name}` is not set"))?,
                    None => url.to_owned(),
                };
                let url =
                    Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
                url.map(Self::Put).ok_or_else(|| "put= needs an http or https URL".to_owned())
            }
            _ => {
                let known = "termination, termination=FILE, log, configmap=NAME, file=FILE, put=URL, put=${VARIABLE}";
                Err(format!("expected one of {known}"))
            }
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Termination(path) => write!(f, "termination={}", path.display()),
            Self::Log => f.write_str("log"),
            Self::ConfigMap { namespace: Some(namespace), name } => write!(f, "configmap={namespace}/{name}"),
            Self::ConfigMap { namespace: None, name } => write!(f, "configmap={name}"),
            Self::File(path) => write!(f, "file={}", path.display()),
            Self::Put(url) => {
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                write!(f, "put={}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
            }
        }
    }
}

/// Where results go, and what was said there of the run that began.
pub(crate) struct Delivery<'a> {
    routes: &'a [Route],
    access: &'a ClusterAccess,
    /// The pod that the run is in.
    pod: Option<&'a str>,
    /// The ConfigMaps that have no earlier result any more.
    claimed: Vec<&'a Route>,
}

impl<'a> Delivery<'a> {
    pub(crate) fn new(routes: &'a [Route], access: &'a ClusterAccess, pod: Option<&'a str>) -> Self {
        Self { routes, access, pod, claimed: vec![] }
    }

    /// Takes the earlier results away from where this run's will be: whoever looks there must not find the verdict of another
    /// run. Where that fails, the run goes on: its result is still put there in the end.
    pub(crate) async fn claim(&mut self, run: &str) {
        for route in self.routes {
            let Route::ConfigMap { namespace, name } = route else { continue };
            let claim = async {
                let client = &own_client(self.access).await?;
                let map = ResultMap { client, namespace: namespace.as_deref(), name, key: REPORT_KEY };
                map.claim(run, &TEXT_KEYS).await
            };
            match tokio::time::timeout(CLAIM_LIMIT, claim).await {
                Ok(Ok(())) => self.claimed.push(route),
                Ok(Err(error)) => complain(&format!("warning: --deliver {route}: {error}")),
                Err(_) => {
                    complain(&format!("warning: --deliver {route}: no answer within {} s", CLAIM_LIMIT.as_secs()))
                }
            }
        }
    }

    /// Sends a report out by every route. Whether all of them worked.
    pub(crate) async fn deliver(&self, report: &Report) -> bool {
        if self.routes.is_empty() {
            return true;
        }
        let json = to_json(report);
        let parcel = Parcel { report, sha256: sha256_hex(json.as_bytes()), json };
        let mut arrived = vec![];
        // The termination message comes last: it says where the report is.
        let (last, first): (Vec<_>, Vec<_>) =
            self.routes.iter().partition(|route| matches!(route, Route::Termination(_)));
        for route in first.into_iter().chain(last) {
            match parcel.send(route, self, &arrived).await {
                Ok(()) => arrived.push(route.to_string()),
                Err(error) => complain(&format!("error: --deliver {route}: {error:#}")),
            }
        }
        arrived.len() == self.routes.len()
    }
}

/// In a pod it is the pod's own ServiceAccount that may write there.
async fn own_client(access: &ClusterAccess) -> Result<Client, CannotTell> {
    connect(&ClusterAccess { in_cluster: true, ..access.clone() }).await
}

/// What stands beside the report in a ConfigMap, and the run's id.
const TEXT_KEYS: [&str; 4] = ["pod", "verdict", "sha256", "finishedAt"];

/// A report on its way.
struct Parcel<'a> {
    report: &'a Report,
    json: String,
    sha256: String,
}

impl Parcel<'_> {
    async fn send(&self, route: &Route, delivery: &Delivery<'_>, arrived: &[String]) -> Result<()> {
        match route {
            Route::Termination(path) => {
                let message = Message::of(self.report, &self.sha256, arrived);
                // Kubernetes mounts the file itself, so it can be written to and not replaced.
                std::fs::write(path, message.text()).with_context(|| format!("writing `{}`", path.display()))
            }
            Route::Log => say(&frame::text(&self.report.run.id, &self.sha256, &zipped(&self.json)?)),
            Route::File(path) => Ok(preflight_report::write(path, self.json.as_bytes())?),
            Route::ConfigMap { namespace, name } => {
                self.to_config_map(namespace.as_deref(), name, delivery, delivery.claimed.contains(&route)).await
            }
            Route::Put(url) => self.put(url).await,
        }
    }

    async fn to_config_map(
        &self,
        namespace: Option<&str>,
        name: &str,
        delivery: &Delivery<'_>,
        is_claimed: bool,
    ) -> Result<()> {
        let report = zipped(&self.json)?;
        if report.len() > CONFIG_MAP_BYTES_MAX {
            bail!("the report has {} bytes compressed, and a ConfigMap takes {CONFIG_MAP_BYTES_MAX}", report.len());
        }
        let [pod, verdict, sha256, finished_at] = TEXT_KEYS;
        let text = BTreeMap::from([
            (pod, delivery.pod.unwrap_or_default().to_owned()),
            (verdict, self.report.summary.verdict.to_string()),
            (sha256, self.sha256.clone()),
            (finished_at, self.report.run.finished_at.to_string()),
        ]);
        let put = async {
            let client = &own_client(delivery.access).await?;
            let map = ResultMap { client, namespace, name, key: REPORT_KEY };
            map.put(&self.report.run.id, is_claimed, &text, report).await
        };
        let done = tokio::time::timeout(NETWORK_LIMIT, put).await;
        Ok(done.map_err(|_| anyhow!("no answer within {} s", NETWORK_LIMIT.as_secs()))??)
    }

    async fn put(&self, url: &Url) -> Result<()> {
        // An error of the client quotes the URL.
        let client =
            reqwest::Client::builder().timeout(NETWORK_LIMIT).redirect(reqwest::redirect::Policy::none()).build();
        let request = client?.put(url.clone()).header("content-type", "application/json").body(self.json.clone());
        let answer = request.send().await.map_err(|error| anyhow::Error::new(error.without_url()))?;
        if !answer.status().is_success() {
            bail!("the server answered {}", answer.status());
        }
        Ok(())
    }
}

fn zipped(json: &str) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    encoder.write_all(json.as_bytes())?;
    Ok(encoder.finish()?)
}

/// The report in compressed bytes. What unpacks to more than a report may be is refused.
pub(crate) fn unzipped(bytes: &[u8]) -> Result<String> {
    unzipped_to(REPORT_BYTES_MAX, bytes)
}

fn unzipped_to(bytes_max: usize, bytes: &[u8]) -> Result<String> {
    let mut json = String::new();
    GzDecoder::new(bytes).take(bytes_max as u64 + 1).read_to_string(&mut json)?;
    if json.len() > bytes_max {
        bail!("it is larger than a report may be");
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_read_as_it_is_shown_and_a_signature_is_not_shown() {
        for text in
            ["log", "termination=/tmp/x", "configmap=a", "configmap=ns/a", "file=/v/report.json", "put=http://h:1/p"]
        {
            assert_eq!(text.parse::<Route>().unwrap().to_string(), text);
        }
        assert_eq!("termination".parse::<Route>().unwrap(), Route::Termination(TERMINATION_LOG.into()));
        let signed = "put=https://user:pw@bucket.s3.amazonaws.com/r.json?X-Amz-Signature=abc".parse::<Route>().unwrap();
        assert_eq!(signed.to_string(), "put=https://bucket.s3.amazonaws.com/r.json");
        for wrong in
            ["", "log=x", "log=", "termination=", "configmap", "configmap=", "put=ftp://h/x", "put=x", "mail=me"]
        {
            assert!(wrong.parse::<Route>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_zipped_comes_back_and_a_bomb_does_not() {
        assert_eq!(unzipped(&zipped("{\"a\": 1}").unwrap()).unwrap(), "{\"a\": 1}");
        assert!(unzipped(b"not gzip").is_err());
        let bomb = zipped(&" ".repeat(10_001)).unwrap();
        assert!(bomb.len() < 100 && unzipped_to(10_001, &bomb).is_ok());
        assert!(unzipped_to(10_000, &bomb).unwrap_err().to_string().contains("larger"));
    }
}
