//! Secrets that are written down in files of an inventory, found before the files go where others read them.
//!
//! Decided on what a parser makes of a file, so that no notation hides a Secret, and on names: of variables, properties and
//! arguments ([`written`]). Nothing of a value is in what is said about it.

use crate::InventoryError;
use crate::node::{self, Node, Tree};
use preflight_core::written::{self, Written};

/// A kind that holds no values but descriptions of them.
const DESCRIPTION: &str = "CustomResourceDefinition";

/// One line for each secret that is written down in the text of a file: its place, its name, and what it belongs to.
///
/// # Errors
/// If the text is neither YAML nor JSON.
pub fn exposed(file: &str, text: &str) -> Result<Vec<String>, InventoryError> {
    let mut search = Search { file, found: vec![] };
    for document in node::parse(file, text)? {
        let of = Of { object: "the file".to_owned(), names_all: !has_kind(&document) };
        search.value(&document, &of, Under::default());
    }
    search.comments(text);
    Ok(search.told())
}

/// One line for each secret in the comments of a text, or anywhere in it where it is not YAML.
#[must_use]
pub fn exposed_beside(file: &str, text: &str) -> Vec<String> {
    let mut search = Search { file, found: vec![] };
    search.comments(text);
    for Written { range, what } in written::written_in(text).into_iter().filter(|one| one.what.contains("private key"))
    {
        let line = 1 + text[..range.start].matches('\n').count() as u64;
        search.add(line, &what, "the file");
    }
    search.told()
}

/// What a value belongs to.
#[derive(Clone)]
struct Of {
    /// The object, for people.
    object: String,
    /// Whether every field that is named like a secret holds one. In Kubernetes' own objects such fields say where it is.
    names_all: bool,
}

/// Where a value stands.
#[derive(Clone, Copy, Default)]
struct Under<'a> {
    /// Its key, or the name of the variable whose value it is; empty in a list.
    key: &'a str,
    /// The kind that it has if it does not name one.
    kind: &'a str,
}

struct Search<'a> {
    file: &'a str,
    /// Each with its line.
    found: Vec<(u64, String)>,
}

impl Search<'_> {
    fn add(&mut self, line: u64, what: &str, object: &str) {
        self.found.push((line, format!("{what} of {object}")));
    }

    /// What was found, in order.
    fn told(mut self) -> Vec<String> {
        self.found.sort();
        self.found.into_iter().map(|(line, what)| format!("{}:{line}: {what}", self.file)).collect()
    }

    fn value(&mut self, node: &Node, of: &Of, under: Under<'_>) {
        match &node.tree {
            Tree::Map(fields) => self.map(fields, of, under.kind),
            Tree::List(items) => self.list(items, of),
            Tree::Text(text) => self.text(node, text, of, under.key),
            _ => {}
        }
    }

    fn map(&mut self, fields: &[(String, Node)], outer: &Of, kind: &str) {
        let kind = text_in(fields, "kind").unwrap_or(kind);
        if kind == DESCRIPTION {
            return;
        }
        let of = named(kind, fields, outer);
        let name = text_in(fields, "name");
        for (key, field) in fields {
            let is_value = key == "value" && name.is_some_and(written::names_secret);
            let is_named = of.names_all && !key.eq_ignore_ascii_case("nextToken") && written::names_secret(key);
            match (kind, key.as_str(), &field.tree) {
                ("Secret", "data" | "stringData", _) => self.secret(field, &of),
                ("ConfigMap", "data", Tree::Map(fields)) => {
                    self.map(fields, &Of { names_all: true, ..of.clone() }, "");
                }
                // A list of the API does not say the kind of its items.
                (list, "items", Tree::List(items)) if list.ends_with("List") => {
                    let kind = list.trim_end_matches("List");
                    items.iter().for_each(|item| self.value(item, &of, Under { kind, ..Under::default() }));
                }
                _ if (is_value || is_named) && is_literal(field) => {
                    let what = if is_value { name.unwrap_or_default() } else { key };
                    self.add(field.place, &format!("`{what}`"), &of.object);
                }
                _ => {
                    let key = name.filter(|_| key == "value").unwrap_or(key);
                    self.value(field, &of, Under { key, ..Under::default() });
                }
            }
        }
    }

    /// The values of a Secret. Its names alone are none.
    fn secret(&mut self, node: &Node, of: &Of) {
        let Tree::Map(fields) = &node.tree else {
            if !matches!(node.tree, Tree::Null) {
                self.add(node.place, "what stands for the data", &of.object);
            }
            return;
        };
        for (key, field) in fields {
            let is_empty = match &field.tree {
                Tree::Null => true,
                Tree::Text(text) => text.chars().all(|c| c == '*'),
                _ => false,
            };
            if !is_empty {
                self.add(field.place, &format!("`{key}`"), &of.object);
            }
        }
    }

    /// An argument may be the value of the one before it.
    fn list(&mut self, items: &[Node], of: &Of) {
        let mut before = "";
        for item in items {
            let text = if let Tree::Text(text) = &item.tree { text.as_str() } else { "" };
            let is_flag = before.starts_with('-') && !before.contains('=') && !text.starts_with('-');
            if is_flag && written::names_secret(before) && is_literal(item) {
                self.add(item.place, &format!("`{before}`"), &of.object);
            } else {
                self.value(item, of, Under::default());
            }
            before = text;
        }
    }

    fn text(&mut self, node: &Node, text: &str, of: &Of, key: &str) {
        // An object within an annotation is one, too.
        if text.trim_start().starts_with(['{', '['])
            && text.contains("\"kind\"")
            && let Ok(objects) = node::parse(self.file, text)
        {
            let mut inner = Search { file: self.file, found: vec![] };
            let of = Of { names_all: false, ..of.clone() };
            objects.iter().for_each(|object| inner.value(object, &of, Under { key, ..Under::default() }));
            for (_, what) in inner.found {
                self.found.push((node.place, format!("{what}, within `{key}`")));
            }
            return;
        }
        for Written { what, .. } in written::written_in(text) {
            let within = if key.is_empty() { String::new() } else { format!(" in `{key}`") };
            self.add(node.place, &format!("{what}{within}"), &of.object);
        }
    }

    /// A comment goes where its file goes. In prose more words follow on what looks like a value.
    fn comments(&mut self, text: &str) {
        for (index, line) in text.lines().enumerate() {
            let Some(comment) = line.trim().strip_prefix('#') else { continue };
            let end = comment.trim_end_matches(['"', '\'', ',', ';', ' ']).len();
            for Written { range, what } in written::written_in(comment) {
                if range.end >= end || what.contains("URL") {
                    self.add(index as u64 + 1, &what, "a comment");
                }
            }
        }
    }
}

fn has_kind(node: &Node) -> bool {
    match &node.tree {
        Tree::Map(fields) => fields.iter().any(|(key, _)| key == "kind"),
        Tree::List(items) => items.iter().any(has_kind),
        _ => false,
    }
}

/// The object that a mapping is, or the one that it is in.
fn named(kind: &str, fields: &[(String, Node)], outer: &Of) -> Of {
    let metadata = fields.iter().find(|(key, _)| key == "metadata").map(|(_, node)| &node.tree);
    if let (false, Some(Tree::Map(metadata))) = (kind.is_empty(), metadata) {
        let name = text_in(metadata, "name").or(text_in(metadata, "generateName")).unwrap_or_default();
        let namespace = text_in(metadata, "namespace").map(|namespace| format!("{namespace}/")).unwrap_or_default();
        return Of { object: format!("{kind} {namespace}{name}"), names_all: false };
    }
    let object = match (text_in(fields, "family"), text_in(fields, "serviceName")) {
        (Some(family), _) => format!("task definition {family}"),
        (None, Some(service)) => format!("service {service}"),
        (None, None) => return outer.clone(),
    };
    Of { object, ..outer.clone() }
}

fn text_in<'a>(fields: &'a [(String, Node)], key: &str) -> Option<&'a str> {
    fields.iter().find(|(name, _)| name == key).and_then(|(_, node)| match &node.tree {
        Tree::Text(text) => Some(text.as_str()),
        _ => None,
    })
}

/// Whether a value is a secret, given that its name is that of one.
fn is_literal(node: &Node) -> bool {
    match &node.tree {
        Tree::Text(text) => written::is_literal(text),
        Tree::Number(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        let found = exposed("a.yaml", text).unwrap();
        for line in &found {
            assert!(!line.contains("hunter2"), "{line}");
        }
        found
    }

    #[test]
    fn a_secret_is_found_in_every_notation_of_its_kind() {
        let rest = "metadata: {name: db, namespace: shop}\nstringData: {password: hunter2}\n";
        for text in [
            format!("kind: Secret\n{rest}"),
            format!("kind: Secret # comment\n{rest}"),
            format!("kind: !!str Secret\n{rest}"),
            format!("kind: &a 'Secret'\n{rest}"),
            format!("kind: \"\\u0053ecret\"\n{rest}"),
            format!("a: 1\n---\nkind: Secret\n{rest}"),
            "{kind: Secret, metadata: {name: db, namespace: shop}, stringData: {password: hunter2}}".to_owned(),
            r#"{"kind":"Secret","metadata":{"name":"db","namespace":"shop"},"data":{"password":"aHVudGVyMg=="}}"#
                .to_owned(),
            r#"[{"kind":"Secret","metadata":{"name":"db","namespace":"shop"},"data":{"password":"aHVudGVyMg=="}}]"#
                .to_owned(),
            "kind: List\nitems:\n- {kind: Secret, metadata: {name: db, namespace: shop}, data: {password: eA==}}"
                .to_owned(),
            "kind: SecretList\nitems:\n- {metadata: {name: db, namespace: shop}, data: {password: eA==}}".to_owned(),
        ] {
            let found = of(&text);
            assert!(found.len() == 1 && found[0].contains("`password` of Secret"), "{text}: {found:?}");
            assert!(text.contains("SecretList") || found[0].ends_with("shop/db"), "{text}: {found:?}");
        }
    }

    #[test]
    fn the_names_of_a_secrets_keys_are_none_and_neither_is_what_refers_to_one() {
        for text in [
            "kind: Secret\nmetadata: {name: db}\ndata: {password: '', token: '***', c: null}\n",
            "kind: SecretStore\nmetadata: {name: a}\ndata: {password: hunter}\n",
            "kind: ExternalSecret\nmetadata: {name: a}\nspec: {data: [{secretKey: password, remoteRef: {key: prod/db}}]}\n",
            "kind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]}]}\n",
            "kind: Pod\nmetadata: {name: a}\nspec: {volumes: [{name: a, secret: {secretName: db}}], automountServiceAccountToken: false}\n",
            "kind: RoleBinding\nmetadata: {name: a}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: a}\n",
            "kind: CustomResourceDefinition\nmetadata: {name: a}\nspec: {a: 'password: the one'}\n",
            "kind: ConfigMap\nmetadata: {name: a}\ndata: {app.properties: 'spring.datasource.password=${DB_PASSWORD}', secret.yaml: 'a: 1'}\n",
            r#"{"taskDefinition":{"family":"a","containerDefinitions":[{"name":"a","repositoryCredentials":{"credentialsParameter":"x"},"secrets":[{"name":"DB_PASSWORD","valueFrom":"arn:aws:ssm:eu-west-1:1:parameter/db-password"}],"environment":[{"name":"DB_PASSWORD","value":"***"},{"name":"TOKEN_TTL","value":"60"},{"name":"URL","value":"mysql://app:***@h/db"}]}]}}"#,
            r#"{"services":[],"nextToken":"abc"}"#,
            "# token: see the vault\nkind: Pod\nmetadata: {name: a}\n",
        ] {
            assert_eq!(of(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_value_is_told_by_file_line_object_and_variable() {
        let pod = |container: &str| {
            format!(
                "kind: Deployment\nmetadata: {{name: orders, namespace: shop}}\nspec:\n  template: {{spec: {{containers: [{{name: a, {container}}}]}}}}\n"
            )
        };
        for (container, what) in [
            ("env: [{name: DB_PASSWORD, value: hunter2}]", "`DB_PASSWORD`"),
            ("env: [{name: DB_PASSWORD, value: 123456}]", "`DB_PASSWORD`"),
            (
                "env: [{name: DATABASE_URL, value: 'mysql://app:hunter2@h/db'}]",
                "the password in a URL in `DATABASE_URL`",
            ),
            ("env: [{name: JAVA_OPTS, value: '-Ddb.password=hunter2'}]", "`db.password` in `JAVA_OPTS`"),
            ("args: [--db-password, hunter2]", "`--db-password`"),
            ("args: ['--db-password=hunter2']", "`db-password`"),
        ] {
            assert_eq!(of(&pod(container)), [format!("a.yaml:4: {what} of Deployment shop/orders")], "{container}");
        }
        let task = |container: &str| {
            format!(r#"{{"taskDefinition":{{"family":"orders","containerDefinitions":[{{"name":"a",{container}}}]}}}}"#)
        };
        for (container, what) in [
            (r#""environment":[{"name":"DB_PASSWORD","value":"hunter2"}]"#, "`DB_PASSWORD`"),
            (r#""environment":[{"value":"hunter2","name":"API_KEY"}]"#, "`API_KEY`"),
            (r#""logConfiguration":{"options":{"splunk-token":"hunter2"}}"#, "`splunk-token`"),
        ] {
            assert_eq!(of(&task(container)), [format!("a.yaml:1: {what} of task definition orders")], "{container}");
        }
    }

    #[test]
    fn a_config_map_its_files_an_annotation_and_a_comment_are_looked_into() {
        let map = "kind: ConfigMap\nmetadata: {name: c}\ndata:\n  DB_PASSWORD: hunter2\n  application.yaml: |\n    db:\n      password: hunter2\n";
        let expected =
            ["a.yaml:4: `DB_PASSWORD` of ConfigMap c", "a.yaml:6: `password` in `application.yaml` of ConfigMap c"];
        assert_eq!(of(map), expected);
        let applied = r#"{"kind":"Deployment","metadata":{"name":"o"},"spec":{"env":[{"name":"DB_PASSWORD","value":"hunter2"}]}}"#;
        let text = format!("kind: Deployment\nmetadata:\n  name: o\n  annotations: {{last-applied: '{applied}'}}\n");
        assert_eq!(of(&text), ["a.yaml:4: `DB_PASSWORD` of Deployment o, within `last-applied`"]);
        assert_eq!(of("# DB_PASSWORD=hunter2\na: 1\n"), ["a.yaml:1: `DB_PASSWORD` of a comment"]);
    }

    #[test]
    fn a_file_that_is_not_understood_is_an_error() {
        assert!(exposed("a.yaml", "a: [").is_err());
    }

    #[test]
    fn a_private_key_beside_certificates_is_found_and_certificates_are_none() {
        let pem = |what: &str| format!("-----BEGIN {what}-----\nabc=\n-----END {what}-----\n");
        assert_eq!(exposed_beside("a.pem", &pem("CERTIFICATE")), Vec::<String>::new());
        let both = pem("CERTIFICATE") + &pem("PRIVATE KEY");
        assert_eq!(exposed_beside("a.pem", &both), ["a.pem:4: a private key of the file"]);
    }
}
