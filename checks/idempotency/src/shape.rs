//! The shape of a query that shows a second effect for certain: columns of rows, or their number or sum, as they are.
//!
//! What stands around a count, or between the rows and the result, may make two effects look like one: `COUNT(*) > 0`,
//! `LEAST(COUNT(*), 1)`, `SUM(a) / COUNT(*)`, `:key IN (SELECT …)`. Such texts are refused rather than understood.

use crate::template::TemplateError;
use std::ops::Range;

/// Calls that make one row of all.
const FOLDING: [&str; 17] = [
    "COUNT",
    "SUM",
    "MIN",
    "MAX",
    "AVG",
    "ANY_VALUE",
    "BIT_AND",
    "BIT_OR",
    "BIT_XOR",
    "GROUP_CONCAT",
    "JSON_ARRAYAGG",
    "JSON_OBJECTAGG",
    "STD",
    "STDDEV",
    "STDDEV_POP",
    "VARIANCE",
    "VAR_POP",
];

/// Words of a condition that are no columns.
const SAYING: [&str; 7] = ["LIKE", "IN", "CONCAT", "ORDER", "BY", "LIMIT", "SELECT"];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// A bare word, in capitals.
    Word(String),
    /// A name in backticks.
    Name,
    /// A text in quotes.
    Text,
    Symbol(char),
}

#[derive(Clone, Debug)]
struct Token {
    kind: Kind,
    at: Range<usize>,
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(own) if own == word)
    }

    fn is_symbol(&self, symbol: char) -> bool {
        self.kind == Kind::Symbol(symbol)
    }

    fn is_name(&self) -> bool {
        match &self.kind {
            Kind::Name => true,
            Kind::Word(word) => {
                !word.starts_with(|first: char| first.is_ascii_digit())
                    && !["NULL", "TRUE", "FALSE", "AS"].contains(&word.as_str())
            }
            Kind::Text | Kind::Symbol(_) => false,
        }
    }
}

/// Refuses every query of another shape.
pub(crate) fn check(query: &str) -> Result<(), TemplateError> {
    let tokens = tokens(query);
    let mut arms = vec![];
    let mut rest = tokens.as_slice();
    while let Some(at) = rest.windows(2).position(|pair| pair[0].is("UNION") && pair[1].is("ALL")) {
        arms.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    arms.push(rest);
    arms.into_iter().try_for_each(|arm| check_arm(query, arm))
}

/// Refuses every statement that may remove what has another key: one of its conditions, which AND joins, must compare a
/// column with the key.
pub(crate) fn check_removal(statement: &str) -> Result<(), TemplateError> {
    let tokens = tokens(statement);
    let reaches = ["OR", "XOR"].into_iter().find(|word| tokens.iter().any(|token| token.is(word)));
    let bars = tokens.windows(2).any(|pair| pair.iter().all(|token| token.is_symbol('|'))).then_some("`||`");
    if let Some(found) = reaches.or(bars) {
        return Err(TemplateError::Reaches(found));
    }
    let from = at_top(&tokens, |token| token.is("WHERE")).next().map_or(tokens.len(), |at| at + 1);
    let conditions = &tokens[from..];
    let mut start = 0;
    for end in at_top(conditions, |token| token.is("AND")).chain([conditions.len()]) {
        if compares_with_key(&conditions[start..end]) {
            return Ok(());
        }
        start = end + 1;
    }
    Err(TemplateError::NotCompared)
}

/// Whether a condition says that a column is the key or is made with it.
fn compares_with_key(condition: &[Token]) -> bool {
    let is_key = |at: usize| {
        let sign = at.checked_sub(1).and_then(|before| condition.get(before));
        condition[at].is("KEY") && sign.is_some_and(|token| token.is_symbol(':'))
    };
    let names_key = (0..condition.len()).any(is_key);
    let is_column =
        |at: usize| condition[at].is_name() && !is_key(at) && !SAYING.iter().any(|word| condition[at].is(word));
    let has_column = (0..condition.len()).any(is_column);
    let compares =
        condition.iter().any(|token| token.is_symbol('=') || ["LIKE", "IN"].iter().any(|word| token.is(word)));
    let is_turned = condition.iter().any(|token| {
        ["NOT", "IS"].iter().any(|word| token.is(word)) || ['<', '>', '!'].iter().any(|sign| token.is_symbol(*sign))
    });
    names_key && has_column && compares && !is_turned
}

fn check_arm(query: &str, arm: &[Token]) -> Result<(), TemplateError> {
    let opened = arm.iter().take_while(|token| token.is_symbol('(')).count();
    let Some((select, rest)) = arm[opened..].split_first() else { return Err(TemplateError::NoTable) };
    if !select.is("SELECT") || rest.iter().any(|token| token.is("SELECT")) {
        return Err(TemplateError::Subquery);
    }
    let from = at_top(rest, |token| token.is("FROM")).next().unwrap_or(rest.len());
    let (shown, read) = rest.split_at(from);
    let mut counts = false;
    let mut start = 0;
    let ends: Vec<usize> = at_top(shown, |token| token.is_symbol(',')).chain([shown.len()]).collect();
    for end in ends {
        let item = &shown[start..end];
        counts |= check_item(item).map_err(|()| TemplateError::NotPlain(text(query, item)))?;
        start = end + 1;
    }
    if read.len() < 2 {
        return Err(TemplateError::NoTable);
    }
    match folding(read) {
        Some(word) if !counts => Err(TemplateError::NotCounted(word)),
        _ => Ok(()),
    }
}

/// Whether what is shown is a number or a sum; otherwise it is a column.
fn check_item(item: &[Token]) -> Result<bool, ()> {
    let counts = item.first().is_some_and(|token| token.is("COUNT") || token.is("SUM"))
        && item.get(1).is_some_and(|token| token.is_symbol('('));
    let alias = if counts {
        let close = closing(&item[1..]).ok_or(())? + 1;
        if close == 2 {
            return Err(());
        }
        &item[close + 1..]
    } else {
        after_column(item).ok_or(())?
    };
    match alias {
        [] => Ok(counts),
        [name] | [Token { kind: Kind::Word(_), .. }, name]
            if (name.is_name() || name.kind == Kind::Text) && (alias.len() == 1 || alias[0].is("AS")) =>
        {
            Ok(counts)
        }
        _ => Err(()),
    }
}

/// What follows `*`, `a`, `t.a` or `t.*`.
fn after_column(item: &[Token]) -> Option<&[Token]> {
    let (first, mut rest) = item.split_first()?;
    if first.is_symbol('*') {
        return Some(rest);
    }
    if !first.is_name() {
        return None;
    }
    while let [dot, part, after @ ..] = rest {
        if !dot.is_symbol('.') {
            break;
        }
        if !(part.is_symbol('*') || part.is_name()) {
            return None;
        }
        rest = after;
    }
    Some(rest)
}

/// What makes one row of several, somewhere after FROM.
fn folding(read: &[Token]) -> Option<&'static str> {
    let called = |name: &str| read.windows(2).any(|pair| pair[0].is(name) && pair[1].is_symbol('('));
    let there = |word: &str| read.iter().any(|token| token.is(word));
    ["GROUP", "HAVING"].into_iter().find(|word| there(word)).or_else(|| FOLDING.into_iter().find(|name| called(name)))
}

/// Where tokens outside of parentheses are such.
fn at_top(tokens: &[Token], wanted: impl Fn(&Token) -> bool) -> impl Iterator<Item = usize> {
    let mut depth = 0_i32;
    tokens.iter().enumerate().filter_map(move |(at, token)| {
        depth += i32::from(token.is_symbol('(')) - i32::from(token.is_symbol(')'));
        (depth == 0 && wanted(token)).then_some(at)
    })
}

/// Where the parenthesis that the tokens begin with is closed.
fn closing(tokens: &[Token]) -> Option<usize> {
    at_top(tokens, |token| token.is_symbol(')')).next()
}

fn text(query: &str, tokens: &[Token]) -> String {
    let ends = tokens.first().zip(tokens.last());
    ends.and_then(|(first, last)| query.get(first.at.start..last.at.end)).unwrap_or_default().to_owned()
}

fn tokens(query: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut characters = query.char_indices().peekable();
    while let Some((start, first)) = characters.next() {
        if first.is_whitespace() {
            continue;
        }
        let mut end = start + first.len_utf8();
        let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$');
        let kind = match first {
            '\'' | '"' | '`' => {
                for (at, next) in characters.by_ref() {
                    end = at + next.len_utf8();
                    if next == first {
                        break;
                    }
                }
                if first == '`' { Kind::Name } else { Kind::Text }
            }
            _ if is_part(first) => {
                while let Some((at, next)) = characters.next_if(|(_, next)| is_part(*next)) {
                    end = at + next.len_utf8();
                }
                Kind::Word(query[start..end].to_uppercase())
            }
            symbol => Kind::Symbol(symbol),
        };
        tokens.push(Token { kind, at: start..end });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_counts_and_sums_are_shown_as_they_are() {
        for query in [
            "SELECT order_id, amount FROM payments WHERE order_id = :key",
            "select p.*, `limit` AS l, shop.p.amount total FROM payments p WHERE k = :key",
            "SELECT * FROM t WHERE k = :key ORDER BY LOWER(a)",
            "SELECT COUNT(*) AS n, SUM(amount * rate) 'total' FROM t WHERE k LIKE CONCAT(LEFT(:key, 15), '%')",
            "SELECT side, COUNT(id) n FROM t WHERE k = :key GROUP BY side HAVING COUNT(id) > 0",
            "SELECT a FROM t JOIN u ON t.id = u.t WHERE u.k = :key",
            "(SELECT a FROM t WHERE k = :key) UNION ALL (SELECT COUNT(*) FROM u WHERE k = :key)",
        ] {
            assert_eq!(check(query), Ok(()), "{query}");
        }
    }

    #[test]
    fn anything_around_a_count_is_refused_with_its_text() {
        for (item, from) in [
            ("COUNT(*) > 0", "FROM t WHERE k = :key"),
            ("LEAST(COUNT(*),1)", "FROM t WHERE k = :key"),
            ("SUM(amount) / COUNT(*)", "FROM t WHERE k = :key"),
            ("IF(COUNT(*), 'yes', 'no') AS seen", "FROM t WHERE k = :key"),
            ("CASE WHEN COUNT(*) > 0 THEN 1 END", "FROM t WHERE k = :key"),
            ("SIGN(SUM(amount))", "FROM t WHERE k = :key"),
            ("AVG(amount)", "FROM t WHERE k = :key"),
            ("(COUNT(*))", "FROM t WHERE k = :key"),
            ("NOT COUNT(*)", "FROM t WHERE k = :key"),
            ("COUNT(*) OVER ()", "FROM t WHERE k = :key"),
            ("COUNT()", "FROM t WHERE k = :key"),
            ("amount > 0", "FROM t WHERE k = :key"),
            ("1", "FROM t WHERE k = :key"),
            ("'paid'", "FROM t WHERE k = :key"),
            ("NULL", "FROM t WHERE k = :key"),
            (":key", "FROM t WHERE k = :key"),
            ("1 WHERE :key", ""),
        ] {
            let query = format!("SELECT a, {item} {from}");
            assert_eq!(check(&query), Err(TemplateError::NotPlain(item.to_owned())), "{query}");
        }
        assert!(matches!(check("SELECT a, FROM t WHERE k = :key"), Err(TemplateError::NotPlain(_))));
    }

    #[test]
    fn a_select_inside_another_is_refused() {
        for query in [
            "SELECT 1 WHERE :key IN (SELECT order_id FROM payments)",
            "SELECT name FROM shops WHERE :key IN (SELECT order_id FROM payments)",
            "SELECT n FROM (SELECT LEAST(COUNT(*), 1) AS n FROM t WHERE k = :key) x",
            "SELECT EXISTS(SELECT 1 FROM t WHERE k = :key) FROM t",
            "WITH c AS (SELECT COUNT(*) AS n FROM t WHERE k = :key) SELECT a FROM u JOIN c ON c.n > 0",
        ] {
            assert_eq!(check(query), Err(TemplateError::Subquery), "{query}");
        }
    }

    #[test]
    fn rows_that_are_folded_must_be_counted_in_every_arm() {
        let counted = |text: &str| check(text).err();
        assert_eq!(counted("SELECT a FROM t WHERE k = :key GROUP BY a"), Some(TemplateError::NotCounted("GROUP")));
        assert_eq!(
            counted("SELECT a FROM t WHERE k = :key HAVING COUNT(*) > 0"),
            Some(TemplateError::NotCounted("HAVING"))
        );
        assert_eq!(counted("SELECT a FROM t WHERE k = :key ORDER BY MAX(b)"), Some(TemplateError::NotCounted("MAX")));
        assert_eq!(
            counted("SELECT COUNT(*) FROM t WHERE k = :key UNION ALL SELECT a FROM u WHERE k = :key GROUP BY a"),
            Some(TemplateError::NotCounted("GROUP"))
        );
    }

    #[test]
    fn a_removal_compares_a_column_with_the_key_and_reaches_no_further() {
        for statement in [
            "DELETE FROM t WHERE k = :key",
            "delete from `or` where :key = k and `or` = 1",
            "UPDATE t SET a = NULL WHERE b IS NOT NULL AND k LIKE CONCAT('% OR ', :key) ORDER BY k LIMIT 5",
            "DELETE t FROM t JOIN u ON u.id = t.u WHERE u.k IN (:key)",
        ] {
            assert_eq!(check_removal(statement), Ok(()), "{statement}");
        }
        for (statement, found) in [
            ("DELETE FROM t WHERE k = :key OR 1=1", "OR"),
            ("DELETE FROM t WHERE (`k`=:key)or(1)", "OR"),
            ("DELETE FROM t WHERE k = :key XOR 1", "XOR"),
            ("DELETE FROM t WHERE k = :key || 1", "`||`"),
        ] {
            assert_eq!(check_removal(statement), Err(TemplateError::Reaches(found)), "{statement}");
        }
        for statement in [
            "DELETE FROM t",
            "UPDATE t SET k = :key",
            "DELETE FROM t WHERE :key = :key",
            "DELETE FROM t WHERE k <> :key",
            "DELETE FROM t WHERE NOT k = :key",
            "DELETE FROM t WHERE :key IS NOT NULL AND k = 1",
            "DELETE FROM t WHERE :key LIKE '%'",
        ] {
            assert_eq!(check_removal(statement), Err(TemplateError::NotCompared), "{statement}");
        }
    }

    #[test]
    fn a_query_of_no_table_is_refused() {
        assert_eq!(check("SELECT a"), Err(TemplateError::NoTable));
        assert_eq!(check("SELECT a FROM t UNION ALL"), Err(TemplateError::NoTable));
    }
}
