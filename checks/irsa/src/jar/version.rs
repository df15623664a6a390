//! Versions such as `2.29.6`.

/// The first three numbers of a version.
pub(super) fn parse(text: &str) -> Option<[u64; 3]> {
    let mut parts = text.trim().splitn(3, '.');
    let number = |part: &str| {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        part[..digits].parse().ok()
    };
    let whole = |part: &str| part.parse().ok();
    Some([whole(parts.next()?)?, whole(parts.next()?)?, number(parts.next()?)?])
}

/// Module and version of `MODULE-VERSION.jar`.
pub(super) fn of_file(name: &str) -> Option<(&str, &str)> {
    let stem = name.strip_suffix(".jar")?;
    let at = stem.match_indices('-').map(|(at, _)| at).find(|at| parse(&stem[at + 1..]).is_some())?;
    Some((&stem[..at], &stem[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared_by_number() {
        assert_eq!(parse("2.29.6"), Some([2, 29, 6]));
        assert_eq!(parse("2.29.6-SNAPSHOT"), Some([2, 29, 6]));
        assert!(parse("1.11.1000") > parse("1.11.704"));
        for text in ["", "2", "2.29", "v2.29.6", "2.x.6", "99999999999999999999.1.1"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(of_file("aws-java-sdk-sts-1.12.1.jar"), Some(("aws-java-sdk-sts", "1.12.1")));
        assert_eq!(of_file("sts.jar"), None);
    }
}
