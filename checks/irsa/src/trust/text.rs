//! Texts in policies: wildcards and variables.

/// One piece of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// Exactly this character.
    Is(char),
    /// Any one character.
    One,
    /// Any number of characters.
    Any,
}

/// A text to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

/// What a variable stands for.
pub(super) enum Variable {
    Value(String),
    /// The request does not have it.
    Absent,
    /// It is not known here whether and what the request has.
    Unknown,
}

impl Pattern {
    /// With `*` and `?` as wildcards.
    pub(super) fn wildcards(text: &str) -> Self {
        Self(text.chars().map(wildcard).collect())
    }

    /// Without wildcards.
    pub(super) fn literal(text: &str) -> Self {
        Self(text.chars().map(Piece::Is).collect())
    }

    /// A value of a condition, its variables replaced; an error names the variable that cannot be.
    pub(super) fn of_value(
        text: &str,
        has_wildcards: bool,
        variable: impl Fn(&str) -> Variable,
    ) -> Result<Self, String> {
        let mut pieces = vec![];
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let Some(end) = rest[at..].find('}').map(|end| at + end) else { break };
            pieces.extend(rest[..at].chars().map(|c| piece(c, has_wildcards)));
            let inside = &rest[at + 2..end];
            let value = match inside {
                "*" | "?" | "$" => inside.to_owned(),
                _ => resolve(inside, &variable)?,
            };
            pieces.extend(value.chars().map(Piece::Is));
            rest = &rest[end + 1..];
        }
        pieces.extend(rest.chars().map(|c| piece(c, has_wildcards)));
        Ok(Self(pieces))
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let pieces = &self.0;
        let (mut at, mut piece) = (0, 0);
        // Where the last `*` stands, and how much of the text it has eaten.
        let mut star: Option<(usize, usize)> = None;
        while at < text.len() {
            match pieces.get(piece) {
                Some(Piece::Any) => {
                    star = Some((piece, at));
                    piece += 1;
                }
                Some(Piece::One) => (at, piece) = (at + 1, piece + 1),
                Some(Piece::Is(c)) if *c == text[at] => (at, piece) = (at + 1, piece + 1),
                _ => match star {
                    Some((back, eaten)) => {
                        star = Some((back, eaten + 1));
                        (at, piece) = (eaten + 1, back + 1);
                    }
                    None => return false,
                },
            }
        }
        pieces[piece..].iter().all(|piece| *piece == Piece::Any)
    }

    /// The same without regard to case.
    pub(super) fn matches_folded(&self, text: &str) -> bool {
        let fold = |piece: &Piece| match piece {
            Piece::Is(c) => c.to_lowercase().map(Piece::Is).collect(),
            other => vec![*other],
        };
        Self(self.0.iter().flat_map(fold).collect()).matches(&text.to_lowercase())
    }
}

fn wildcard(c: char) -> Piece {
    match c {
        '*' => Piece::Any,
        '?' => Piece::One,
        c => Piece::Is(c),
    }
}

fn piece(c: char, has_wildcards: bool) -> Piece {
    if has_wildcards { wildcard(c) } else { Piece::Is(c) }
}

/// `key`, or `key, 'default'`.
fn resolve(inside: &str, variable: &impl Fn(&str) -> Variable) -> Result<String, String> {
    let (key, default) = match inside.split_once(',') {
        Some((key, default)) => (key.trim(), Some(default.trim().trim_matches('\''))),
        None => (inside.trim(), None),
    };
    match (variable(key), default) {
        (Variable::Value(value), _) => Ok(value),
        (Variable::Absent, Some(default)) => Ok(default.to_owned()),
        (Variable::Absent | Variable::Unknown, _) => Err(key.to_owned()),
    }
}
