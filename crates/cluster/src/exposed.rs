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
    let mut search = Search { file, lines: text.lines().collect(), found: vec![] };
    for document in node::parse(file, text)? {
        let of = Of { object: "the file".to_owned(), names_all: !has_kind(&document), within: None };
        search.value(&document, &of, Under::default());
    }
    search.comments(text);
    Ok(search.told())
}

/// One line for each secret in the comments of a text, or anywhere in it where it is not YAML.
#[must_use]
pub fn exposed_beside(file: &str, text: &str) -> Vec<String> {
    let mut search = Search { file, lines: vec![], found: vec![] };
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
    /// The key of the text that it is in, if that is a file of its own.
    within: Option<String>,
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
    /// Those of the file; none where a text of it is looked into.
    lines: Vec<&'a str>,
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
        self.found.dedup();
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
            let named = if key == "value" { name.unwrap_or_default() } else { key };
            let is_secret = match &field.tree {
                Tree::Text(value) | Tree::Number(value) => {
                    written::is_secret(named, value) && (key == "value" || of.says(key, value))
                }
                _ => false,
            };
            match (kind, key.as_str(), &field.tree) {
                ("Secret", "data" | "stringData", _) => self.secret(field, &of),
                (_, "encryptedData", _) => {}
                ("ConfigMap", "data" | "binaryData", Tree::Map(fields)) => {
                    self.map(fields, &Of { names_all: true, ..of.clone() }, "");
                }
                // A list of the API does not say the kind of its items.
                (list, "items", Tree::List(items)) if list.ends_with("List") => {
                    let kind = list.trim_end_matches("List");
                    items.iter().for_each(|item| self.value(item, &of, Under { kind, ..Under::default() }));
                }
                _ if is_secret => self.add(field.place, &format!("`{named}`{}", of.suffix()), &of.object),
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
                Tree::Text(text) => text.chars().all(|c| c == '*') || written::is_mask(text),
                _ => false,
            };
            if !is_empty {
                self.add(field.place, &format!("`{key}`"), &of.object);
            }
        }
    }

    /// An argument may be the value of the one before it.
    fn list(&mut self, items: &[Node], of: &Of) {
        let mut line = String::new();
        let mut begins = vec![];
        for item in items {
            begins.push(line.len());
            if let Tree::Text(text) | Tree::Number(text) = &item.tree {
                line.push_str(&text.replace('\n', " "));
            }
            line.push(' ');
        }
        let found = written::written_in(&line);
        for (index, item) in items.iter().enumerate() {
            let end = begins.get(index + 1).copied().unwrap_or(line.len());
            self.value(item, of, Under::default());
            for Written { what, .. } in found.iter().filter(|one| (begins[index]..end).contains(&one.range.start)) {
                self.add(item.place, &format!("{what}{}", of.suffix()), &of.object);
            }
        }
    }

    fn text(&mut self, node: &Node, text: &str, of: &Of, key: &str) {
        // What stands in a file was found when the whole of it was looked at.
        if of.within.is_some() {
            return;
        }
        // An object within an annotation is one, too.
        if text.trim_start().starts_with(['{', '['])
            && text.contains("\"kind\"")
            && let Ok(objects) = node::parse(self.file, text)
        {
            let mut inner = Search { file: self.file, lines: vec![], found: vec![] };
            let of = Of { names_all: false, ..of.clone() };
            objects.iter().for_each(|object| inner.value(object, &of, Under { key, ..Under::default() }));
            for (_, what) in inner.found {
                self.found.push((node.place, format!("{what}, within `{key}`")));
            }
            return;
        }
        for Written { range, what } in written::written_in(text) {
            let within = if key.is_empty() { String::new() } else { format!(" in `{key}`") };
            let line = self.line(node, text, text[..range.start].matches('\n').count());
            self.add(line, &format!("{what}{within}"), &of.object);
        }
        // The value of a field may stand on the next line, or in a list.
        if of.names_all
            && text.contains('\n')
            && let Ok(documents) = node::parse(self.file, text)
        {
            let mut inner = Search { file: self.file, lines: vec![], found: vec![] };
            let of = Of { within: Some(key.to_owned()), ..of.clone() };
            let is_tree = |document: &&Node| matches!(document.tree, Tree::Map(_) | Tree::List(_));
            documents.iter().filter(is_tree).for_each(|one| inner.value(one, &of, Under::default()));
            for (line, what) in inner.found {
                let index = usize::try_from(line).unwrap_or_default().saturating_sub(1);
                self.found.push((self.line(node, text, index), what));
            }
        }
    }

    /// The line of a line of a text: of a block that stands in the file as it is. Of others, the one where it begins.
    fn line(&self, node: &Node, text: &str, index: usize) -> u64 {
        let line = node.place + index as u64;
        let in_file = usize::try_from(line).ok().and_then(|line| self.lines.get(line.checked_sub(1)?));
        let is_there =
            in_file.is_some_and(|found| text.lines().nth(index).is_some_and(|one| found.trim() == one.trim()));
        if is_there { line } else { node.place }
    }

    /// A comment goes where its file goes. In prose more words follow on what looks like a value.
    fn comments(&mut self, text: &str) {
        let of_line = |line: &str| {
            let trailing = line.find(" #").or(line.find("\t#")).map(|at| &line[at + 1..]);
            let comment = if line.trim_start().starts_with('#') { Some(line.trim_start()) } else { trailing };
            comment.map_or(String::new(), |comment| comment.trim_start_matches('#').to_owned())
        };
        // One line for each, so that a key goes over several.
        let comments: Vec<String> = text.lines().map(of_line).collect();
        let comments = comments.join("\n");
        for Written { range, what } in written::written_in(&comments) {
            let rest = comments[range.end..].lines().next().unwrap_or_default();
            let is_last = rest.trim_matches(['"', '\'', ',', ';', ' ', '`', ')', '}']).is_empty();
            // Of those that are named more words may follow in prose, and of no others.
            if is_last || !what.starts_with('`') {
                self.add(1 + comments[..range.start].matches('\n').count() as u64, &what, "a comment");
            }
        }
    }
}

impl Of {
    /// Whether a field of this name holds a secret. In Kubernetes' own objects such a field may hold the name of one.
    fn says(&self, key: &str, value: &str) -> bool {
        let is_plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let is_name = is_plain && (key == "secretKey" || (key.ends_with("Secret") && value.contains('-')));
        let is_cursor = key.eq_ignore_ascii_case("nextToken") || key == "continue";
        !is_cursor && (self.names_all || (written::names_secret_itself(key) && !is_name))
    }

    /// The file that a text is, for people.
    fn suffix(&self) -> String {
        self.within.as_ref().map(|key| format!(" in `{key}`")).unwrap_or_default()
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
        return Of { object: format!("{kind} {namespace}{name}"), names_all: false, within: outer.within.clone() };
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
            "kind: SecretStore\nmetadata: {name: a}\nspec: {secret: db, passwordSecretRef: {name: a, key: password}, authSecret: db-auth}\n",
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
            ["a.yaml:4: `DB_PASSWORD` of ConfigMap c", "a.yaml:7: `password` in `application.yaml` of ConfigMap c"];
        assert_eq!(of(map), expected);
        let applied = r#"{"kind":"Deployment","metadata":{"name":"o"},"spec":{"env":[{"name":"DB_PASSWORD","value":"hunter2"}]}}"#;
        let text = format!("kind: Deployment\nmetadata:\n  name: o\n  annotations: {{last-applied: '{applied}'}}\n");
        assert_eq!(of(&text), ["a.yaml:4: `DB_PASSWORD` of Deployment o, within `last-applied`"]);
        assert_eq!(of("# DB_PASSWORD=hunter2\na: 1\n"), ["a.yaml:1: `DB_PASSWORD` of a comment"]);
    }

    #[test]
    fn a_field_that_is_named_like_a_password_is_one_in_every_object() {
        let object = |rest: &str| format!("kind: ScaledObject\nmetadata: {{name: o}}\n{rest}\n");
        for (rest, what) in [
            ("spec: {triggers: [{metadata: {password: hunter2, passwordFromEnv: DB_PASSWORD}}]}", "`password`"),
            ("spec: {values: {db: {password: hunter2}}}", "`password`"),
            ("spec: {values: {auth: {clientSecret: hunter2}}}", "`clientSecret`"),
            ("spec: {a: ghp_hunter2hunter2hunter2hunter2}", "a token in `a`"),
            ("spec: {command: [redis-cli, -a, hunter2, ping]}", "`-a`"),
            ("spec: {command: [sh, -c, 'mysqladmin ping -phunter2']}", "`-p`"),
        ] {
            assert_eq!(of(&object(rest)), [format!("a.yaml:3: {what} of ScaledObject o")], "{rest}");
        }
        let annotated = "kind: Pod\nmetadata: {name: o, annotations: {x/password: hunter2}}\n";
        assert_eq!(of(annotated), ["a.yaml:2: `x/password` of Pod o"]);
        let map = "kind: ConfigMap\nmetadata: {name: o}\nbinaryData: {db.password: aHVudGVyMg==}\n";
        assert_eq!(of(map), ["a.yaml:3: `db.password` of ConfigMap o"]);
        let check =
            r#"{"family":"o","containerDefinitions":[{"healthCheck":{"command":["CMD","redis-cli","-a","hunter2"]}}]}"#;
        assert_eq!(of(check), ["a.yaml:1: `-a` of task definition o"]);
        for rest in [
            "spec: {encryptedData: {password: AgB1}}",
            "spec: {tokens: 5, secret: db, existingSecret: db, secretKey: password, automountServiceAccountToken: false}",
        ] {
            let sealed = object(rest).replace("ScaledObject", "SealedSecret");
            assert_eq!(of(&sealed), Vec::<String>::new(), "{rest}");
        }
    }

    #[test]
    fn a_value_below_its_name_is_told_with_the_line_inside_of_the_file() {
        let map = |file: &str| format!("kind: ConfigMap\nmetadata: {{name: c}}\ndata:\n  a.yaml: |\n{file}\n");
        for file in ["    a: 1\n    password:\n      hunter2", "    a: 1\n    password: >-\n      hunter2"] {
            let found = of(&map(file));
            assert!(found.len() == 1 && found[0].ends_with("`password` in `a.yaml` of ConfigMap c"), "{found:?}");
            assert!(found[0].starts_with("a.yaml:7") || found[0].starts_with("a.yaml:6"), "{found:?}");
        }
        let listed = of(&map("    users:\n    - {name: DB_PASSWORD, value: hunter2}"));
        assert_eq!(listed, ["a.yaml:6: `DB_PASSWORD` in `a.yaml` of ConfigMap c"]);
        assert_eq!(of(&map("    a\n    requirepass hunter2")), ["a.yaml:6: `requirepass` in `a.yaml` of ConfigMap c"]);
    }

    #[test]
    fn comments_behind_values_and_keys_in_comments_are_read() {
        assert_eq!(of("kind: X # password: hunter2\n"), ["a.yaml:1: `password` of a comment"]);
        let key = "a: 1\n# -----BEGIN PRIVATE KEY-----\n# hunter2\n# -----END PRIVATE KEY-----\n";
        assert_eq!(of(key), ["a.yaml:2: a private key of a comment"]);
        assert_eq!(of("a: 1 # the token: see below\nb: x#y\n"), Vec::<String>::new());
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
