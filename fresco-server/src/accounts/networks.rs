//! From where accounts were signed in.

use std::net::IpAddr;

use deadpool_postgres::Transaction;
use fresco_core::Result;
use uuid::Uuid;

use super::database::{Mapped, call};
use super::{Accounts, Email};
use crate::network;

/// Networks that are known of one account; one more takes the place of the oldest.
const MOST: i64 = 20;

impl Accounts {
    /// Whether the account of this address was signed in from this network before. It takes as long
    /// when there is no such account.
    ///
    /// # Errors
    /// The database's own.
    pub async fn was_signed_in_from(&self, email: &Email, address: IpAddr) -> Result<bool> {
        call("accounts.was_signed_in_from", async {
            let sql = "SELECT EXISTS (
                        SELECT FROM fresco_server.known_networks n
                        JOIN fresco_server.users u ON u.id = n.user_id
                        WHERE u.email_key = $1 AND n.network = $2)";
            let network = network::of(address).to_string();
            let client = self.database().client().await?;
            Ok(client.query_one(sql, &[&email.key(), &network]).await.mapped()?.get(0))
        })
        .await
    }
}

/// Forgets from where this account was signed in.
pub(super) async fn forget(transaction: &Transaction<'_>, user: Uuid) -> Result<()> {
    let sql = "DELETE FROM fresco_server.known_networks WHERE user_id = $1";
    transaction.execute(sql, &[&user]).await.mapped()?;
    Ok(())
}

/// Notes that this account is signed in from there.
pub(super) async fn note(transaction: &Transaction<'_>, user: Uuid, address: IpAddr) -> Result<()> {
    let network = network::of(address).to_string();
    let sql = "INSERT INTO fresco_server.known_networks (user_id, network) VALUES ($1, $2)
               ON CONFLICT (user_id, network) DO UPDATE SET last_seen_at = now()";
    transaction.execute(sql, &[&user, &network]).await.mapped()?;
    let sql = "DELETE FROM fresco_server.known_networks WHERE user_id = $1 AND network IN (
                SELECT network FROM fresco_server.known_networks WHERE user_id = $1
                ORDER BY last_seen_at DESC, network OFFSET $2 FOR UPDATE SKIP LOCKED)";
    transaction.execute(sql, &[&user, &MOST]).await.mapped()?;
    Ok(())
}
