//! `${NAME}` in values.

use std::collections::HashMap;

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// It stands for itself.
    Plain(&'a str),
    /// A dollar sign that stands for itself.
    Dollar,
    /// `$${`, which stands for `${`.
    Escaped,
    /// `${NAME}`.
    Variable(&'a str),
    /// `${` that begins no variable, shown with what follows up to its brace; without one, nothing closes it.
    Broken(&'a str),
}

/// The parts of a text in order.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = vec![];
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        parts.push(Part::Plain(before));
        let (part, length) = part_at_dollar(from);
        parts.push(part);
        rest = &from[length..];
    }
    parts.push(Part::Plain(rest));
    parts
}

/// What begins with a dollar sign, and how long it is.
fn part_at_dollar(text: &str) -> (Part<'_>, usize) {
    if text.starts_with("$${") {
        return (Part::Escaped, 3);
    }
    let Some(inside) = text.strip_prefix("${") else { return (Part::Dollar, 1) };
    match inside.split_once('}') {
        Some((name, _)) if is_name(name) => (Part::Variable(name), name.len() + 3),
        Some((other, _)) => (Part::Broken(&text[..other.len() + 3]), 2),
        None => (Part::Broken(text), 2),
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The variables that a text names, in order.
pub(crate) fn names(text: &str) -> impl Iterator<Item = &str> {
    parts(text).into_iter().filter_map(|part| match part {
        Part::Variable(name) => Some(name),
        _ => None,
    })
}

/// The text of a document as the parser takes it, for which any other `$` than those of variables begins one, too.
pub(super) fn expandable(text: &str) -> String {
    let written = |part: Part<'_>| match part {
        Part::Plain(text) => text.to_owned(),
        Part::Dollar => "$$".to_owned(),
        // What is broken stands in a comment here, or it would have been refused.
        Part::Escaped | Part::Broken(_) => "$${".to_owned(),
        Part::Variable(name) => format!("${{{name}}}"),
    };
    parts(text).into_iter().map(written).collect()
}

/// A text with its variables replaced; one that is not set stays as it is.
pub(super) fn expanded(text: &str, variables: &HashMap<String, String>) -> String {
    let meant = |part: Part<'_>| match part {
        Part::Plain(text) => text.to_owned(),
        Part::Dollar => "$".to_owned(),
        Part::Escaped | Part::Broken(_) => "${".to_owned(),
        Part::Variable(name) => variables.get(name).cloned().unwrap_or_else(|| format!("${{{name}}}")),
    };
    parts(text).into_iter().map(meant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_falls_into_its_parts() {
        let of = |text| parts(text).into_iter().filter(|part| *part != Part::Plain("")).collect::<Vec<_>>();
        assert_eq!(of("a${B_2}c"), [Part::Plain("a"), Part::Variable("B_2"), Part::Plain("c")]);
        assert_eq!(
            of("pa$$wo$rd"),
            [Part::Plain("pa"), Part::Dollar, Part::Dollar, Part::Plain("wo"), Part::Dollar, Part::Plain("rd")]
        );
        assert_eq!(of("$${A}"), [Part::Escaped, Part::Plain("A}")]);
        assert_eq!(of("${A:-b} c"), [Part::Broken("${A:-b}"), Part::Plain("A:-b} c")]);
        assert_eq!(of("${NOPE"), [Part::Broken("${NOPE"), Part::Plain("NOPE")]);
        assert_eq!(of("${}")[0], Part::Broken("${}"));
        assert_eq!(of("${1A}")[0], Part::Broken("${1A}"));
    }

    #[test]
    fn only_variables_are_replaced() {
        let variables = HashMap::from([("A".to_owned(), "x $1".to_owned())]);
        assert_eq!(expanded("/run/${A}/$B/$${A}/${C}", &variables), "/run/x $1/$B/${A}/${C}");
        assert_eq!(expandable("a: ${A} # 5 $ or ${"), "a: ${A} # 5 $$ or $${");
    }
}
