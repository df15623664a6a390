//! As whom an endpoint is spoken to.

use crate::address::Address;
use crate::line::Failure;
use crate::settings::Endpoint;
use preflight_core::{CannotTell, Secret};

/// An account and the door that it uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account<'a> {
    pub username: Option<&'a str>,
    pub password: Option<&'a Secret>,
    pub address: Address,
}

impl<'a> Account<'a> {
    /// The account of the applications.
    pub(crate) fn of_apps(endpoint: &'a Endpoint) -> Result<Self, Failure> {
        let address = Address::of(endpoint).ok_or_else(|| not_an_address(endpoint, "address"))?;
        Ok(Self { username: endpoint.username.as_deref(), password: endpoint.password.as_ref(), address })
    }

    /// The account that reads: the observer's, or where there is none that of the applications.
    pub(crate) fn of_reader(endpoint: &'a Endpoint) -> Result<Self, Failure> {
        let apps = Self::of_apps(endpoint)?;
        let Some(observer) = &endpoint.observer else {
            return Ok(apps);
        };
        let address = match &observer.address {
            Some(text) => {
                Address::parse(text, apps.address.port).ok_or_else(|| not_an_address(endpoint, "observer.address"))?
            }
            None => apps.address,
        };
        Ok(Self { username: Some(&observer.username), password: observer.password.as_ref(), address })
    }

    pub(crate) fn name(&self) -> &'a str {
        self.username.unwrap_or_default()
    }
}

/// Without the text itself: whoever writes a URL there may have written a password into it.
fn not_an_address(endpoint: &Endpoint, field: &str) -> Failure {
    let why = format!("`{field}` of endpoint {} is not `host` or `host:port`", endpoint.name);
    Failure::Unclear(CannotTell::prerequisite(why))
}
