//! Sessions of tenants' roles.

use std::time::Duration;

use fresco_core::{DatabaseActivity, Error, ErrorKind, Result, TenantId};
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::PostgresTenants;
use crate::errors::Mapped;
use crate::server::take;

/// Between two looks at whether sessions are gone.
const LOOK: Duration = Duration::from_millis(20);

/// Ends all sessions of a role, and waits until they are gone. No new one must be possible.
pub(super) async fn end(client: &Client, role: &str, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    // Whoever has to end them must be a member of the role; else this says so.
    let sql = "SELECT count(*), count(*) FILTER (WHERE pg_terminate_backend(pid))
               FROM pg_stat_activity WHERE usename = $1";
    loop {
        let open: i64 = client.query_one(sql, &[&role]).await.mapped()?.try_get(0).mapped()?;
        if open == 0 {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::new(ErrorKind::TimedOut, "sessions of this role do not end")
                .with("role", role)
                .with("sessions", open));
        }
        sleep(LOOK).await;
    }
}

impl PostgresTenants {
    pub(super) async fn role_activity(&self, tenant: TenantId) -> Result<DatabaseActivity> {
        // These times are shown to members of the role, as the platform is. Helpers of a parallel
        // query are no sessions. A pool lends sessions that it opened for somebody earlier, such as
        // the same app before a restart: one is as new as what it was last used for. Whatever uses
        // it knows the role's password, which is given to one container at a time.
        let sql = "SELECT clock_timestamp(), max(greatest(backend_start, query_start)), count(*)
                   FROM pg_stat_activity
                   WHERE usename = $1 AND backend_type IS DISTINCT FROM 'parallel worker'";
        let client = take(&self.admin).await?;
        let row = client.query_one(sql, &[&tenant.role_name()]).await.mapped()?;
        let sessions: i64 = row.try_get(2).mapped()?;
        let newest_session: Option<chrono::DateTime<chrono::Utc>> = row.try_get(1).mapped()?;
        if sessions > 0 && newest_session.is_none() {
            return Err(Error::new(
                ErrorKind::Denied,
                "the platform's role may not see this role's sessions; is it another platform's?",
            )
            .with("role", tenant.role_name()));
        }
        Ok(DatabaseActivity {
            now: row.try_get(0).mapped()?,
            newest_session,
            sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
        })
    }
}
