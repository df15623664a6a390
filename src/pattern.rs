//! Patterns of check ids: `*` stands for any part of an id.

/// Whether an id fits a pattern.
pub(crate) fn matches(pattern: &str, id: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == id,
        Some((start, rest)) => id
            .strip_prefix(start)
            .is_some_and(|id| (0..=id.len()).filter(|at| id.is_char_boundary(*at)).any(|at| matches(rest, &id[at..]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_part() {
        for pattern in ["irsa.trust-allows", "irsa.*", "*", "*.trust-*", "i*a.*s", "irsa.trust-allows*"] {
            assert!(matches(pattern, "irsa.trust-allows"), "{pattern}");
        }
        for pattern in ["irsa", "load.*", "", "irsa.trust-allow", "*.trust"] {
            assert!(!matches(pattern, "irsa.trust-allows"), "{pattern}");
        }
    }
}
