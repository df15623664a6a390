//! How many processes one container runs, each with pools of its own.

use crate::variables::Variable;

/// Variables that servers themselves read.
const VARIABLES: &[&str] = &["WEB_CONCURRENCY", "UVICORN_WORKERS", "UWSGI_PROCESSES", "UWSGI_WORKERS"];

/// Flags that mean processes whatever the program is, and those that do so for a program alone.
const FLAGS: &[&str] = &["--workers", "--processes"];
const FLAGS_OF: &[(&str, &[&str])] = &[
    ("gunicorn", &["-w"]),
    ("puma", &["-w"]),
    ("uwsgi", &["-p"]),
    ("celery", &["-c", "--concurrency"]),
    ("pm2", &["-i", "--instances"]),
];

/// Processes in one container; or why that cannot be told. What the command line says goes before the environment; all of
/// its numbers count, because it may start several programs.
pub(crate) fn processes(variables: &[Variable], arguments: &[Variable]) -> Result<u64, String> {
    let named = |name: &str| variables.iter().find(|known| known.name == name);
    let of_gunicorn = named("GUNICORN_CMD_ARGS").and_then(|known| known.value.as_deref());
    let command_line: Vec<&str> = of_gunicorn
        .into_iter()
        .chain(arguments.iter().filter_map(|argument| argument.value.as_deref()))
        .flat_map(str::split_whitespace)
        .collect();
    // What stands before the program is not for it: `sh -c "celery -c 4"`.
    let place_of = |program: &str| match of_gunicorn {
        Some(_) if program == "gunicorn" => Some(0),
        _ => command_line.iter().position(|word| word.contains(program)),
    };
    let of_programs = FLAGS_OF.iter().filter_map(|(program, flags)| Some((place_of(program)?, *flags)));
    let flags: Vec<(usize, &[&str])> = of_programs.chain([(0, FLAGS)]).collect();
    let said = command_line.iter().enumerate().filter_map(|(at, word)| {
        let valid = flags.iter().filter(|(from, _)| *from <= at).flat_map(|(_, flags)| *flags);
        value_of(valid, word, command_line.get(at + 1))
    });
    let numbers = said.map(|said| {
        number(said, variables).ok_or_else(|| "its command line gives workers without a number".to_owned())
    });
    let of_flags = numbers.reduce(|one, two| Ok(one?.saturating_add(two?)));
    let is_alone = !command_line.iter().any(|word| word.ends_with('&') && !word.ends_with("&&"));
    if let Some(flags) = of_flags.clone().filter(|_| is_alone) {
        return flags;
    }
    let known = VARIABLES.iter().filter_map(|name| named(name)).map(|known| {
        let value = known.value.as_deref().and_then(|value| number(value, variables));
        value.ok_or_else(|| format!("{} at {} is not a number that is written down", known.name, known.at))
    });
    let of_environment = known.reduce(|one, two| Ok(one?.max(two?)));
    // What runs beside the program with the flag may read the environment.
    of_flags.into_iter().chain(of_environment).reduce(|one, two| Ok(one?.saturating_add(two?))).unwrap_or(Ok(1))
}

/// What stands after one of the flags: `--workers 4`, `--workers=4`, `-w 4`, `-w4`.
fn value_of<'a, 'b>(
    mut flags: impl Iterator<Item = &'b &'b str>,
    word: &'a str,
    next: Option<&&'a str>,
) -> Option<&'a str> {
    flags.find_map(|flag| {
        let rest = word.strip_prefix(flag)?;
        if rest.is_empty() {
            return next.copied();
        }
        if let Some(attached) = rest.strip_prefix('=') {
            return Some(attached);
        }
        let is_short = !flag.starts_with("--");
        (is_short && rest.starts_with(|first: char| first.is_ascii_digit() || first == '$')).then_some(rest)
    })
}

/// A number, or what a shell makes of `$NAME`, `${NAME}` and `${NAME:-4}`. None is 1: the server itself.
fn number(text: &str, variables: &[Variable]) -> Option<u64> {
    let text = text.trim_matches(['"', '\'', ';', ')']);
    let Some(name) = text.strip_prefix('$') else {
        return text.trim().parse().ok().map(|count: u64| count.max(1));
    };
    let name = name.trim_start_matches('{').trim_end_matches('}');
    let (name, default) = name.split_once(":-").map_or((name, None), |(name, default)| (name, Some(default)));
    let count = match variables.iter().find(|known| known.name == name) {
        Some(known) => known.value.as_deref()?.trim().parse::<u64>().ok()?,
        None => default?.parse().ok()?,
    };
    Some(count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: Option<&str>) -> Variable {
        Variable { name: name.to_owned(), value: value.map(str::to_owned), at: "pod.yaml:7".to_owned() }
    }

    fn environment(name: &str, value: &str) -> Option<u64> {
        processes(&[variable(name, Some(value))], &[]).ok()
    }

    fn command(text: &str) -> Option<u64> {
        let known = [variable("N", Some("6")), variable("HIDDEN", None)];
        processes(&known, &[variable("", Some(text))]).ok()
    }

    #[test]
    fn workers_multiply() {
        assert_eq!(environment("WEB_CONCURRENCY", "4"), Some(4));
        assert_eq!(environment("WEB_CONCURRENCY", "0"), Some(1));
        assert_eq!(environment("UWSGI_PROCESSES", "8"), Some(8));
        assert_eq!(environment("GUNICORN_CMD_ARGS", "--bind :80 --workers=3"), Some(3));
        for (text, expected) in [
            ("gunicorn -w 5 app:app", 5),
            ("gunicorn -w5 app:app", 5),
            ("uvicorn app:app --workers 2", 2),
            ("uwsgi -p 3", 3),
            ("celery worker --concurrency=7", 7),
            ("celery worker -c 7", 7),
            ("sh -c 'celery worker -c 7'", 7),
            ("sh -c 'exec celery worker'", 1),
            ("java -w 5", 1),
            ("java -jar app.jar", 1),
            ("sh -c \"gunicorn -w $N app:app\"", 6),
            ("gunicorn --workers=${N:-4} app:app", 6),
            ("gunicorn --workers ${M:-4} app:app", 4),
            ("gunicorn -worker-class sync app:app", 1),
        ] {
            assert_eq!(command(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn the_command_line_goes_before_the_environment() {
        let known = [variable("WEB_CONCURRENCY", Some("9"))];
        assert_eq!(processes(&known, &[variable("", Some("gunicorn -w 2 app:app"))]), Ok(2));
    }

    #[test]
    fn several_programs_in_one_container_count_together() {
        assert_eq!(command("gunicorn -w 40 app:app & exec celery worker -c 1"), Some(41));
        assert_eq!(command("exec celery worker -c 1 & gunicorn -w 40 app:app"), Some(41));
        assert_eq!(command("gunicorn -w $HIDDEN app:app & exec celery worker -c 1"), None);
        let known = [variable("WEB_CONCURRENCY", Some("9"))];
        let of = |text| processes(&known, &[variable("", Some(text))]);
        assert_eq!(of("gunicorn app:app & exec celery worker -c 1"), Ok(10));
        assert_eq!(of("cd /app && gunicorn -w 2 app:app"), Ok(2));
    }

    #[test]
    fn a_number_that_cannot_be_read_is_not_one() {
        assert_eq!(environment("WEB_CONCURRENCY", "auto"), None);
        let hidden = processes(&[variable("WEB_CONCURRENCY", None)], &[]);
        assert!(hidden.unwrap_err().contains("WEB_CONCURRENCY at pod.yaml:7"));
        assert_eq!(command("gunicorn -w $HIDDEN app:app"), None);
        assert_eq!(command("gunicorn -w $NOWHERE app:app"), None);
        assert_eq!(command("pm2 start app.js -i max"), None);
    }
}
