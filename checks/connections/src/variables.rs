//! What a container is told: its environment, and the properties inside its arguments and options.

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

/// Variables whose value is a command line for a Java machine.
const JAVA_OPTIONS: &[&str] = &["JAVA_TOOL_OPTIONS", "JAVA_OPTS", "JDK_JAVA_OPTIONS"];

/// The variables of a container together with the properties that its arguments (`--key=value`, `-Dkey=value`), its Java
/// options and `SPRING_APPLICATION_JSON` hold, which stand for the variable that held them. `$(NAME)` is replaced as
/// Kubernetes does it.
pub(crate) fn expand(variables: &[Variable], arguments: &[Variable]) -> Vec<Variable> {
    let mut all = vec![];
    for variable in variables {
        let value = variable.value.as_deref().map(|value| substitute(value, variables));
        let Variable { name, at, .. } = variable.clone();
        let json = (name == "SPRING_APPLICATION_JSON").then(|| serde_json::from_str(value.as_deref()?).ok()).flatten();
        if let (Some(options), true) = (&value, JAVA_OPTIONS.contains(&name.as_str())) {
            all.extend(options.split_whitespace().filter_map(|word| property(word, &at)));
        } else if let Some(json) = json {
            flatten("", &json, &at, &mut all);
        } else {
            all.push(Variable { name, value, at });
        }
    }
    for argument in arguments {
        let value = substitute(argument.value.as_deref().unwrap_or_default(), variables);
        all.extend(value.split_whitespace().filter_map(|word| property(word, &argument.at)));
    }
    all
}

/// The words of an argument that are no property.
pub(crate) fn plain_words(argument: &str) -> impl Iterator<Item = &str> {
    argument.split_whitespace().filter(|word| split_property(word).is_none())
}

fn split_property(word: &str) -> Option<(&str, &str)> {
    let word = word.trim_start_matches(['"', '\'']);
    let (name, value) = word.strip_prefix("--").or_else(|| word.strip_prefix("-D"))?.split_once('=')?;
    Some((name, value.trim_matches(['"', '\''])))
}

fn property(word: &str, at: &str) -> Option<Variable> {
    let (name, value) = split_property(word)?;
    Some(Variable { name: name.to_owned(), value: Some(value.to_owned()), at: at.to_owned() })
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
    name.chars().filter(char::is_ascii_alphanumeric).map(|character| character.to_ascii_lowercase()).collect()
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
        // What held them is gone: an address in it would count twice.
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn what_is_no_property_is_a_plain_word() {
        assert_eq!(plain_words("app --dsn x --a=b '-Dc=d' -e=f").collect::<Vec<_>>(), ["app", "--dsn", "x", "-e=f"]);
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
