//! Services that are another name for a host (`ExternalName`): what a pod writes, and the host that it reaches.

use crate::pools;
use crate::variables::{Variable, normalised};
use preflight_cluster::ExternalName;

/// The names that hold in one namespace.
#[derive(Clone, Copy)]
pub(crate) struct Services<'a> {
    pub namespace: &'a str,
    pub names: &'a [ExternalName],
}

impl Services<'_> {
    /// Where there is no cluster.
    pub(crate) const NONE: Services<'static> = Services { namespace: "", names: &[] };

    /// The variable with the host in place of every such name.
    pub(crate) fn resolved(&self, variable: Variable) -> Variable {
        let Variable { name, value, at } = variable;
        let is_address = pools::source_of(&name) != normalised(&name);
        let value = value.map(|value| if self.names.is_empty() { value } else { self.in_text(&value, is_address) });
        Variable { name, value, at }
    }

    /// A name without its namespace is a word like any other, so it counts only where a host stands.
    fn in_text(&self, text: &str, is_address: bool) -> String {
        let is_of_a_host = |part: char| part.is_ascii_alphanumeric() || matches!(part, '.' | '-' | '_');
        let (mut result, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(start) = rest.find(is_of_a_host) {
            let (before, from) = rest.split_at(start);
            result.push_str(before);
            let (word, after) = from.split_at(from.find(|part| !is_of_a_host(part)).unwrap_or(from.len()));
            let begins = ["//", "@", "("].iter().any(|sign| result.ends_with(sign))
                || (is_address && (result.is_empty() || result.ends_with(',')));
            let is_host = begins && (after.is_empty() || after.starts_with([':', '/', ',', '?', ')', ' ', '\n']));
            result.push_str(self.host(word, is_host).unwrap_or(word));
            rest = after;
        }
        result + rest
    }

    fn host(&self, word: &str, is_host: bool) -> Option<&str> {
        let word = word.trim_end_matches('.').to_ascii_lowercase();
        let is_it = |one: &&ExternalName| match word.strip_prefix(one.name.as_str()) {
            Some("") => is_host && one.namespace == self.namespace,
            Some(rest) => {
                let rest = rest.strip_prefix('.').and_then(|rest| rest.strip_prefix(one.namespace.as_str()));
                rest.is_some_and(|rest| rest.is_empty() || rest == ".svc" || rest.starts_with(".svc."))
            }
            None => false,
        };
        self.names.iter().find(is_it).map(|one| one.host.trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(name: &str, value: &str) -> String {
        let service = |name: &str, namespace: &str, host: &str| ExternalName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            host: host.to_owned(),
        };
        let names = [service("mysql", "shop", "db.internal."), service("cache", "other", "cache.internal")];
        let variable = Variable { name: name.to_owned(), value: Some(value.to_owned()), at: String::new() };
        Services { namespace: "shop", names: &names }.resolved(variable).value.unwrap()
    }

    #[test]
    fn a_name_with_its_namespace_is_the_host_wherever_it_stands() {
        for (value, expected) in [
            ("mysql.shop.svc", "db.internal"),
            ("MySQL.shop.svc.cluster.local.:3307", "db.internal:3307"),
            ("jdbc:mysql://mysql.shop/orders", "jdbc:mysql://db.internal/orders"),
            ("x cache.other.svc, y", "x cache.internal, y"),
            ("mysql.shop.example.com", "mysql.shop.example.com"),
            ("old-mysql.shop.svc", "old-mysql.shop.svc"),
            ("mysql.other.svc", "mysql.other.svc"),
        ] {
            assert_eq!(resolved("TEXT", value), expected);
        }
    }

    #[test]
    fn a_name_alone_is_the_host_in_its_own_namespace_where_a_host_stands() {
        for (name, value, expected) in [
            ("DB_HOST", "mysql", "db.internal"),
            ("DB_HOST", "mysql:3307", "db.internal:3307"),
            ("DB_TYPE", "mysql", "mysql"),
            ("DB_HOST", "cache", "cache"),
            ("DB_URL", "jdbc:mysql://mysql:3306/mysql", "jdbc:mysql://db.internal:3306/mysql"),
            ("", "mysql://app:pw@mysql/orders", "mysql://app:pw@db.internal/orders"),
            ("A", "app:pw@tcp(mysql)/orders", "app:pw@tcp(db.internal)/orders"),
        ] {
            assert_eq!(resolved(name, value), expected);
        }
    }
}
