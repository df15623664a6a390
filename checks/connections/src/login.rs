//! As whom a data source logs in, and to which part of the server: in its URL, or in variables beside it.

use crate::pools::{self, Reference, SAME_NAME};
use crate::settings::Engine;
use crate::unseen::may_be_for;
use crate::variables::{Variable, normalised};

/// Ends of the names of variables that hold an account. Longer ones first.
const ACCOUNTS: &[&str] = &["hikariusername", "tomcatusername", "dbcp2username", "username", "userid", "user", "login"];

/// The same of a virtual host of RabbitMQ.
const VIRTUAL_HOSTS: &[&str] = &["virtualhost", "vhost"];

/// RabbitMQ's virtual host where nobody names one.
pub(crate) const ROOT: &str = "/";

/// An account, as far as the settings of a container tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// Nothing is said about it.
    Silent,
    /// It is this one.
    Named(String),
    /// It is said somewhere, and which one it is cannot be told.
    Hidden(String),
}

/// A data source among the settings of its container. `others` are further data sources there: what is theirs is not taken.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub engine: Engine,
    pub reference: &'a Reference<'a>,
    pub variables: &'a [Variable],
    pub others: &'a [String],
}

impl<'a> Source<'a> {
    /// The account with which it logs in.
    pub(crate) fn account(&self) -> Login {
        let Variable { name, at, .. } = self.reference.variable;
        let in_url = user_info(self.url()).into_iter().chain(parameters(self.url()));
        let in_url = in_url.map(|account| (Some(account), format!("{name} at {at}")));
        let beside = self.beside(ACCOUNTS).map(|one| (one.value.as_deref(), format!("{} at {}", one.name, one.at)));
        let mut known: Option<(&str, String)> = None;
        for (account, place) in in_url.chain(beside) {
            let Some(account) = account.filter(|account| !account.contains(['$', '%'])) else {
                return Login::Hidden(format!("the account in {place} is not written down"));
            };
            match &known {
                Some((other, first)) if *other != account => {
                    return Login::Hidden(format!("{first} has the account `{other}`, and {place} `{account}`"));
                }
                _ => known = Some((account, place)),
            }
        }
        known.map_or(Login::Silent, |(account, _)| Login::Named(account.to_owned()))
    }

    /// The virtual hosts of RabbitMQ that it may open, none for one that cannot be read: [`ROOT`] where nobody says.
    pub(crate) fn virtual_hosts(&self) -> Vec<Option<String>> {
        let is_plain = |name: &&str| !name.contains('$');
        let beside = self.beside(VIRTUAL_HOSTS).map(|one| one.value.as_deref().filter(is_plain).map(str::to_owned));
        let path = path(self.url()).map(|path| Some(path).filter(is_plain).map(|path| path.replace("%2f", ROOT)));
        let mut found: Vec<Option<String>> =
            beside.chain(path.map(|path| path.map(|path| path.replace("%2F", ROOT)))).collect();
        if found.is_empty() {
            found.push(Some(ROOT.to_owned()));
        }
        found
    }

    fn url(&self) -> &'a str {
        self.reference.variable.value.as_deref().unwrap_or_default()
    }

    /// The variables with such an end that fit best among those that are its own, or may be.
    fn beside(&self, ends: &'static [&'static str]) -> impl Iterator<Item = &'a Variable> {
        let tier = |variable: &Variable| {
            let name = normalised(&variable.name);
            let owner = ends.iter().find_map(|end| name.strip_suffix(end))?;
            let source = &self.reference.source;
            let own = pools::closeness(owner, source);
            let is_of_another = self.others.iter().any(|other| pools::closeness(owner, other) > own);
            let is_of_its_kind = owner == source || may_be_for(self.engine, owner);
            (own.0 > 0 && is_of_its_kind && !is_of_another).then_some(own.0.min(SAME_NAME))
        };
        let fitting: Vec<(u8, &Variable)> =
            self.variables.iter().filter_map(|variable| Some((tier(variable)?, variable))).collect();
        let best = fitting.iter().map(|(tier, _)| *tier).max();
        fitting.into_iter().filter(move |(tier, _)| Some(*tier) == best).map(|(_, variable)| variable)
    }
}

fn after_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, after)| after)
}

fn user_info(url: &str) -> Option<&str> {
    let user = after_scheme(url).split_once('@')?.0.split(':').next()?;
    (!user.is_empty() && !user.contains(['/', '?', '=', ','])).then_some(user)
}

fn parameters(url: &str) -> impl Iterator<Item = &str> {
    let pairs = url.split_once('?').into_iter().flat_map(|(_, query)| query.split(['&', ';']));
    pairs
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| ["user", "username"].contains(name))
        .map(|(_, user)| user)
}

/// What stands behind the host of a URL of AMQP.
fn path(url: &str) -> Option<&str> {
    let url = url.split([',', '?']).next()?;
    let (_, path) = after_scheme(url).rsplit_once('@').map_or(after_scheme(url), |(_, host)| host).split_once('/')?;
    (!path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: Option<&str>) -> Variable {
        Variable { name: name.to_owned(), value: value.map(str::to_owned), at: "a.yaml:7".to_owned() }
    }

    fn with<T>(
        engine: Engine,
        address: (&str, &str),
        beside: &[(&str, Option<&str>)],
        look: impl Fn(Source<'_>) -> T,
    ) -> T {
        let address = variable(address.0, Some(address.1));
        let variables: Vec<Variable> = beside.iter().map(|(name, value)| variable(name, *value)).collect();
        let reference = Reference { variable: &address, source: pools::source_of(&address.name) };
        let others = ["reportdb".to_owned()];
        look(Source { engine, reference: &reference, variables: &variables, others: &others })
    }

    #[test]
    fn the_account_is_found_wherever_it_is_written() {
        let jdbc = ("SPRING_DATASOURCE_URL", "jdbc:mysql://db/shop");
        let host = ("DB_HOST", "db");
        for (address, beside) in [
            (("DB_URL", "mysql://report:pw@db/shop"), vec![]),
            (("DB_URL", "jdbc:mysql://db/shop?ssl=1&user=report&password=x"), vec![]),
            (jdbc, vec![("SPRING_DATASOURCE_USERNAME", Some("report"))]),
            (jdbc, vec![("spring.datasource.hikari.username", Some("report"))]),
            (host, vec![("DB_LOGIN", Some("report")), ("REDIS_USERNAME", Some("cache")), ("APP_USER", Some("1000"))]),
            (host, vec![("DATABASE_USER", Some("report")), ("REPORT_DB_USER", Some("other")), ("USER", Some("root"))]),
            (host, vec![("MYSQL_USER", Some("report")), ("DB_USERNAME", Some("report"))]),
        ] {
            let found = with(Engine::MySql, address, &beside, |source| source.account());
            assert_eq!(found, Login::Named("report".to_owned()), "{address:?} {beside:?}");
        }
        assert_eq!(with(Engine::MySql, host, &[("APP_USER", None)], |source| source.account()), Login::Silent);
    }

    #[test]
    fn an_account_that_stands_elsewhere_or_is_said_twice_is_hidden() {
        for (url, beside) in [
            ("mysql://db/shop", vec![("DB_USERNAME", None)]),
            ("mysql://db/shop", vec![("DB_USERNAME", Some("${USER}"))]),
            ("mysql://app@db/shop", vec![("DB_USERNAME", Some("report"))]),
            ("mysql://$USER:pw@db/shop", vec![]),
        ] {
            let found = with(Engine::MySql, ("DB_URL", url), &beside, |source| source.account());
            assert!(matches!(found, Login::Hidden(why) if why.contains("at a.yaml:7")), "{url} {beside:?}");
        }
        let rabbit = ("SPRING_RABBITMQ_HOST", "rabbit");
        let found = with(Engine::RabbitMq, rabbit, &[("SPRING_RABBITMQ_USERNAME", None)], |source| source.account());
        assert!(matches!(found, Login::Hidden(_)));
    }

    #[test]
    fn a_virtual_host_is_found_in_the_url_and_beside_it() {
        let found = |address, beside: &[(&str, Option<&str>)]| {
            with(Engine::RabbitMq, address, beside, |source| source.virtual_hosts())
        };
        let one = |name: &str| vec![Some(name.to_owned())];
        let host = ("SPRING_RABBITMQ_HOST", "rabbit");
        assert_eq!(found(host, &[("VIRTUAL_HOST", Some("shop.example.com"))]), one("/"));
        assert_eq!(found(host, &[("SPRING_RABBITMQ_VIRTUAL_HOST", Some("orders"))]), one("orders"));
        assert_eq!(found(host, &[("RABBITMQ_VHOST", None)]), [None]);
        for (url, vhost) in [
            ("amqp://app:x@rabbit:5672/orders", "orders"),
            ("amqp://app:x/y@rabbit:5672/orders?heartbeat=5", "orders"),
            ("amqp://rabbit:5672/%2F", "/"),
            ("amqps://rabbit/%2f", "/"),
            ("amqp://rabbit/", "/"),
            ("rabbit-1:5672,rabbit-2:5672", "/"),
        ] {
            assert_eq!(found(("AMQP_URL", url), &[]), one(vhost), "{url}");
        }
        assert_eq!(found(("AMQP_URL", "amqp://rabbit/$VHOST"), &[]), [None]);
    }
}
