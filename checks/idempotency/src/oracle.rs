//! The oracle: `effects(schedule)` must equal `effects(once)`, measured on the same consumer.
//!
//! Values that differ between messages that were delivered to one side once (timestamps, generated ids) say nothing about
//! duplicates and are masked for that side. A value that each side always gives, another one than the other side, is
//! compared: where copies went to both sides, it must be that of one of them. How many rows there are, which columns they
//! have and where they are null is never masked.

use crate::effects::{Effects, MASKED, Part, Row, shown};
use crate::schedule::Side;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A column of a probe.
type Place = (usize, String);

/// What does not count of what is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    /// The columns whose values differ between messages of one side.
    within: BTreeMap<Side, BTreeSet<Place>>,
    /// The columns whose values differ between the sides alone, with those of each.
    between: BTreeMap<Place, BTreeMap<Side, Vec<String>>>,
}

/// What may be seen after any schedule, learned from messages that were delivered once.
#[derive(Clone, Debug)]
pub struct Oracle {
    mask: Mask,
    /// As they were seen, one for each that differs in what counts.
    once: BTreeMap<Side, Vec<Effects>>,
}

/// How the effects of a schedule differ from those of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is more than once gives.
    Duplicate,
    /// There is less than once gives.
    Lost,
    /// There is as much, with other values.
    Changed,
}

impl Kind {
    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Lost => "lost",
            Self::Changed => "changed",
        }
    }
}

/// One difference, readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How it differs.
    pub kind: Kind,
    /// For example `payments has 2 rows, once gives 1`.
    pub text: String,
}

impl Mask {
    /// Learns from messages that were delivered once, each with the side that handled it: columns that differ in nothing
    /// but their values.
    #[must_use]
    pub fn learn(once: &[(Side, Effects)]) -> Self {
        let mut first: BTreeMap<Place, BTreeMap<Side, Column>> = BTreeMap::new();
        let mut mask = Self::default();
        for (side, effects) in once {
            for (index, part) in effects.0.iter().enumerate() {
                for (name, column) in columns(part) {
                    let of_sides = first.entry((index, name.clone())).or_default();
                    let known = of_sides.entry(*side).or_insert_with(|| column.clone());
                    if known.same_structure(&column) && known.values != column.values {
                        mask.within.entry(*side).or_default().insert((index, name));
                    }
                }
            }
        }
        for (place, of_sides) in first {
            let mut columns = of_sides.values();
            let Some(one) = columns.next() else { continue };
            if columns.any(|other| one.same_structure(other) && one.values != other.values) {
                let values = of_sides.into_iter().map(|(side, column)| (side, column.values)).collect();
                mask.between.insert(place, values);
            }
        }
        mask
    }

    /// The effects of copies that went to these sides, with the values that do not count replaced.
    #[must_use]
    pub fn apply(&self, sides: &[Side], effects: &Effects) -> Effects {
        let masked = |(index, part): (usize, &Part)| {
            let mut rows: Vec<Row> = part.rows.iter().map(|row| self.apply_to_row(sides, index, row)).collect();
            rows.sort();
            Part { name: part.name.clone(), shows: part.shows, rows }
        };
        Effects(effects.0.iter().enumerate().map(masked).collect())
    }

    /// Whether the values that a side gives in a column do not count.
    #[must_use]
    pub fn hides(&self, side: Side, part: usize, column: &str) -> bool {
        self.within.get(&side).is_some_and(|places| places.contains(&(part, column.to_owned())))
    }

    fn apply_to_row(&self, sides: &[Side], part: usize, row: &Row) -> Row {
        let is_of_either = |column: &str, value: &String| {
            let values = self.between.get(&(part, column.to_owned())).filter(|_| sides.len() > 1);
            values.is_some_and(|values| {
                sides.iter().filter_map(|side| values.get(side)).flatten().any(|one| one == value)
            })
        };
        let value = |(column, value): (&String, &Option<String>)| {
            let masked = value.as_ref().is_some_and(|value| {
                sides.iter().any(|side| self.hides(*side, part, column)) || is_of_either(column, value)
            });
            (column.clone(), if masked { Some(MASKED.to_owned()) } else { value.clone() })
        };
        Row(row.0.iter().map(value).collect())
    }

    /// The masked columns as `probe.column`, given effects that name the probes.
    #[must_use]
    pub fn names(&self, effects: &Effects) -> Vec<String> {
        let name = |(part, column): &Place| {
            format!("{}.{column}", effects.0.get(*part).map_or("?", |part| part.name.as_str()))
        };
        self.within.values().flatten().collect::<BTreeSet<_>>().into_iter().map(name).collect()
    }
}

/// What of a column may be compared: how often it is there, how often null, and its values in order.
#[derive(Clone)]
struct Column {
    rows: usize,
    nulls: usize,
    values: Vec<String>,
}

impl Column {
    fn same_structure(&self, other: &Self) -> bool {
        (self.rows, self.nulls, self.values.len()) == (other.rows, other.nulls, other.values.len())
    }
}

fn columns(part: &Part) -> BTreeMap<String, Column> {
    let mut columns: BTreeMap<String, Column> = BTreeMap::new();
    for (name, value) in part.rows.iter().flat_map(|row| &row.0) {
        let empty = Column { rows: part.rows.len(), nulls: 0, values: vec![] };
        let column = columns.entry(name.clone()).or_insert(empty);
        match value {
            Some(value) => column.values.push(value.clone()),
            None => column.nulls += 1,
        }
    }
    columns.values_mut().for_each(|column| column.values.sort());
    columns
}

impl Oracle {
    /// Learns from messages that were delivered once, each with the side that handled it.
    #[must_use]
    pub fn learn(seen: &[(Side, Effects)]) -> Self {
        let mask = Mask::learn(seen);
        let mut once: BTreeMap<Side, Vec<Effects>> = BTreeMap::new();
        for (side, effects) in seen {
            let masked = |effects: &Effects| mask.apply(&[*side], effects);
            let known = once.entry(*side).or_default();
            if !known.iter().any(|known| masked(known) == masked(effects)) {
                known.push(effects.clone());
            }
        }
        Self { mask, once }
    }

    /// What does not count.
    #[must_use]
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Effects of one delivery to this side, all that were seen; more than one means that the consumer is not
    /// deterministic and nothing can be compared.
    #[must_use]
    pub fn once(&self, side: Side) -> Vec<Effects> {
        self.allowed(&[side])
    }

    /// Effects of one delivery to any of these sides, as they compare where copies went to all of them.
    fn allowed(&self, sides: &[Side]) -> Vec<Effects> {
        let once = sides.iter().filter_map(|side| self.once.get(side)).flatten();
        once.map(|effects| self.mask.apply(sides, effects)).collect()
    }

    /// What is wrong with the effects of a schedule that went to these sides; nothing if they equal those of one
    /// delivery to any of them.
    #[must_use]
    pub fn differences(&self, sides: &[Side], seen: &Effects) -> Vec<Difference> {
        let seen = self.mask.apply(sides, seen);
        let allowed = self.allowed(sides);
        if allowed.contains(&seen) {
            return vec![];
        }
        let against =
            |once: &Effects| once.0.iter().zip(&seen.0).filter_map(|(once, seen)| difference(once, seen)).collect();
        allowed.iter().map(against).min_by_key(Vec::len).unwrap_or_else(|| {
            vec![Difference { kind: Kind::Changed, text: "there is no delivery to compare with".to_owned() }]
        })
    }
}

fn difference(once: &Part, seen: &Part) -> Option<Difference> {
    if once.rows == seen.rows {
        return None;
    }
    let (had, has) = (once.rows.len(), seen.rows.len());
    if had != has {
        let kind = if has > had { Kind::Duplicate } else { Kind::Lost };
        let rows = if has == 1 { "1 row".to_owned() } else { format!("{has} rows") };
        return Some(Difference { kind, text: format!("{} has {rows}, once gives {had}", seen.name) });
    }
    let missing: Vec<&Row> = surplus(&once.rows, &seen.rows);
    let extra: Vec<&Row> = surplus(&seen.rows, &once.rows);
    let text = match (missing.as_slice(), extra.as_slice()) {
        ([before], [after]) => changed_columns(&seen.name, before, after),
        _ => {
            let list = |rows: &[&Row]| rows.iter().map(|row| row.to_string()).collect::<String>();
            format!("{} has {}, once gives {}", seen.name, list(&extra), list(&missing))
        }
    };
    Some(Difference { kind: Kind::Changed, text })
}

/// The rows of one multiset that the other lacks.
fn surplus<'a>(rows: &'a [Row], others: &[Row]) -> Vec<&'a Row> {
    let mut left: Vec<&Row> = others.iter().collect();
    let missing = |row: &&Row| match left.iter().position(|other| other == row) {
        Some(at) => {
            left.swap_remove(at);
            false
        }
        None => true,
    };
    rows.iter().filter(missing).collect()
}

fn changed_columns(name: &str, before: &Row, after: &Row) -> String {
    let columns: BTreeSet<&String> = before.0.keys().chain(after.0.keys()).collect();
    let changed = columns.into_iter().filter(|column| before.0.get(*column) != after.0.get(*column));
    let text: Vec<String> = changed
        .map(|column| {
            let (now, then) = (shown(after.0.get(column)), shown(before.0.get(column)));
            format!("{name}: {column} is {now}, once gives {then}")
        })
        .collect();
    text.join(", ")
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn effects(rows: &[&[(&str, &str)]]) -> Effects {
        let row = |values: &&[(&str, &str)]| {
            let mut row = Row::new();
            values.iter().for_each(|(column, value)| row.put(column, Some((*value).to_owned())));
            row
        };
        Effects(vec![Part::canonical("payments", rows.iter().map(row).collect(), "pf-1")])
    }

    fn once() -> Vec<(Side, Effects)> {
        vec![
            (Side::Ecs, effects(&[&[("id", "1"), ("amount", "10"), ("side", "ecs")]])),
            (Side::Ecs, effects(&[&[("id", "2"), ("amount", "10"), ("side", "ecs")]])),
            (Side::Eks, effects(&[&[("id", "3"), ("amount", "10"), ("side", "eks")]])),
        ]
    }

    fn texts(differences: &[Difference]) -> Vec<&str> {
        differences.iter().map(|difference| difference.text.as_str()).collect()
    }

    #[test]
    fn what_differs_between_messages_delivered_once_is_masked_and_nothing_else() {
        let oracle = Oracle::learn(&once());
        assert_eq!(oracle.mask().names(&once()[0].1), ["payments.id"]);
        assert_eq!(oracle.once(Side::Ecs).len(), 1);
        let again = effects(&[&[("id", "9"), ("amount", "10"), ("side", "ecs")]]);
        assert!(oracle.differences(&[Side::Ecs], &again).is_empty());
    }

    #[test]
    fn a_value_that_differs_between_the_sides_alone_is_that_of_one_of_them() {
        let total = |ecs: &str, eks: &str| effects(&[&[("amount", ecs), ("by", eks)]]);
        let oracle = Oracle::learn(&[(Side::Ecs, total("10", "ecs")), (Side::Eks, total("11", "eks"))]);
        assert_eq!(oracle.mask().names(&total("10", "ecs")), Vec::<String>::new());
        for mixed in [total("10", "ecs"), total("11", "eks"), total("10", "eks")] {
            assert!(oracle.differences(&Side::BOTH, &mixed).is_empty(), "{mixed}");
        }
        for (sides, twice) in [
            (&Side::BOTH[..], total("21", "eks")),
            (&[Side::Ecs], total("20", "ecs")),
            (&[Side::Ecs], total("11", "ecs")),
            (&[Side::Eks], total("22", "eks")),
        ] {
            assert!(!oracle.differences(sides, &twice).is_empty(), "{twice}");
        }
    }

    #[test]
    fn what_varies_on_one_side_is_compared_on_the_other() {
        let amount = |side, amount: &str| (side, effects(&[&[("amount", amount)]]));
        let oracle = Oracle::learn(&[amount(Side::Ecs, "1"), amount(Side::Ecs, "2"), amount(Side::Eks, "11")]);
        assert!(oracle.differences(&[Side::Ecs], &effects(&[&[("amount", "3")]])).is_empty());
        assert!(!oracle.differences(&[Side::Eks], &effects(&[&[("amount", "22")]])).is_empty());
    }

    #[test]
    fn a_second_row_is_seen_although_its_values_are_masked() {
        let oracle = Oracle::learn(&once());
        let twice = effects(&[
            &[("id", "4"), ("amount", "10"), ("side", "ecs")],
            &[("id", "5"), ("amount", "10"), ("side", "eks")],
        ]);
        let differences = oracle.differences(&[Side::Ecs, Side::Eks], &twice);
        assert_eq!(texts(&differences), ["payments has 2 rows, once gives 1"]);
        assert_eq!(differences[0].kind, Kind::Duplicate);
    }

    #[test]
    fn a_changed_value_and_a_lost_row_are_seen() {
        let oracle = Oracle::learn(&once());
        let twenty = effects(&[&[("id", "4"), ("amount", "20"), ("side", "ecs")]]);
        assert_eq!(texts(&oracle.differences(&[Side::Ecs], &twenty)), ["payments: amount is 20, once gives 10"]);
        let lost = oracle.differences(&[Side::Ecs], &effects(&[]));
        assert_eq!((texts(&lost), lost[0].kind), (vec!["payments has 0 rows, once gives 1"], Kind::Lost));
        let other_column = effects(&[&[("id", "4"), ("amount", "10"), ("side", "ecs"), ("twice", "1")]]);
        assert_eq!(
            texts(&oracle.differences(&[Side::Ecs], &other_column)),
            ["payments: twice is 1, once gives absent"]
        );
    }

    #[test]
    fn a_number_of_rows_that_varies_is_not_masked_but_makes_once_ambiguous() {
        let oracle = Oracle::learn(&[
            (Side::Ecs, effects(&[&[("n", "1")]])),
            (Side::Ecs, effects(&[&[("n", "1")], &[("n", "1")]])),
        ]);
        assert_eq!(oracle.once(Side::Ecs).len(), 2);
    }

    #[test]
    fn a_null_is_never_masked() {
        let mut null = Row::new();
        null.put("at", None);
        let without = Effects(vec![Part::canonical("t", vec![null], "k")]);
        let mut with = Row::new();
        with.put("at", Some("now".to_owned()));
        let with = Effects(vec![Part::canonical("t", vec![with], "k")]);
        assert_eq!(Mask::learn(&[(Side::Ecs, without), (Side::Ecs, with)]), Mask::default());
    }

    #[test]
    fn sides_that_do_different_things_are_compared_each_with_its_own() {
        let oracle = Oracle::learn(&[
            (Side::Ecs, effects(&[&[("n", "1")]])),
            (Side::Eks, effects(&[&[("n", "1")], &[("n", "2")]])),
        ]);
        let two = effects(&[&[("n", "1")], &[("n", "2")]]);
        assert!(oracle.differences(&[Side::Eks], &two).is_empty());
        assert!(!oracle.differences(&[Side::Ecs], &two).is_empty());
        assert!(oracle.differences(&Side::BOTH, &two).is_empty());
    }

    prop_compose! {
        fn any_row()(row in prop::collection::btree_map("[a-c]", prop::option::of("[0-2]"), 0..3)) -> Row {
            Row(row)
        }
    }

    prop_compose! {
        fn any_effects()(rows in prop::collection::vec(any_row(), 0..4)) -> Effects {
            Effects(vec![Part::canonical("t", rows, "pf-1")])
        }
    }

    prop_compose! {
        /// Two with as many rows, one at least.
        fn any_pair()(rows in prop::collection::vec((any_row(), any_row()), 1..4)) -> (Effects, Effects) {
            let (one, other) = rows.into_iter().unzip();
            let part = |rows| Effects(vec![Part::canonical("t", rows, "pf-1")]);
            (part(one), part(other))
        }
    }

    proptest! {
        #[test]
        fn a_delivery_that_was_learned_never_differs(seen in prop::collection::vec(any_effects(), 1..5)) {
            let seen: Vec<_> = Side::BOTH.into_iter().cycle().zip(seen).collect();
            let oracle = Oracle::learn(&seen);
            for (side, effects) in &seen {
                prop_assert!(oracle.differences(&[*side], effects).is_empty());
                prop_assert!(oracle.differences(&Side::BOTH, effects).is_empty());
            }
        }

        #[test]
        fn one_row_less_is_never_masked((once, other) in any_pair()) {
            let oracle = Oracle::learn(&[(Side::Ecs, once.clone()), (Side::Ecs, other)]);
            let mut less = once;
            less.0[0].rows.pop();
            prop_assert!(!oracle.differences(&[Side::Ecs], &less).is_empty());
        }

        #[test]
        fn a_value_that_was_always_the_same_is_never_masked(once in any_effects(), times in 1..4_usize, row in any::<prop::sample::Index>(), column in "[a-c]") {
            prop_assume!(!once.0[0].rows.is_empty());
            let oracle = Oracle::learn(&vec![(Side::Ecs, once.clone()); times]);
            let mut changed = once;
            let row = row.index(changed.0[0].rows.len());
            changed.0[0].rows[row].put(&column, Some("never seen".to_owned()));
            prop_assert!(!oracle.differences(&[Side::Ecs], &changed).is_empty());
        }

        #[test]
        fn masking_twice_is_masking_once_and_forgets_no_row(seen in prop::collection::vec(any_effects(), 1..5)) {
            let sides = Side::BOTH.into_iter().cycle();
            let seen: Vec<_> = sides.zip(seen).collect();
            let mask = Mask::learn(&seen);
            for (side, effects) in &seen {
                for sides in [&[*side][..], &Side::BOTH] {
                    let masked = mask.apply(sides, effects);
                    prop_assert_eq!(&mask.apply(sides, &masked), &masked);
                    prop_assert_eq!(masked.0[0].rows.len(), effects.0[0].rows.len());
                }
            }
        }

        #[test]
        fn the_order_in_which_deliveries_were_learned_does_not_matter(seen in prop::collection::vec(any_effects(), 2..5)) {
            let mut backwards = seen.clone();
            backwards.reverse();
            let learned = |seen: &[Effects]| seen.iter().map(|effects| (Side::Ecs, effects.clone())).collect::<Vec<_>>();
            let (one, other) = (Oracle::learn(&learned(&seen)), Oracle::learn(&learned(&backwards)));
            let ambiguous = |oracle: &Oracle| oracle.once(Side::Ecs).len() > 1;
            prop_assert_eq!(ambiguous(&one), ambiguous(&other));
        }

        #[test]
        fn one_more_row_is_never_masked((once, other) in any_pair(), extra in any_row()) {
            let oracle = Oracle::learn(&[(Side::Ecs, once.clone()), (Side::Ecs, other)]);
            let mut more = once;
            more.0[0].rows.push(extra);
            prop_assert!(!oracle.differences(&[Side::Ecs], &more).is_empty());
        }
    }
}
