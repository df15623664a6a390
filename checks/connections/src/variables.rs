//! What a container is told: its environment, and the properties inside its arguments and options.

use crate::pools;
use serde_json::Value;

/// One setting of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    /// The name as it is written: `SPRING_DATASOURCE_URL`, `spring.datasource.url`.
    pub name: String,
    /// The value; none if it stands in a secret that this tool does not read.
    pub value: Option<String>,
    /// Where it is written.
    pub at: String,
}

/// Gunicorn's command line, which tells of processes and is read as a whole.
const GUNICORN: &str = "GUNICORN_CMD_ARGS";

/// What a shell may leave around a value.
const QUOTES: [char; 5] = ['"', '\'', ';', ')', '&'];

/// The variables of a container together with the properties (`--key=value`, `-Dkey=value`) inside their values and its
/// arguments, the assignments of its shell (`KEY=value`) and what `SPRING_APPLICATION_JSON` holds. They stand for what
/// held them. `$(NAME)` is replaced as Kubernetes does it.
pub(crate) fn expand(variables: &[Variable], arguments: &[Variable]) -> Vec<Variable> {
    let mut all = vec![];
    for known in variables {
        let value = known.value.as_deref().map(|value| substitute(value, variables));
        let Variable { name, at, .. } = known.clone();
        let json = (name == "SPRING_APPLICATION_JSON").then(|| serde_json::from_str(value.as_deref()?).ok()).flatten();
        let has_options =
            |value: &&str| name != GUNICORN && value.split_whitespace().any(|word| option(word).is_some());
        if let Some(json) = json {
            flatten("", &json, &at, &mut all);
        } else if let Some(options) = value.as_deref().filter(has_options) {
            all.extend(options.split_whitespace().filter_map(|word| Some(variable(option(word)?, &at))));
            let rest: Vec<&str> = options.split_whitespace().filter(|word| option(word).is_none()).collect();
            all.extend((!rest.is_empty()).then(|| Variable { name, value: Some(rest.join(" ")), at }));
        } else {
            all.push(Variable { name, value, at });
        }
    }
    let values = arguments.iter().map(|one| (substitute(one.value.as_deref().unwrap_or_default(), variables), &one.at));
    let values: Vec<(String, &String)> = values.collect();
    let words: Vec<(&str, &str)> =
        values.iter().flat_map(|(value, at)| value.split_whitespace().map(|word| (word, at.as_str()))).collect();
    for (index, (word, at)) in words.iter().enumerate() {
        let pair = property(word).or_else(|| size(word, words.get(index + 1).map(|(next, _)| *next)));
        all.extend(pair.map(|pair| variable(pair, at)));
    }
    all
}

/// The words of an argument that are no property.
pub(crate) fn plain_words(argument: &str) -> impl Iterator<Item = &str> {
    argument.split_whitespace().filter(|word| property(word).is_none())
}

type Pair<'a> = (&'a str, &'a str);

fn variable((name, value): Pair<'_>, at: &str) -> Variable {
    Variable { name: name.to_owned(), value: Some(value.to_owned()), at: at.to_owned() }
}

/// An option, or what a shell assigns to a variable, which may be an option in its turn.
fn property(word: &str) -> Option<Pair<'_>> {
    option(word).or_else(|| {
        let (name, value) = word.trim_start_matches(QUOTES).split_once('=')?;
        let is_of_a_name = |part: char| part.is_ascii_uppercase() || part.is_ascii_digit() || part == '_';
        (!name.is_empty() && name.chars().all(is_of_a_name))
            .then(|| option(value).unwrap_or((name, value.trim_matches(QUOTES))))
    })
}

fn option(word: &str) -> Option<Pair<'_>> {
    let word = word.trim_start_matches(QUOTES);
    let (name, value) = word.strip_prefix("--").or_else(|| word.strip_prefix("-D"))?.split_once('=')?;
    Some((name, value.trim_matches(QUOTES)))
}

/// The size of a pool in the other ways to write an option: `--db-pool-size 200`, `-db-pool-size=200`.
fn size<'a>(word: &'a str, next: Option<&'a str>) -> Option<Pair<'a>> {
    let name = word.trim_start_matches(QUOTES).strip_prefix('-')?;
    let (name, value) = name.split_once('=').unwrap_or((name, next.unwrap_or_default()));
    pools::is_size(name).then(|| (name, value.trim_matches(QUOTES)))
}

/// The settings in a file: `key: value` of YAML by its indentation, `key=value`, or JSON.
pub(crate) fn in_file(Variable { value: text, at, .. }: &Variable) -> Vec<Variable> {
    let text = text.as_deref().unwrap_or_default();
    let mut found = vec![];
    if let Ok(json) = serde_json::from_str(text) {
        flatten("", &json, at, &mut found);
        return found;
    }
    let mut parents: Vec<(usize, &str)> = vec![];
    for line in text.lines() {
        let content = line.trim_start().trim_start_matches("- ").trim_start();
        let Some((name, value)) = content.split_once([':', '=']).filter(|_| !content.starts_with('#')) else {
            continue;
        };
        let (name, indent) = (name.trim().trim_matches(QUOTES), line.len() - content.len());
        parents.retain(|(of_parent, _)| *of_parent < indent);
        let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(QUOTES);
        if value.is_empty() {
            parents.push((indent, name));
        } else {
            let path: Vec<&str> = parents.iter().map(|(_, parent)| *parent).chain([name]).collect();
            found.push(variable((&path.join("."), value), at));
        }
    }
    found
}

fn flatten(prefix: &str, value: &Value, at: &str, found: &mut Vec<Variable>) {
    let child = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| flatten(&child(name), value, at, found)),
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                flatten(&child(&index.to_string()), value, at, found);
            }
        }
        Value::Null => {}
        Value::String(text) => {
            found.push(Variable { name: prefix.to_owned(), value: Some(text.clone()), at: at.to_owned() });
        }
        other => found.push(Variable { name: prefix.to_owned(), value: Some(other.to_string()), at: at.to_owned() }),
    }
}

fn substitute(value: &str, variables: &[Variable]) -> String {
    let mut result = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("$(") {
        result.push_str(before);
        let known = after.split_once(')').and_then(|(name, after)| {
            let variable = variables.iter().find(|variable| variable.name == name)?;
            Some((variable.value.as_deref()?, after))
        });
        match known {
            Some((value, after)) => {
                result.push_str(value);
                rest = after;
            }
            None => {
                result.push_str("$(");
                rest = after;
            }
        }
    }
    result + rest
}

/// A name without its spelling: lower case, letters and digits alone. `SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE`,
/// `..._MAXIMUMPOOLSIZE` and `spring.datasource.hikari.maximum-pool-size` are the same then, as they are for Spring.
pub(crate) fn normalised(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    // Asked about every variable for every endpoint.
    for part in name.split(|part: char| !part.is_ascii_alphanumeric()) {
        normal.push_str(part);
    }
    normal.make_ascii_lowercase();
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: &str) -> Variable {
        Variable { name: name.to_owned(), value: Some(value.to_owned()), at: "test".to_owned() }
    }

    fn value<'a>(all: &'a [Variable], name: &str) -> Option<&'a str> {
        all.iter().find(|variable| normalised(&variable.name) == name)?.value.as_deref()
    }

    #[test]
    fn properties_are_found_in_arguments_java_options_and_spring_json() {
        let environment = [
            variable("JAVA_TOOL_OPTIONS", "-Xmx512m -Dspring.datasource.hikari.maximum-pool-size=20"),
            variable("SPRING_APPLICATION_JSON", r#"{"spring":{"data":{"redis":{"host":"cache"}}},"a":[1]}"#),
        ];
        let arguments = [variable("", "'--spring.rabbitmq.host=rabbit'"), variable("", "serve")];
        let all = expand(&environment, &arguments);
        assert_eq!(value(&all, "springdatasourcehikarimaximumpoolsize"), Some("20"));
        assert_eq!(value(&all, "springdataredishost"), Some("cache"));
        assert_eq!(value(&all, "a0"), Some("1"));
        assert_eq!(value(&all, "springrabbitmqhost"), Some("rabbit"));
        // Of what held them, nothing else is left: an address in it would count twice.
        assert_eq!((all.len(), value(&all, "javatooloptions")), (5, Some("-Xmx512m")));
    }

    #[test]
    fn a_pool_size_is_found_however_a_program_is_told_it() {
        let size = |environment: &[Variable], arguments: &[&str]| {
            let arguments: Vec<Variable> = arguments.iter().map(|text| variable("", text)).collect();
            let all = expand(environment, &arguments);
            let found: Vec<&str> =
                all.iter().filter(|one| pools::is_size(&one.name)).filter_map(|one| one.value.as_deref()).collect();
            found.join(",")
        };
        for name in ["_JAVA_OPTIONS", "JAVA_OPTIONS", "CATALINA_OPTS", "JVM_OPTS", "JAVA_ARGS", "APP_FLAGS"] {
            let options = "-Xmx1g -Dspring.datasource.hikari.maximum-pool-size=200";
            assert_eq!(size(&[variable(name, options)], &[]), "200", "{name}");
        }
        for arguments in [
            &["sh", "-c", "export SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE=200; exec java -jar app.jar"][..],
            &["sh", "-c", "DB_POOL_SIZE='200' exec java -jar app.jar"],
            &["env", "DB_POOL_SIZE=200", "java"],
            &["sh -c \"export JAVA_OPTS='-Xmx1g -Ddb.pool.size=200'; exec java\""],
            &["sh -c \"export JAVA_OPTS=-Ddb.pool.size=200&& exec java\""],
            &["app", "--db-pool-size", "200"],
            &["app -db-pool-size 200"],
            &["app", "-db-pool-size=200"],
            &["app", "--db-pool-size=200"],
        ] {
            assert_eq!(size(&[], arguments), "200", "{arguments:?}");
        }
        assert_eq!(size(&[], &["app", "--db-pool-size"]), "", "and cannot be read");
        assert_eq!(expand(&[], &[variable("", "app --db-pool-size")]).len(), 1);
        assert_eq!(expand(&[variable(GUNICORN, "--workers=3")], &[]), [variable(GUNICORN, "--workers=3")]);
    }

    #[test]
    fn a_file_tells_its_settings_by_their_whole_names() {
        let yaml = "# pools: many\na:\n  b:\n    c: 1 # one\n  d: '2'\nlist:\n  - name: x\n    size: 3\ne: 4\n";
        for (text, expected) in [
            (yaml, vec![("a.b.c", "1"), ("a.d", "2"), ("list.name", "x"), ("list.size", "3"), ("e", "4")]),
            ("a.b=1\n#c=2\nD = 3", vec![("a.b", "1"), ("D", "3")]),
            (r#"{"a": {"b": 1}}"#, vec![("a.b", "1")]),
        ] {
            let found = in_file(&variable("application", text));
            let found: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.value.as_deref().unwrap())).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_no_property_is_a_plain_word() {
        assert_eq!(
            plain_words("app --dsn x --a=b '-Dc=d' -e=f G=h").collect::<Vec<_>>(),
            ["app", "--dsn", "x", "-e=f"]
        );
    }

    #[test]
    fn references_between_variables_are_followed_once() {
        let environment =
            [variable("HOST", "db"), variable("URL", "jdbc:mysql://$(HOST):3306/$(NAME)"), variable("X", "$(X")];
        let all = expand(&environment, &[]);
        assert_eq!(value(&all, "url"), Some("jdbc:mysql://db:3306/$(NAME)"));
        assert_eq!(value(&all, "x"), Some("$(X"));
    }
}
