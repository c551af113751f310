//! Copying a tenant's data out, and in again.
//!
//! Out: `pg_dump` writes an archive in its custom format, which is what the caller reads. In: the
//! archive is put into a file without a name, `pg_restore` turns it into SQL, and this program runs
//! that in one transaction which begins with dropping what is there. (`pg_restore` itself could
//! only drop what is in the archive, or drop in a transaction of its own.) Programs and connections
//! log in as a [`Copier`].

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use fresco_core::{DatabaseCopy, Error, ErrorKind, Fence, Isolation, Result, TenantId};
use futures_util::{StreamExt, TryStreamExt, stream};
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tokio_postgres::Client;

use super::PostgresTenants;
use super::catalog::Storage;
use super::copier::{self, Copier};
use super::names::ident;
use super::programs::{Program, Running, input};
use super::{replace, script};
use crate::errors::Mapped;
use crate::server::take;

/// The most bytes in one part of a copy.
const PART: usize = 64 << 10;
/// How long a login outlives the copy that it is for.
const MARGIN: Duration = Duration::from_secs(60);

/// A dump under way. When it is dropped, the program is killed and the role removed.
struct Dump {
    program: Running,
    copier: Copier,
    deadline: Instant,
    tenant: TenantId,
}

impl PostgresTenants {
    /// Where the tenant's data is: which isolation, in which database.
    async fn place(&self, tenant: TenantId) -> Result<(Isolation, String)> {
        let found = self.look(tenant).await?;
        Self::own_role(found, tenant)?;
        match found.storage() {
            Some(Isolation::Schema) => Ok((Isolation::Schema, self.config.schema_database.clone())),
            Some(isolation) if found.database == Storage::Ours => {
                Ok((isolation, tenant.database_name()))
            }
            _ => Err(Error::new(ErrorKind::NotFound, "this tenant has no schema or database")
                .with("name", tenant.database_name())),
        }
    }

    async fn copier(&self, tenant: TenantId) -> Result<Copier> {
        let lifetime = self.config.copy_timeout + MARGIN;
        let platform = self.platform();
        Copier::make(&self.changes, platform, tenant, lifetime, self.grant_options()).await
    }

    async fn program(&self, name: &str) -> Result<Program> {
        Program::find(name, self.config.programs.as_deref(), self.version).await
    }

    pub(super) async fn copy_out(&self, tenant: TenantId) -> Result<DatabaseCopy> {
        let (isolation, database) = self.place(tenant).await?;
        if isolation == Isolation::Schema {
            self.refuse_large_objects(tenant).await?;
        }
        let program = self.program("pg_dump").await?;
        copier::sweep(&self.changes, self.platform()).await?;
        let copier = self.copier(tenant).await?;

        let role = format!("--role={}", tenant.role_name());
        let schema = format!("--schema={}", tenant.database_name());
        let mut arguments = vec![
            "--format=custom",
            "--encoding=UTF8",
            "--no-password",
            "--no-privileges",
            "--no-subscriptions",
            "--lock-wait-timeout=30000",
            &role,
        ];
        if isolation == Isolation::Schema {
            arguments.push(&schema);
        }
        let place = self.copies.database(&database).environment();
        let mut environment: Vec<(&str, &str)> = vec![
            ("PGUSER", &copier.name),
            ("PGPASSWORD", copier.password.expose_secret()),
            ("PGAPPNAME", "fresco-copy"),
            ("PGCONNECT_TIMEOUT", "10"),
        ];
        environment.extend(place.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| (*k, &**v)));
        let program = program.run(&arguments, &environment, Stdio::null())?;
        let deadline = Instant::now() + self.config.copy_timeout;
        let dump = Dump { program, copier, deadline, tenant };
        Ok(stream::unfold(Some(dump), Dump::next).boxed())
    }

    /// A copy of a schema lacks them, and nobody would notice.
    async fn refuse_large_objects(&self, tenant: TenantId) -> Result<()> {
        let sql = "SELECT count(*) FROM pg_largeobject_metadata l
                   JOIN pg_roles r ON r.oid = l.lomowner WHERE r.rolname = $1";
        let client = take(&self.schemas).await?;
        let row = client.query_one(sql, &[&tenant.role_name()]).await.mapped()?;
        let count: i64 = row.try_get(0).mapped()?;
        if count == 0 {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            "this tenant keeps large objects, which belong to no schema: a copy of its schema would lack them",
        )
        .with("tenant", tenant)
        .with("large objects", count))
    }

    pub(super) async fn copy_in(&self, fence: Fence, copy: DatabaseCopy) -> Result<()> {
        let tenant = fence.tenant;
        // The copy may take long to come; whether it is wanted at all is asked first.
        drop(self.guard(fence).await?);
        let (isolation, database) = self.place(tenant).await?;
        let program = self.program("pg_restore").await?;
        let file = spool(copy).await?;
        listing(&program, &file).await?.check(tenant, isolation)?;

        copier::sweep(&self.changes, self.platform()).await?;
        let (slot, guard) = self.guard(fence).await?;
        let credential = Self::own_role(self.look(tenant).await?, tenant)?;
        guard.client.batch_execute(&guard.mark(credential)).await.mapped()?;
        let inside = guard.enter(&database).await?;
        unlock(&inside, tenant).await?;
        let copier = self.copier(tenant).await?;
        let login = self.copies.database(&database).login(&copier.name, &copier.password);
        let client = guard.enter_as(&login, &inside).await?;
        // Whoever comes with a newer generation need not wait for the rest.
        drop((guard, slot));

        let replaced = self.replace(fence, client, inside, &program, &file, isolation).await;
        let removed = copier.remove().await;
        replaced.map_err(|e| e.with("tenant", tenant))?;
        if let Err(error) = removed {
            // The data is in, and the role goes with the next sweep.
            tracing::warn!(error = error.chain(), "a role is left for later");
        }
        Ok(())
    }

    async fn replace(
        &self,
        fence: Fence,
        mut client: Client,
        inside: Client,
        program: &Program,
        file: &File,
        isolation: Isolation,
    ) -> Result<()> {
        let tenant = fence.tenant;
        let schema = format!("--schema={}", tenant.database_name());
        let run = |section| {
            let mut arguments = vec!["--file=-", "--no-owner", "--no-privileges", section];
            // Without the schema itself, which is the platform's.
            if isolation == Isolation::Schema {
                arguments.push(&schema);
            }
            program.run(&arguments, &[], input(file)?)
        };
        client.batch_execute(&format!("SET ROLE {}", ident(&tenant.role_name()))).await.mapped()?;
        // What the app has locked would be waited for, and what it knows is about to change.
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
        inside.execute(end, &[&tenant.role_name()]).await.mapped()?;
        drop(inside);

        let transaction = client.transaction().await.mapped()?;
        replace::all_of(&transaction, tenant).await?;
        for section in ["--section=pre-data", "--section=data", "--section=post-data"] {
            let mut running = run(section)?;
            let ran = if section == "--section=data" {
                script::data(&transaction, &mut running.output).await
            } else {
                script::definitions(&transaction, &mut running.output).await
            };
            ran?;
            running.end().await.map_err(no_copy)?;
        }
        // Nobody can take over between this and the end.
        let _still_mine = self.guard(fence).await?;
        transaction.commit().await.mapped()
    }
}

impl Dump {
    /// The next part, and the rest of the work.
    async fn next(dump: Option<Self>) -> Option<(Result<Vec<u8>>, Option<Self>)> {
        let mut dump = dump?;
        let outcome = match tokio::time::timeout_at(dump.deadline, dump.part()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::new(ErrorKind::TimedOut, "the copy was not read in time")),
        };
        match outcome {
            Ok(Some(part)) => return Some((Ok(part), Some(dump))),
            Ok(None) => {}
            Err(error) => {
                let error = error.during("database.dump").with("tenant", dump.tenant);
                return Some((Err(error), None));
            }
        }
        if let Err(error) = dump.copier.remove().await {
            tracing::warn!(error = error.chain(), "a role is left for later");
        }
        None
    }

    async fn part(&mut self) -> Result<Option<Vec<u8>>> {
        let password = self.copier.password.expose_secret();
        let failed = |words: String| {
            // The program never writes it; should a version do so, it goes no further.
            let words = words.replace(password, "…");
            let kind = match words.as_str() {
                w if w.contains("row-level security") => ErrorKind::Unsupported,
                w if w.contains("lock timeout") => ErrorKind::TimedOut,
                _ => ErrorKind::Unavailable,
            };
            Error::new(kind, "pg_dump can't copy this tenant's data").with_source(words)
        };
        let mut part = Vec::with_capacity(PART);
        let read = self.program.output.read_buf(&mut part).await;
        match read.map_err(|e| failed(e.to_string()))? {
            0 => self.program.end().await.map(|()| None).map_err(failed),
            _ => Ok(Some(part)),
        }
    }
}

fn no_copy(words: String) -> Error {
    Error::new(ErrorKind::Invalid, "this is no copy, or not a whole one").with_source(words)
}

/// Puts the copy into a file without a name, which goes with this program.
async fn spool(mut copy: DatabaseCopy) -> Result<File> {
    let failed = |e: std::io::Error| {
        Error::new(
            ErrorKind::Exhausted,
            "the copy can't be put into the folder for temporary files; is there room?",
        )
        .with_source(e)
    };
    let file = tokio::task::spawn_blocking(tempfile::tempfile).await;
    let file = file.map_err(std::io::Error::from).and_then(|made| made).map_err(failed)?;
    let mut file = tokio::fs::File::from_std(file);
    while let Some(part) = copy.try_next().await? {
        file.write_all(&part).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    Ok(file.into_std().await)
}

/// What an archive says of itself.
struct Listing(String);

/// The archive's table of contents.
async fn listing(program: &Program, file: &File) -> Result<Listing> {
    let mut running = program.run(&["--list"], &[], input(file)?)?;
    let mut text = Vec::new();
    let read = running.output.read_to_end(&mut text).await;
    running.end().await.map_err(no_copy)?;
    read.map_err(|e| no_copy(e.to_string()))?;
    Ok(Listing(String::from_utf8_lossy(&text).into_owned()))
}

impl Listing {
    /// Refuses the copy of another tenant, or of the other isolation.
    fn check(&self, tenant: TenantId, isolation: Isolation) -> Result<()> {
        let name = tenant.database_name();
        let schema = format!(" SCHEMA - {name} ");
        let ours = match isolation {
            Isolation::Schema => self.0.lines().any(|line| line.contains(&schema)),
            Isolation::Database => {
                let database = self.0.lines().find_map(|line| line.split_once("dbname: "));
                database.is_some_and(|(_, database)| database == name)
            }
        };
        if ours {
            return Ok(());
        }
        let why = "this is a copy of another tenant, or of another isolation";
        Err(Error::new(ErrorKind::Invalid, why).with("tenant", tenant))
    }
}

/// Gives the tenant's lock in this database to the next who waits for it.
async fn unlock(client: &Client, tenant: TenantId) -> Result<()> {
    let sql = "SELECT pg_advisory_unlock($1)";
    client.execute(sql, &[&tenant.lock_key()]).await.mapped()?;
    Ok(())
}
