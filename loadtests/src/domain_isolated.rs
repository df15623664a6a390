//! Does the isolated domain reach EKS and nothing else?
//!
//! Load on a domain that still reaches ECS would hit production, and what it showed would be true of the wrong side. Each
//! answer names its side in a response header that the two sides, or their load balancers, set differently. Every request
//! has a connection and a name resolution of its own, because weighted records and listener rules decide anew each time.
//!
//! A header that always says `eks` would prove nothing. So the same requests go to the domain that ECS alone serves, and
//! at least one of its answers must say `ecs`: that shows that the header can tell. Before traffic moves, this domain is
//! production itself, and an answer of EKS there means that customers already reach the new side.

use crate::Env;
use crate::ended::Side;
use crate::http::{self, Connections, Told};
use crate::settings::{Method, Origin, Request, Served, Target};
use preflight_core::{CannotTell, Check, Disruption, Entry, Evidence, Finding, Item, Levels, Meta, Reason, Run, Scope};
use reqwest::Client;

/// How many requests each domain gets.
const REQUESTS: usize = 10;

/// So many requests without an answer, one after the other, are enough.
const SILENT_MAX: usize = 2;

pub(crate) const META: Meta = Meta {
    id: "load.domain-isolated",
    title: "The isolated domain reaches EKS alone",
    proves: "Ten requests to the isolated domain, each on a connection of its own, were all answered by EKS, and the \
             header that says so names ECS on the domain that ECS serves.",
    fails_when: "ECS answered a request to the isolated domain, or EKS answered one to the domain that ECS alone should \
                 serve (`production`).",
    unknown_when: "The isolated domain does not answer; an answer names neither side, or EKS and something else; a cache \
                   answered, as an `Age` above 0 or a header such as `X-Cache`, `Cache-Status` or `CF-Cache-Status` with \
                   `hit` tells; `production` is missing, or none of its \
                   answers names ECS, so that nothing shows that the header can tell the sides apart.",
    fix: "Point the isolated host name at the load balancer of the cluster alone (Route 53: one simple record, no weights), \
          give it a listener rule on its host header that forwards to the EKS target group alone, and let both sides set \
          the response header of `served`.",
    permissions: &[],
    disruption: Disruption::Connects,
    levels: Levels::required(),
    limit_ms: 120_000,
    max_age_ms: 1_800_000,
};

/// One target.
pub(crate) struct DomainIsolated {
    target: Target,
}

pub(crate) const ENTRY: Entry<Env> = Entry { meta: &META, items };

fn items(env: &Env) -> Vec<Item> {
    let item = |target: &Target| {
        Item::planned(&target.name, vec![target.name.clone()], DomainIsolated { target: target.clone() })
    };
    env.settings.targets.iter().map(item).collect()
}

impl Check for DomainIsolated {
    fn run<'a>(&'a self, scope: &'a Scope) -> Run<'a> {
        Box::pin(async move {
            let target = &self.target;
            let client = http::client(target, Connections::Fresh)?;
            let isolated = ask(&client, target, &target.url, scope).await?;
            let control = match &target.production {
                Some(production) => Some(ask(&client, target, production, scope).await?),
                None => None,
            };
            assess(target, &isolated, control.as_deref())
        })
    }
}

/// Sends harmless requests to a domain.
async fn ask(client: &Client, target: &Target, origin: &Origin, scope: &Scope) -> Result<Vec<Told>, CannotTell> {
    let request = http::prepare(origin, &harmless(target), scope.run_id())?;
    let mut all = vec![];
    while all.len() < REQUESTS {
        let Some(request) = request.try_clone() else { break };
        all.push(http::probe(client, request, &target.served, None, scope).await?);
        if all.iter().rev().take_while(|told| told.side().is_none()).count() >= SILENT_MAX {
            break;
        }
    }
    Ok(all)
}

/// The first request of the mix that changes nothing, or the start page.
fn harmless(target: &Target) -> Request {
    let start_page = || Request {
        method: Method::Get,
        path: "/".into(),
        weight: 1,
        body: None,
        headers: Default::default(),
        expect: Default::default(),
    };
    target.requests.iter().find(|request| request.method.changes_nothing()).cloned().unwrap_or_else(start_page)
}

fn assess(target: &Target, isolated: &[Told], control: Option<&[Told]>) -> Result<Vec<Finding>, CannotTell> {
    let Target { url, served, .. } = target;
    // What a cache says was true of an earlier time.
    let of =
        |all: &[Told], side| all.iter().filter(|told| told.side() == Some(side) && told.cached().is_none()).count();
    let mut unmet = vec![];
    if of(isolated, Side::Ecs) > 0 {
        let observed = format!("ECS answered {} of {} requests to {url}", of(isolated, Side::Ecs), isolated.len());
        unmet.push(
            Finding::unmet(observed, format!("EKS alone answers {url}"))
                .with(evidence(url, served, isolated))
                .fix(format!(
                    "Look for a weighted Route 53 record of {}, a listener rule on its host header that forwards to the \
                     ECS target group too, or a default action that does.",
                    url.host()
                )),
        );
    }
    if let (Some(control), Some(production)) = (control, &target.production)
        && of(control, Side::Eks) > 0
    {
        let observed = format!("EKS answered {} of {} requests to {production}", of(control, Side::Eks), control.len());
        unmet.push(
            Finding::unmet(observed, format!("ECS alone answers {production}"))
                .with(evidence(production, served, control))
                .fix(format!(
                    "Before traffic moves: take EKS out of the listener rule or the weighted Route 53 record of {}. From \
                     the first percent on: let `production` name a host that ECS alone serves.",
                    production.host()
                )),
        );
    }
    if !unmet.is_empty() {
        return Ok(unmet);
    }
    no_cache(target, isolated, control)?;
    let answered = isolated.iter().filter(|told| told.side().is_some()).count();
    if answered == 0 {
        return Err(CannotTell::unreachable(format!("{url} did not answer: {}", words(served, isolated))));
    }
    if of(isolated, Side::Eks) < REQUESTS {
        let text = format!("not every answer of {url} names its side: {}", words(served, isolated));
        let reason = if answered < isolated.len() { Reason::InsufficientData } else { Reason::ControlFailed };
        return Err(CannotTell::new(reason, text));
    }
    let blind = |why: String| {
        let text = format!("nothing shows that the header `{}` can tell the sides apart: {why}", served.header);
        CannotTell::new(Reason::ControlFailed, text)
    };
    let (Some(control), Some(production)) = (control, &target.production) else {
        return Err(blind("`production` is not given".to_owned()));
    };
    if of(control, Side::Ecs) == 0 {
        return Err(blind(format!("no answer of {production} names ECS: {}", words(served, control))));
    }
    let observed = format!(
        "EKS answered all {REQUESTS} requests to {url}; ECS answered {} of {} to {production}",
        of(control, Side::Ecs),
        control.len()
    );
    Ok(vec![
        Finding::met(observed, format!("EKS alone answers {url}"))
            .with(evidence(url, served, isolated))
            .with(evidence(production, served, control)),
    ])
}

fn no_cache(target: &Target, isolated: &[Told], control: Option<&[Told]>) -> Result<(), CannotTell> {
    for (origin, all) in [(Some(&target.url), Some(isolated)), (target.production.as_ref(), control)] {
        if let (Some(origin), Some(all)) = (origin, all)
            && let Some(header) = all.iter().find_map(Told::cached)
        {
            let text =
                format!("a cache answered a request to {origin} (`{header}`), so not every answer is its side's own");
            let advice = "Let the first GET or HEAD of `requests` ask for what is not cached";
            return Err(CannotTell::new(Reason::ControlFailed, format!("{text}. {advice}")));
        }
    }
    Ok(())
}

fn evidence(origin: &Origin, served: &Served, all: &[Told]) -> Evidence {
    Evidence::new("response", origin.to_string(), words(served, all))
}

/// Each different answer, with how often it came.
fn words(served: &Served, all: &[Told]) -> String {
    let mut different: Vec<(String, usize)> = vec![];
    for told in all {
        let text = match told {
            Told::Answer { status, value: Some(value), .. } => format!("{status} with {}: {value}", served.header),
            Told::Answer { status, value: None, .. } => format!("{status} without {}", served.header),
            Told::Nothing(why) => why.clone(),
        };
        match different.iter_mut().find(|(known, _)| *known == text) {
            Some((_, times)) => *times += 1,
            None => different.push((text, 1)),
        }
    }
    different.iter().map(|(text, times)| format!("{times} × {text}")).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(production: bool) -> Target {
        let mut value = serde_json::json!({
            "name": "shop", "url": "https://eks.shop.test",
            "served": { "header": "x-served-by", "eks": "eks", "ecs": "ecs" },
            "requests": [{ "method": "POST", "path": "/orders" }, { "path": "/healthz" }],
            "rate": 50, "slo": { "p99Ms": 500 },
        });
        if production {
            value["production"] = "https://shop.test".into();
        }
        serde_json::from_value(value).unwrap()
    }

    fn answers(side: Side) -> Vec<Told> {
        let value = match side {
            Side::Eks => Some("eks".to_owned()),
            Side::Ecs => Some("ecs".to_owned()),
            Side::Unknown => None,
        };
        vec![Told::Answer { status: 200, side, value, cached: None, ended: None }; REQUESTS]
    }

    fn of_a_cache(side: Side) -> Told {
        Told::Answer { status: 200, side, value: None, cached: Some("x-cache: Hit".into()), ended: None }
    }

    fn with_one(mut all: Vec<Told>, told: Told) -> Vec<Told> {
        all[4] = told;
        all
    }

    fn reason(outcome: Result<Vec<Finding>, CannotTell>) -> Reason {
        outcome.unwrap_err().reason
    }

    #[test]
    fn each_side_on_its_own_domain_passes() {
        let findings = assess(&target(true), &answers(Side::Eks), Some(&answers(Side::Ecs))).unwrap();
        assert!(findings.iter().all(|finding| finding.met));
        assert_eq!(findings[0].evidence[0].detail, "10 × 200 with x-served-by: eks");
    }

    #[test]
    fn one_answer_of_the_wrong_side_fails() {
        let leak = with_one(answers(Side::Eks), answers(Side::Ecs)[0].clone());
        let findings = assess(&target(true), &leak, Some(&answers(Side::Ecs))).unwrap();
        assert!(!findings[0].met && findings[0].observed.contains("1 of 10"));
        let other_way = with_one(answers(Side::Ecs), answers(Side::Eks)[0].clone());
        let findings = assess(&target(true), &answers(Side::Eks), Some(&other_way)).unwrap();
        assert!(!findings[0].met && findings[0].observed.contains("shop.test"));
        // Also when nothing was shown about the header.
        assert!(!assess(&target(false), &leak, None).unwrap()[0].met);
    }

    #[test]
    fn without_a_control_that_names_ecs_it_cannot_tell() {
        assert_eq!(reason(assess(&target(false), &answers(Side::Eks), None)), Reason::ControlFailed);
        let silent = [Told::Nothing("connection refused".into()), Told::Nothing("connection refused".into())];
        for control in [&answers(Side::Unknown)[..], &silent] {
            assert_eq!(reason(assess(&target(true), &answers(Side::Eks), Some(control))), Reason::ControlFailed);
        }
    }

    #[test]
    fn an_answer_that_names_no_side_and_a_domain_that_is_silent_cannot_tell() {
        let ecs = answers(Side::Ecs);
        let without = with_one(answers(Side::Eks), answers(Side::Unknown)[0].clone());
        assert_eq!(reason(assess(&target(true), &without, Some(&ecs))), Reason::ControlFailed);
        let gap = with_one(answers(Side::Eks), Told::Nothing("reset".into()));
        assert_eq!(reason(assess(&target(true), &gap, Some(&ecs))), Reason::InsufficientData);
        let silent = [Told::Nothing("connection refused".into()), Told::Nothing("connection refused".into())];
        assert_eq!(reason(assess(&target(true), &silent, Some(&ecs))), Reason::Unreachable);
    }

    #[test]
    fn an_answer_of_a_cache_cannot_tell_on_either_domain() {
        let (eks, ecs) = (answers(Side::Eks), answers(Side::Ecs));
        for side in [Side::Eks, Side::Ecs, Side::Unknown] {
            let cached = with_one(eks.clone(), of_a_cache(side));
            let why = assess(&target(true), &cached, Some(&ecs)).unwrap_err();
            assert_eq!(why.reason, Reason::ControlFailed);
            assert!(why.detail.contains("https://eks.shop.test (`x-cache: Hit`)"), "{}", why.detail);
            let why = assess(&target(true), &eks, Some(&with_one(ecs.clone(), of_a_cache(side)))).unwrap_err();
            assert!(why.detail.contains("https://shop.test (`x-cache: Hit`)"), "{}", why.detail);
        }
        // What ECS itself answers is no matter of a cache.
        let mut leak = with_one(eks, of_a_cache(Side::Eks));
        leak[5] = ecs[0].clone();
        assert!(!assess(&target(true), &leak, Some(&ecs)).unwrap()[0].met);
    }

    #[test]
    fn the_question_is_a_request_that_changes_nothing() {
        assert_eq!(harmless(&target(true)).path, "/healthz");
        let mut posts_only = target(true);
        posts_only.requests.truncate(1);
        let asked = harmless(&posts_only);
        assert_eq!((asked.method, asked.path.as_str()), (Method::Get, "/"));
    }
}
