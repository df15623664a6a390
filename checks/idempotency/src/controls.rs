//! Controls against passes that prove nothing. Each must fire before a comparison counts; one that does not makes the
//! answer "cannot tell".

use crate::effects::{Effects, KEY, Part, Shows};
use crate::oracle::Oracle;
use crate::schedule::Side;
use preflight_core::{CannotTell, Reason};

fn failed(detail: String) -> CannotTell {
    CannotTell::new(Reason::ControlFailed, detail)
}

/// Every probe changed when a message was handled, for every message in the list: `(before, after)`.
pub(crate) fn probes_change(side: Side, before: &Effects, after: &Effects) -> Result<(), CannotTell> {
    let blind = after.unchanged_since(before);
    if blind.is_empty() {
        return Ok(());
    }
    Err(failed(format!(
        "{side}: a message was taken from the queue and {} did not change: the probe looks in the wrong place, or the consumer does not write there",
        blind.join(", ")
    )))
}

/// The probe of a key sees the messages with that key alone.
pub(crate) fn probe_is_confined(before: &Effects, after_others: &Effects) -> Result<(), CannotTell> {
    if before == after_others {
        return Ok(());
    }
    Err(failed(format!(
        "messages with other keys changed what is seen for a key that was not sent ({after_others}): the probe does not tell messages apart"
    )))
}

/// One delivery to a side always has the same effects, and after masking they still differ from nothing.
pub(crate) fn once_is_clear(oracle: &Oracle, side: Side, nothing: &Effects) -> Result<(), CannotTell> {
    let seen = oracle.once(side);
    let once = match seen.as_slice() {
        [] => return Err(failed(format!("{side}: no message was delivered once"))),
        [once] => once,
        [one, other, ..] => {
            return Err(failed(format!(
                "{side}: one delivery has not always the same effects: `{one}` and `{other}`; there is nothing to compare a duplicate with"
            )));
        }
    };
    let parts = once.0.iter().zip(&nothing.0).enumerate();
    let blind: Vec<&str> = parts
        .filter(|(index, (once, nothing))| {
            !shows_a_second(once, nothing, |column| oracle.mask().hides(side, *index, column))
        })
        .map(|(_, (once, _))| once.name.as_str())
        .collect();
    if blind.is_empty() {
        return Ok(());
    }
    Err(failed(format!(
        "{side}: a second effect would not show in {}: nothing is left after masking what differs between messages",
        blind.join(", ")
    )))
}

/// Whether a second effect of the same kind would show. Where there is more than one row, one more shows. A single row may
/// be one that a second effect changes: then a value must be left that is neither masked nor the key, and where there is
/// never more than one row, one that the first effect changed. Where that row is there before anything was sent, as that of
/// a total is, the value must not be zero, or twice as much is as much.
fn shows_a_second(once: &Part, nothing: &Part, hides: impl Fn(&str) -> bool) -> bool {
    let is_total = !nothing.rows.is_empty();
    if !is_total && once.shows == Shows::Rows && once.rows.len() != 1 {
        return !once.rows.is_empty();
    }
    let is_zero = |text: &str| text.parse::<f64>().is_ok_and(|number| number == 0.0);
    once.rows.iter().flat_map(|row| &row.0).any(|(column, value)| {
        let before = nothing.rows.iter().any(|row| row.0.get(column) == Some(value));
        // A name in parentheses describes a key and not what is in it.
        let is_content = !column.starts_with('(') && !hides(column);
        let counts = |text: &String| !(text.contains(KEY) || is_total && is_zero(text));
        is_content && !before && value.as_ref().is_some_and(counts)
    })
}

/// The oracle would see a second effect of the same kind: every row twice differs from once, in every probe.
pub(crate) fn double_is_seen(oracle: &Oracle, side: Side) -> Result<(), CannotTell> {
    for once in oracle.once(side) {
        for index in 0..once.0.len() {
            let mut twice = once.clone();
            let rows = twice.0[index].rows.clone();
            twice.0[index].rows.extend(rows);
            twice.0[index].rows.sort();
            if oracle.differences(&[side], &twice).is_empty() {
                return Err(failed(format!(
                    "{side}: {} would look the same after a second effect",
                    once.0[index].name
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::{Part, Row};

    fn effects(rows: &[&str]) -> Effects {
        let row = |value: &&str| {
            let mut row = Row::new();
            row.put("n", Some((*value).to_owned()));
            row
        };
        Effects(vec![Part::canonical("payments", rows.iter().map(row).collect(), "pf-1")])
    }

    #[test]
    fn a_probe_that_looks_elsewhere_is_noticed() {
        assert!(probes_change(Side::Ecs, &effects(&[]), &effects(&["1"])).is_ok());
        let error = probes_change(Side::Eks, &effects(&[]), &effects(&[])).unwrap_err();
        assert_eq!(error.reason, Reason::ControlFailed);
        assert!(error.detail.contains("payments"));
    }

    #[test]
    fn a_probe_that_sees_every_message_is_noticed() {
        assert!(probe_is_confined(&effects(&[]), &effects(&[])).is_ok());
        assert!(probe_is_confined(&effects(&[]), &effects(&["1"])).is_err());
    }

    #[test]
    fn a_mask_that_leaves_nothing_is_noticed() {
        let aggregate = |n| (Side::Ecs, effects(&[n]));
        let oracle = Oracle::learn(&[aggregate("1"), aggregate("2")]);
        let error = once_is_clear(&oracle, Side::Ecs, &effects(&["0"])).unwrap_err();
        assert!(error.detail.contains("after masking"), "{error}");
        let oracle = Oracle::learn(&[aggregate("1"), aggregate("1")]);
        assert!(once_is_clear(&oracle, Side::Ecs, &effects(&["0"])).is_ok());
        assert!(once_is_clear(&oracle, Side::Ecs, &effects(&["1"])).is_err());
        assert!(once_is_clear(&oracle, Side::Eks, &effects(&[])).is_err());
    }

    #[test]
    fn a_total_that_does_not_move_is_noticed() {
        let once = |n| Oracle::learn(&[(Side::Ecs, effects(&[n])), (Side::Ecs, effects(&[n]))]);
        assert!(once_is_clear(&once("10"), Side::Ecs, &effects(&["0"])).is_ok());
        assert!(once_is_clear(&once("0.00"), Side::Ecs, &effects(&["NULL"])).is_err());
        let last_id = Oracle::learn(&[(Side::Ecs, effects(&["7"])), (Side::Ecs, effects(&["8"]))]);
        assert!(once_is_clear(&last_id, Side::Ecs, &effects(&["NULL"])).is_err());
    }

    #[test]
    fn a_key_whose_whole_content_is_masked_is_noticed() {
        let key = |value: &str| {
            let mut row = Row::new();
            row.put("value", Some(value.to_owned()));
            row.put("(type)", Some("string".to_owned()));
            (Side::Ecs, Effects(vec![Part::canonical("order:{key}", vec![row], "pf-1").of_values()]))
        };
        let nothing = Effects(vec![Part::canonical("order:{key}", vec![], "pf-1").of_values()]);
        assert!(once_is_clear(&Oracle::learn(&[key("1"), key("1")]), Side::Ecs, &nothing).is_ok());
        let error = once_is_clear(&Oracle::learn(&[key("41"), key("42")]), Side::Ecs, &nothing).unwrap_err();
        assert!(error.detail.contains("would not show in order:{key}"));
    }

    #[test]
    fn a_single_row_of_which_nothing_is_left_but_the_key_is_noticed() {
        let ledger = |amount: &str, currency: &str| {
            let mut row = Row::new();
            row.put("order_id", Some("pf-1".to_owned()));
            row.put("amount", Some(amount.to_owned()));
            row.put("currency", Some(currency.to_owned()));
            (Side::Ecs, Effects(vec![Part::canonical("ledger", vec![row], "pf-1")]))
        };
        let nothing = effects(&[]);
        let error = once_is_clear(&Oracle::learn(&[ledger("10", "a"), ledger("11", "b")]), Side::Ecs, &nothing);
        assert!(error.unwrap_err().detail.contains("would not show in ledger"));
        assert!(once_is_clear(&Oracle::learn(&[ledger("10", "a"), ledger("10", "b")]), Side::Ecs, &nothing).is_ok());
        let two = |n: &str, m: &str| (Side::Ecs, effects(&[n, m]));
        assert!(once_is_clear(&Oracle::learn(&[two("1", "2"), two("3", "4")]), Side::Ecs, &nothing).is_ok());
    }

    #[test]
    fn a_consumer_that_is_not_deterministic_is_noticed() {
        let oracle = Oracle::learn(&[(Side::Ecs, effects(&["1"])), (Side::Ecs, effects(&["1", "1"]))]);
        assert!(once_is_clear(&oracle, Side::Ecs, &effects(&[])).unwrap_err().detail.contains("not always"));
    }

    #[test]
    fn the_oracle_sees_a_second_effect() {
        let oracle = Oracle::learn(&[(Side::Ecs, effects(&["1"])), (Side::Ecs, effects(&["2"]))]);
        assert!(double_is_seen(&oracle, Side::Ecs).is_ok());
        let empty = Oracle::learn(&[(Side::Ecs, effects(&[]))]);
        assert!(double_is_seen(&empty, Side::Ecs).is_err());
    }
}
