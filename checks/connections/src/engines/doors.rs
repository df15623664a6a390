//! Whether two doors lead to one server.

use crate::address::Address;
use crate::line::Failure;
use preflight_core::CannotTell;
use std::collections::BTreeMap;

/// What a server calls itself: its host, port and unique id, as far as it knows them.
pub(super) type Identity = BTreeMap<String, String>;

/// Why limits that were read behind one door may not be those of the other.
pub(super) fn two_servers(
    doors: (&Address, &Address),
    behind: &Identity,
    front: Result<Identity, Failure>,
) -> Option<CannotTell> {
    let (door, address) = doors;
    match front {
        Ok(front) if front == *behind && !front.is_empty() => None,
        Ok(_) => Some(CannotTell::insufficient(format!(
            "`observer.address` {door} leads to another server than {address}, or that cannot be told, and its limits are \
             those that were read; correct it, or leave it out"
        ))),
        Err(failure) => Some(failure.cannot_tell(&format!("asking whether {door} and {address} are one server"))),
    }
}
