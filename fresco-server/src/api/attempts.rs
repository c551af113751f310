//! Passwords that are tried, wherever that is.

use std::net::IpAddr;

use crate::accounts::Email;
use crate::http::problem::Problem;
use crate::platform::Platform;

/// Counts a password that is about to be tried for the account of this address, whether there is one
/// or not.
///
/// # Errors
/// 429 when it is one too many; the database's own.
pub(super) async fn count(
    platform: &Platform,
    email: &Email,
    address: IpAddr,
) -> Result<(), Problem> {
    let known = platform.accounts.was_signed_in_from(email, address).await?;
    platform.throttle.attempt(email, known.then_some(address))
}
