//! What types alone do not catch in a configuration.

use super::place::Node;
use super::schema::{hint, listed};
use super::{Config, Waiver};
use crate::areas;
use crate::pattern;
use preflight_cluster::Pair;
use preflight_core::{PHASES, Phase, Phases, Timestamp, written};
use std::collections::BTreeSet;
use url::Url;

/// The longest name of a namespace.
pub(crate) const NAMESPACE_MAX: usize = 63;

/// The path of each value that is wrong, and what was expected there.
pub(super) type Problems = Vec<(String, String)>;

/// Everything of that kind. `document` is what is written.
pub(super) fn problems(config: &Config, document: &Node, now: Timestamp) -> Problems {
    let mut problems = Problems::new();
    if config.environment.trim().is_empty() {
        problems.push(("environment".to_owned(), "a name is needed".to_owned()));
    }
    twice("endpoints", config.endpoints.iter().map(|endpoint| endpoint.name.as_str()), &mut problems);
    of_addresses(config, &mut problems);
    of_references(config, document, &mut problems);
    twice("workloads", config.workloads.iter().map(|workload| workload.name.as_str()), &mut problems);
    of_workloads(config, &mut problems);
    of_load(config, &mut problems);
    if let Some(account) = &config.aws.account_id
        && (account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()))
    {
        problems.push(("aws.accountId".to_owned(), format!("`{account}` is not twelve digits; put them in quotes")));
    }
    of_cluster(config, &mut problems);
    problems.extend(config.idempotency.problems());
    problems.extend(config.load.problems());
    if let Err(found) = phases(config) {
        problems.extend(found);
    }
    let ids: Vec<&str> = areas::metas().map(|meta| meta.id).collect();
    for (index, wanted) in config.required.iter().enumerate() {
        if !ids.iter().any(|id| pattern::matches(wanted, id)) {
            let text = format!("no check is called `{wanted}`{}", hint(wanted, ids.iter().copied()));
            problems.push((format!("required[{index}]"), text));
        }
    }
    for (index, waiver) in config.waivers.iter().enumerate() {
        of_waiver(index, waiver, &ids, now, &mut problems);
        let of_the_same = |one: &Waiver| (&one.check, &one.subject) == (&waiver.check, &waiver.subject);
        if let Some(first) = config.waivers[..index].iter().position(of_the_same) {
            let (line, column) = document.nearest(&format!("waivers[{first}]")).at;
            let Waiver { check, subject, .. } = waiver;
            let text = format!("{check} of `{subject}` is waived at {line}:{column} already; keep one of the two");
            problems.push((format!("waivers[{index}].subject"), text));
        }
    }
    problems
}

fn twice<'a>(list: &str, names: impl Iterator<Item = &'a str>, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        let text = match name {
            "" => "a name is needed".to_owned(),
            name if !seen.insert(name) => format!("another one is called `{name}`, too; names must differ"),
            _ => continue,
        };
        problems.push((format!("{list}[{index}].name"), text));
    }
}

fn of_cluster(config: &Config, problems: &mut Problems) {
    let cluster = &config.cluster;
    let mut seen = BTreeSet::new();
    for (index, name) in cluster.namespaces.iter().enumerate() {
        let text = match name {
            name if !is_label(name, NAMESPACE_MAX) => format!("`{name}` is not the name of a namespace"),
            name if !seen.insert(name) => format!("`{name}` stands here twice"),
            _ => continue,
        };
        problems.push((format!("cluster.namespaces[{index}]"), text));
    }
    let mut add = |key: &str, text: &str| problems.push((key.to_owned(), text.to_owned()));
    if cluster.is_source() && !config.manifests.is_empty() {
        add("manifests", "with `cluster.namespaces` the EKS side is read from the cluster; remove one of the two");
    }
    if cluster.uid.is_some() && !cluster.is_source() {
        add(
            "cluster.uid",
            "it is compared where the EKS side is read from the cluster; add `namespaces`, or remove it",
        );
    }
    if cluster.is_source() && cluster.kubeconfig.is_none() && !cluster.in_cluster {
        add("cluster.namespaces", "nothing says how to reach the cluster; add `kubeconfig`, or `inCluster: true`");
    }
}

/// Whether Kubernetes takes it for a label of RFC 1123, as the names of namespaces are.
pub(crate) fn is_label(name: &str, max: usize) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=max).contains(&name.len()) && name.bytes().all(known) && !name.starts_with('-') && !name.ends_with('-')
}

/// Addresses and URLs of servers.
fn of_addresses(config: &Config, problems: &mut Problems) {
    let mut address = |path: String, text: &str| {
        if preflight_connections::settings::is_address(text) {
            return;
        }
        let expected = "expected `host` or `host:port` with a port from 1 to 65535";
        problems.push((path, format!("{expected}, got {}", without_account(text))));
    };
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        address(format!("endpoints[{index}].address"), &endpoint.address);
        for (at, alias) in endpoint.aliases.iter().enumerate() {
            address(format!("endpoints[{index}].aliases[{at}]"), alias);
        }
        if let Some(text) = endpoint.observer.as_ref().and_then(|observer| observer.address.as_ref()) {
            address(format!("endpoints[{index}].observer.address"), text);
        }
    }
    let mut url = |path: String, text: &Option<String>| {
        let Some(text) = text.as_ref().filter(|text| !is_url(text)) else { return };
        let expected = "expected `http://` or `https://`, a host and perhaps a port, without an account";
        problems.push((path, format!("{expected}; got {}", without_account(text))));
    };
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        url(format!("endpoints[{index}].management"), &endpoint.management);
        url(format!("endpoints[{index}].jolokia"), &endpoint.jolokia);
    }
    let of_aws = &config.aws.endpoints;
    for (service, text) in [("sts", &of_aws.sts), ("iam", &of_aws.iam), ("eks", &of_aws.eks), ("sqs", &of_aws.sqs)] {
        url(format!("aws.endpoints.{service}"), text);
    }
}

fn is_url(text: &str) -> bool {
    let is_plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.username().is_empty()
            && url.password().is_none()
    };
    Url::parse(text).is_ok_and(|url| is_plain(&url))
}

/// A value for people; a URL may hold a password.
fn without_account(text: &str) -> String {
    if text.contains('@') { "one with an account".to_owned() } else { format!("`{}`", written::masked(text)) }
}

/// Whatever is called `endpoint` names one.
fn of_references(config: &Config, document: &Node, problems: &mut Problems) {
    let known = || config.endpoints.iter().map(|endpoint| endpoint.name.as_str());
    document.each("", &mut |path, node| {
        let Some(name) = node.text().filter(|name| path.ends_with(".endpoint") && !name.contains('$')) else { return };
        if !known().any(|known| known == name) {
            problems.push((path.to_owned(), format!("no endpoint is called `{name}`{}", hint(name, known()))));
        }
    });
}

fn of_workloads(config: &Config, problems: &mut Problems) {
    for (index, workload) in config.workloads.iter().enumerate() {
        if let Some(eks) = &workload.eks
            && eks != Pair::NONE
            && eks.split('/').filter(|part| !part.is_empty()).count() != 3
        {
            let text =
                format!("`{eks}` is not `namespace/Kind/name`, for example `shop/Deployment/orders`, nor `none`");
            problems.push((format!("workloads[{index}].eks"), text));
        }
    }
}

/// The workloads that targets name.
fn of_load(config: &Config, problems: &mut Problems) {
    let known = || config.workloads.iter().map(|workload| workload.name.as_str());
    for (index, target) in config.load.targets.iter().enumerate() {
        for (at, name) in target.workloads.iter().enumerate().filter(|(_, name)| !known().any(|one| one == *name)) {
            let text = format!("`workloads` lists none that is called `{name}`{}", hint(name, known()));
            problems.push((format!("load.targets[{index}].workloads[{at}]"), text));
        }
    }
}

fn of_waiver(index: usize, waiver: &Waiver, ids: &[&str], now: Timestamp, problems: &mut Problems) {
    let mut add = |key: &str, text: String| problems.push((format!("waivers[{index}].{key}"), text));
    if !ids.contains(&waiver.check.as_str()) {
        add("check", format!("no check is called `{}`{}", waiver.check, hint(&waiver.check, ids.iter().copied())));
    }
    if waiver.expires <= now {
        add(
            "expires",
            format!("this waiver of {} ended at {}; decide anew or remove it", waiver.check, waiver.expires),
        );
    }
    for (key, value) in [("subject", &waiver.subject), ("owner", &waiver.owner), ("reason", &waiver.reason)] {
        if value.trim().is_empty() {
            add(key, "must not be empty".to_owned());
        }
    }
}

/// The phases, built-in or of its own.
pub(super) fn phases(config: &Config) -> Result<Phases, Problems> {
    if config.phases.is_empty() {
        return Ok(Phases::default());
    }
    let mut problems = Problems::new();
    twice("phases", config.phases.iter().map(|phase| phase.name.as_str()), &mut problems);
    let mut own: Vec<(String, Phase)> = vec![];
    for (index, phase) in config.phases.iter().enumerate() {
        let before = own.last().map(|(name, like)| (name.clone(), *like));
        match phase.like.parse() {
            // Readers of a report know the built-in names, and what they stand for.
            Ok(like) if phase.name.parse().is_ok_and(|known: Phase| known != like) => {
                let text =
                    format!("`{0}` is a built-in phase and like `{0}`; give yours a name of its own", phase.name);
                problems.push((format!("phases[{index}].like"), text));
            }
            Ok(like) => {
                own.push((phase.name.clone(), like));
                // Checks that decided in an earlier step would not any more.
                if let Some((name, earlier)) = before.filter(|(_, earlier)| like < *earlier) {
                    let text = format!("a phase after `{name}` must not be like one before `{earlier}`");
                    problems.push((format!("phases[{index}].like"), text));
                }
            }
            Err(()) => {
                let words: Vec<&str> = PHASES.iter().map(|(_, word)| *word).collect();
                let near = hint(&phase.like, words.iter().copied());
                let text = format!("unknown phase `{}`, expected one of {}{near}", phase.like, listed(&words));
                problems.push((format!("phases[{index}].like"), text));
            }
        }
    }
    if problems.is_empty() && own.last().is_some_and(|(_, like)| *like < Phase::Traffic100) {
        let text = "the last phase must be like `traffic-100` or `scaled-down`, with every check that decides then";
        problems.push((format!("phases[{}].like", own.len() - 1), text.to_owned()));
    }
    if problems.is_empty() { Ok(Phases::new(own)) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use crate::config::Without;
    use crate::config::tests::{mistakes, read_without};

    /// A configuration with a target that names two workloads, and with these.
    fn with(names: &str) -> String {
        let target = "{name: shop, url: 'https://eks.a.test', rate: 5, slo: {p50Ms: 5}, requests: [{path: /}], \
                      served: {header: h, eks: e, ecs: c}, workloads: [orders, card]}";
        format!("environment: lab\nworkloads: [{names}]\nload: {{targets: [{target}]}}\n")
    }

    #[test]
    fn a_target_names_workloads_that_are_listed() {
        assert_eq!(mistakes(&with("{name: orders}, {name: card}")), "no mistake");
        let found = mistakes(&with("{name: orders}, {name: cart}"));
        let text = "load.targets[0].workloads[1]: `workloads` lists none that is called `card`; did you mean `cart`?";
        assert!(found.contains(":3:") && found.contains(text), "{found}");
    }

    #[test]
    fn a_workload_whose_name_is_open_may_be_the_one_that_is_meant() {
        assert!(read_without(Without::Variables, &with("{name: orders}, {name: '${A}'}"), &[]).is_ok());
    }
}
