//! How many processes one container runs, each with pools of its own.

use crate::variables::Variable;

/// Variables that servers themselves read.
const VARIABLES: &[&str] = &[
    "WEB_CONCURRENCY",
    "UVICORN_WORKERS",
    "UWSGI_PROCESSES",
    "UWSGI_WORKERS",
    "GUNICORN_WORKERS",
    "PUMA_WORKERS",
    "UNICORN_WORKERS",
    "PM2_INSTANCES",
    "CELERY_CONCURRENCY",
    "CELERYD_CONCURRENCY",
    "PASSENGER_MAX_POOL_SIZE",
    "PHP_FPM_PM_MAX_CHILDREN",
    "PHP_FPM_MAX_CHILDREN",
    "PM_MAX_CHILDREN",
];

/// Flags that mean processes whatever the program is, and those that do so for a program alone.
const FLAGS: &[&str] = &["--workers", "--processes"];
const FLAGS_OF: &[(&str, &[&str])] = &[
    ("gunicorn", &["-w"]),
    ("puma", &["-w"]),
    ("uwsgi", &["-p"]),
    ("celery", &["-c", "--concurrency"]),
    ("pm2", &["-i", "--instances"]),
    ("passenger", &["--max-pool-size"]),
];

/// Programs that may be told the number in a file, and how the file shows on their command line.
const FILES_OF: &[(&str, &[&str])] = &[
    ("gunicorn", &["-c", "--config"]),
    ("puma", &["-C", "--config"]),
    ("unicorn", &["-c", "--config-file"]),
    ("uwsgi", &["--ini", "--yaml", "--xml", "--json", ".ini", ".yaml", ".xml", ".json"]),
    ("pm2", &[".config.js", ".config.cjs", ".json", ".yaml", ".yml"]),
];

/// A program whose number stands in a file wherever it is not in a variable.
const PHP_FPM: &str = "php-fpm";

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
    let known = variables.iter().filter(|known| VARIABLES.contains(&known.name.as_str())).map(|known| {
        let value = known.value.as_deref().and_then(|value| number(value, variables));
        value.ok_or_else(|| format!("{} at {} is not a number that is written down", known.name, known.at))
    });
    let of_environment = known.reduce(|one, two| Ok(one?.max(two?)));
    if let Some(why) = file_with_the_number(&command_line, of_gunicorn.is_some(), of_environment.is_some()) {
        return Err(why);
    }
    // What runs beside the program with the flag may read the environment.
    of_flags.into_iter().chain(of_environment).reduce(|one, two| Ok(one?.saturating_add(two?))).unwrap_or(Ok(1))
}

/// Where the number stands if it is in a file. A file of a program goes before the environment.
fn file_with_the_number(words: &[&str], has_gunicorn: bool, has_variable: bool) -> Option<String> {
    let is_program = |word: &str, program: &str| {
        let name = word.trim_matches(['"', '\'', ';', '&', '(', ')']).rsplit('/').next().unwrap_or_default();
        name.strip_prefix(program)
            .is_some_and(|rest| !rest.contains('.') || rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    for (program, signs) in FILES_OF {
        let place = words.iter().position(|word| is_program(word, program));
        let place = place.map(|place| place + 1).or((has_gunicorn && *program == "gunicorn").then_some(0));
        let is_file = |word: &&&str| {
            let word = word.trim_matches(['"', '\'', ';']);
            signs.iter().any(|sign| {
                if sign.starts_with('.') {
                    word.ends_with(sign)
                } else {
                    word == *sign || word.strip_prefix(sign).is_some_and(|rest| rest.starts_with('='))
                }
            })
        };
        let ends = |word: &&str| word.ends_with(['&', ';', '|']);
        let own = place.and_then(|place| words.get(place..)?.split_inclusive(ends).next());
        if own.into_iter().flatten().any(|word| is_file(&word)) {
            return Some(format!("{program} is given a file that may tell its workers"));
        }
    }
    let is_php = !has_variable && words.iter().any(|word| is_program(word, PHP_FPM));
    is_php.then(|| format!("the file of {PHP_FPM} tells its children (`pm.max_children`)"))
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
    fn the_variables_of_servers_are_known() {
        for name in [
            "GUNICORN_WORKERS",
            "PUMA_WORKERS",
            "UNICORN_WORKERS",
            "PM2_INSTANCES",
            "CELERY_CONCURRENCY",
            "PASSENGER_MAX_POOL_SIZE",
        ] {
            assert_eq!(environment(name, "40"), Some(40), "{name}");
        }
        let twice = [variable("WEB_CONCURRENCY", Some("2")), variable("WEB_CONCURRENCY", Some("9"))];
        assert_eq!(processes(&twice, &[]), Ok(9), "a shell may assign it once more");
    }

    #[test]
    fn a_file_that_may_tell_the_number_is_not_one() {
        for text in [
            "gunicorn -c gunicorn.conf.py app:app",
            "sh -c 'exec /usr/bin/gunicorn --config=python:conf app:app'",
            "bundle exec puma -C config/puma.rb",
            "unicorn -c config/unicorn.rb",
            "uwsgi --ini app.ini",
            "uwsgi /etc/app.ini",
            "pm2-runtime ecosystem.config.js",
            "php-fpm",
            "/usr/sbin/php-fpm8.2 -F",
        ] {
            assert_eq!(command(text), None, "{text}");
        }
        assert_eq!(environment("GUNICORN_CMD_ARGS", "-c gunicorn.conf.py"), None);
        assert_eq!(command("gunicorn -c gunicorn.conf.py -w 3 app:app"), Some(3), "a flag goes before a file");
        for text in ["celery worker --config=x", "java -c puma", "pm2 start app.js", "celery -A puma.app -C x"] {
            assert_eq!(command(text), Some(1), "{text}");
        }
        let children = [variable("PHP_FPM_PM_MAX_CHILDREN", Some("12"))];
        assert_eq!(processes(&children, &[variable("", Some("php-fpm -F"))]), Ok(12));
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
