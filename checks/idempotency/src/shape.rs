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
const SAYING: [&str; 8] = ["AND", "CONCAT", "IN", "IS", "KEY", "LIKE", "NOT", "NULL"];

/// The conditions that only the key's rows meet, as [`outline`] has them.
const KEYED: [&str; 6] = [
    "n = : KEY",
    ": KEY = n",
    "n IN ( : KEY )",
    "n LIKE CONCAT ( t , : KEY )",
    "n LIKE CONCAT ( : KEY , t )",
    "n LIKE CONCAT ( t , : KEY , t )",
];

/// What may stand between two things that are compared.
const COMPARING: [&str; 9] = ["=", "<", ">", "< =", "> =", "< >", "! =", "LIKE", "NOT LIKE"];

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

    fn is_number(&self) -> bool {
        matches!(&self.kind, Kind::Word(word) if word.starts_with(|first: char| first.is_ascii_digit()))
    }

    /// Whether quotes end where they seem to, for every server.
    fn is_whole(&self, query: &str) -> bool {
        let quoted = &query[self.at.clone()];
        match self.kind {
            Kind::Name | Kind::Text => quoted.len() > 1 && !quoted.contains('\\') && quoted.ends_with(&quoted[..1]),
            Kind::Word(_) | Kind::Symbol(_) => true,
        }
    }

    fn is_name(&self) -> bool {
        match &self.kind {
            Kind::Name => true,
            Kind::Word(word) => !self.is_number() && !["NULL", "TRUE", "FALSE", "AS"].contains(&word.as_str()),
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

/// Refuses every statement that may remove what has another key. It removes from one table, and AND joins its conditions:
/// one says that a column is the key, and the others compare a column with something else.
pub(crate) fn check_removal(statement: &str) -> Result<(), TemplateError> {
    let mut tokens = tokens(statement);
    tokens.pop_if(|last| last.is_symbol(';'));
    let touch = |pair: &[Token], signs: [char; 2]| {
        pair[0].is_symbol(signs[0]) && pair[1].is_symbol(signs[1]) && pair[0].at.end == pair[1].at.start
    };
    let begins = |pair: &[Token]| touch(pair, ['-', '-']) || touch(pair, ['/', '*']);
    if tokens.iter().any(|token| token.is_symbol('#')) || tokens.windows(2).any(begins) {
        return Err(TemplateError::Comment);
    }
    let refused = |part: &[Token]| Err(TemplateError::Reaches(text(statement, part)));
    let is_odd = |token: &Token| token.is_symbol(';') || token.is("SELECT") || !token.is_whole(statement);
    if let Some(odd) = tokens.iter().position(is_odd) {
        return refused(&tokens[odd..=odd]);
    }
    let (_, conditions) = parts(&tokens).ok_or(TemplateError::NotOneTable)?;
    let is_understood =
        |condition: &&[Token]| is_keyed(statement, condition) || is_simple(&outline(statement, condition));
    match conditions.iter().find(|condition| !is_understood(condition)) {
        Some(condition) => refused(condition),
        None if conditions.iter().any(|condition| is_keyed(statement, condition)) => Ok(()),
        None => Err(TemplateError::NotCompared),
    }
}

/// A query of no rows that shows the columns which a statement that removes compares with the key.
pub(crate) fn compared(statement: &str) -> String {
    let tokens = tokens(statement);
    let (table, conditions) = parts(&tokens).unwrap_or_default();
    let column = |condition: &&[Token]| {
        let name = if condition.first()?.is_symbol(':') { condition.get(3..)? } else { condition };
        let after = after_column(name)?.len();
        is_keyed(statement, condition).then(|| text(statement, &name[..name.len() - after]))
    };
    let columns: Vec<String> = conditions.iter().filter_map(column).collect();
    format!("SELECT {} FROM {} LIMIT 0", columns.join(", "), text(statement, table))
}

/// The table and the conditions of `DELETE FROM t WHERE …` or `UPDATE t SET … WHERE …`.
fn parts(tokens: &[Token]) -> Option<(&[Token], Vec<&[Token]>)> {
    let table = match tokens {
        [delete, from, rest @ ..] if delete.is("DELETE") && from.is("FROM") => rest,
        [update, rest @ ..] if update.is("UPDATE") => rest,
        _ => return None,
    };
    let rest = after_column(table)?;
    let at = at_top(rest, |token| token.is("WHERE")).next()?;
    let is_one = if tokens[0].is("DELETE") { at == 0 } else { rest[0].is("SET") };
    let after = is_one.then_some(&rest[at + 1..])?;
    let ends = |token: &Token| token.is("ORDER") || token.is("LIMIT") || token.is_symbol(';');
    let after = &after[..at_top(after, ends).next().unwrap_or(after.len())];
    let mut start = 0;
    let mut conditions = vec![];
    for end in at_top(after, |token| token.is("AND")).chain([after.len()]) {
        conditions.push(&after[start..end]);
        start = end + 1;
    }
    Some((&table[..table.len() - rest.len()], conditions))
}

/// Whether a condition says that a column is the key or is made with it.
fn is_keyed(statement: &str, condition: &[Token]) -> bool {
    KEYED.contains(&outline(statement, condition).join(" ").as_str())
}

/// A condition in few words: `n` is a name with all its parts, `t` a text, `0` another constant, `c` a call; the rest is
/// as it is.
fn outline(statement: &str, condition: &[Token]) -> Vec<String> {
    let mut outline: Vec<String> = vec![];
    let mut rest = condition;
    while let Some((token, after)) = rest.split_first() {
        rest = after;
        let word = match &token.kind {
            Kind::Symbol('.') if outline.last().is_some_and(|last| last == "n" || last == "0") && !rest.is_empty() => {
                rest = &rest[1..];
                continue;
            }
            Kind::Symbol('-') if rest.first().is_some_and(Token::is_number) => continue,
            Kind::Text if statement[token.at.clone()].starts_with('\'') => "t".to_owned(),
            Kind::Text => "?".to_owned(),
            Kind::Symbol(symbol) => symbol.to_string(),
            Kind::Word(word) if word == "TRUE" || word == "FALSE" || token.is_number() => "0".to_owned(),
            Kind::Word(word) if SAYING.contains(&word.as_str()) => word.clone(),
            Kind::Word(_) if let Some(close) = closing(rest).filter(|_| rest[0].is_symbol('(')) => {
                let is_free = !rest[..close].iter().any(|token| token.is_symbol(':'));
                rest = &rest[close + 1..];
                if is_free { "c" } else { "?" }.to_owned()
            }
            Kind::Word(_) | Kind::Name => "n".to_owned(),
        };
        outline.push(word);
    }
    outline
}

/// Whether a condition compares two things, of which none is the key. What AND joins is no part of it, as it is of
/// `a BETWEEN 1 AND k = :key`.
fn is_simple(outline: &[String]) -> bool {
    let is_value = |word: &str| ["n", "t", "0", "c"].contains(&word);
    match outline.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [value, "IS", "NULL"] | [value, "IS", "NOT", "NULL"] => is_value(value),
        [value, "IN", "(", list @ .., ")"] | [value, "NOT", "IN", "(", list @ .., ")"] => {
            is_value(value) && list.iter().all(|word| *word == "," || is_value(word))
        }
        [left, operator @ .., right] => {
            is_value(left) && is_value(right) && COMPARING.contains(&operator.join(" ").as_str())
        }
        _ => false,
    }
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
    fn a_removal_from_one_table_compares_a_column_with_the_key() {
        for statement in [
            "DELETE FROM t WHERE k = :key",
            "delete from `or` where :key = shop.`or`.k and `or` = -1.5;",
            "UPDATE t SET a = NULL, b = NOW() WHERE b IS NOT NULL AND k LIKE CONCAT('% OR ', :key) ORDER BY k LIMIT 5",
            "DELETE FROM t WHERE t.key IN (:key) AND a NOT IN (1, 'x') AND b <= NOW() AND c LIKE 'd%'",
            "DELETE FROM t WHERE k LIKE CONCAT(:key, '%') AND k LIKE CONCAT('%', :key, '/1')",
            "DELETE FROM t WHERE k = :key AND note <> '#1 -- /*'",
        ] {
            assert_eq!(check_removal(statement), Ok(()), "{statement}");
        }
        for statement in [
            "DELETE FROM t",
            "UPDATE t SET k = :key",
            "DELETE t FROM t JOIN u ON u.id = t.u WHERE u.k IN (:key)",
            "DELETE stock FROM stock, payments WHERE payments.order_id = :key",
            "DELETE payments, stock FROM payments JOIN stock WHERE payments.order_id = :key",
            "DELETE FROM stock, payments WHERE payments.order_id = :key",
            "DELETE FROM stock USING stock JOIN payments WHERE payments.order_id = :key",
            "UPDATE stock, payments SET stock.n = 0 WHERE payments.order_id = :key",
            "UPDATE stock JOIN payments SET stock.n = 0 WHERE payments.order_id = :key",
            "DELETE IGNORE FROM t WHERE k = :key",
        ] {
            assert_eq!(check_removal(statement), Err(TemplateError::NotOneTable), "{statement}");
        }
        let other = "DELETE FROM t WHERE a = 1 AND b IS NULL";
        assert_eq!(check_removal(other), Err(TemplateError::NotCompared));
    }

    #[test]
    fn the_columns_that_a_removal_compares_are_shown_by_a_query() {
        for (statement, query) in [
            ("DELETE FROM t WHERE k = :key", "SELECT k FROM t LIMIT 0"),
            ("DELETE FROM shop.t WHERE :key = t . k AND a = 1;", "SELECT t . k FROM shop.t LIMIT 0"),
            (
                "UPDATE `t` SET b = 1 WHERE b = 0 AND `k` IN (:key) AND l LIKE CONCAT(:key, '%') LIMIT 1",
                "SELECT `k`, l FROM `t` LIMIT 0",
            ),
        ] {
            assert_eq!(check_removal(statement), Ok(()));
            assert_eq!(compared(statement), query);
        }
    }

    #[test]
    fn a_condition_of_a_removal_that_is_not_understood_is_refused_with_its_text() {
        for condition in [
            "id IN (:key, id)",
            "id IN (:key) OR 1=1",
            "(k = :key)or(1)",
            "k = :key XOR 1",
            "k = :key || 1",
            "order_id = COALESCE(order_id, :key)",
            "order_id LIKE CONCAT(LEFT(:key, 0), '%')",
            "order_id LIKE CONCAT('%', :key, order_id)",
            "order_id LIKE CONCAT(\"%\", :key)",
            "order_id LIKE CONCAT('%')",
            "id = IF(id = :key, 0, id)",
            "0 = :key",
            "'a' = :key",
            ":key = :key",
            "k <> :key",
            "k = :key = 0",
            "k = :key IS NOT NULL",
            "NOT k = :key",
            "NOT LIKE k",
            ":key LIKE '%'",
            "BINARY k = :key",
            "LOWER(k) = :key",
            "",
        ] {
            let refused = Err(TemplateError::Reaches(condition.to_owned()));
            assert_eq!(check_removal(&format!("DELETE FROM t WHERE {condition}")), refused);
            assert_eq!(check_removal(&format!("DELETE FROM t WHERE k = :key AND {condition}")), refused);
        }
        for (statement, found) in [
            ("DELETE FROM t WHERE a BETWEEN 1 AND k = :key", "a BETWEEN 1"),
            ("DELETE FROM t WHERE CASE WHEN 1 AND k = :key AND 1 THEN 1 ELSE 1 END", "CASE WHEN 1"),
            ("DELETE FROM t WHERE k = :key AND a IN (SELECT a FROM u)", "SELECT"),
            ("UPDATE t SET a = 1; DELETE FROM t WHERE k = :key", ";"),
            (r"DELETE FROM t WHERE a <> '\' AND k = :key AND b <> '", r"'\'"),
            ("DELETE FROM t WHERE k = :key AND b <> 'open", "'open"),
        ] {
            assert_eq!(check_removal(statement), Err(TemplateError::Reaches(found.to_owned())), "{statement}");
        }
    }

    #[test]
    fn a_query_of_no_table_is_refused() {
        assert_eq!(check("SELECT a"), Err(TemplateError::NoTable));
        assert_eq!(check("SELECT a FROM t UNION ALL"), Err(TemplateError::NoTable));
    }
}
