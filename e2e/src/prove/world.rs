//! Tenants of the running platform, for the attempts on its database: each is made by the API, and
//! connects out of the network of its own container, with the credentials that it has there.

use std::any::Any;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fresco_core::{Isolation, TenantId};
use fresco_isolation::{Limits, Names, Standing, Tenant, World, Wrong};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, Config};
use tokio_util::task::AbortOnDropHandle;

use crate::docker::{Container, Docker, remove};
use crate::platform::{Made, Place, Platform};
use crate::relay::SOCKET;

/// Names of folders within this run.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// How tenants are made.
#[derive(Clone, Debug)]
struct Maker {
    place: Arc<Place>,
    docker: Arc<Docker>,
    platform: Arc<Platform>,
}

/// The platform that runs.
#[derive(Debug)]
pub(crate) struct Running {
    maker: Maker,
    names: Names,
    /// Tenants that were made ahead.
    ready: tokio::sync::Mutex<mpsc::Receiver<Result<Tenant, Wrong>>>,
    _making: AbortOnDropHandle<()>,
}

/// A tenant that is destroyed when nobody uses it any more, so that few are there at a time.
#[derive(Debug)]
struct Kept {
    platform: Arc<Platform>,
    made: Made,
    relays: Mutex<Vec<String>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let (platform, made) = (self.platform.clone(), self.made.clone());
        let relays =
            std::mem::take(&mut *self.relays.lock().unwrap_or_else(PoisonError::into_inner));
        // What is left of it at the end of all is destroyed then.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                remove(&relays.iter().map(String::as_str).collect::<Vec<_>>()).await;
                let body = json!({
                    "tenantId": made.id.to_string(), "confirmation": made.subdomain,
                });
                let _ = platform.patiently("tenants.destroy", &body).await;
            });
        }
    }
}

impl Maker {
    async fn make(&self) -> Result<Tenant, Wrong> {
        let made = self.platform.deploy(&self.place).await?;
        let (platform, relays) = (self.platform.clone(), Mutex::default());
        let id = made.id;
        self.connected(id, Arc::new(Kept { platform, made, relays })).await
    }

    /// A tenant with the way that its container has to the database now.
    async fn connected(&self, id: TenantId, kept: Arc<Kept>) -> Result<Tenant, Wrong> {
        let container = Container::of(&self.place, id).await?;
        let url = container.database_url()?;
        let mut config: Config =
            url.parse().map_err(|_| "a tenant's DATABASE_URL can't be read")?;
        let [tokio_postgres::config::Host::Tcp(host)] = config.get_hosts() else {
            return Err("a tenant's database has no address".into());
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let to = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let folder = self.folder()?;
        let relay = self.docker.relay(&container.id, &folder, &to).await?;
        kept.relays.lock().unwrap_or_else(PoisonError::into_inner).push(relay);
        let end = Instant::now() + Duration::from_secs(20);
        while !folder.join(SOCKET).exists() {
            if Instant::now() > end {
                return Err("the way into a tenant's network does not open".into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        config = through(&config, &folder);
        Ok(Tenant::new(id, config).keeping(kept))
    }

    fn folder(&self) -> Result<PathBuf, Wrong> {
        let name = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        let folder = self.place.folder.join(name);
        std::fs::create_dir(&folder)?;
        // The relay is nobody; the folder around this one lets only its owner in.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777))?;
        Ok(folder)
    }
}

/// The same login through a socket.
fn through(config: &Config, folder: &Path) -> Config {
    let mut new = Config::new();
    new.host_path(folder).port(5432).dbname(config.get_dbname().unwrap_or_default());
    new.user(config.get_user().unwrap_or_default());
    new.password(config.get_password().unwrap_or_default());
    if let Some(options) = config.get_options() {
        new.options(options);
    }
    new
}

impl Running {
    pub(crate) fn new(place: &Arc<Place>, docker: &Arc<Docker>, platform: &Arc<Platform>) -> Self {
        let maker =
            Maker { place: place.clone(), docker: docker.clone(), platform: platform.clone() };
        let (give, ready) = mpsc::channel(1);
        let making = maker.clone();
        let making =
            tokio::spawn(async move { while give.send(making.make().await).await.is_ok() {} });
        let names = Names {
            role: "fresco_platform_app".into(),
            database: "fresco_platform".into(),
            schemas: "fresco_tenants".into(),
        };
        let ready = tokio::sync::Mutex::new(ready);
        Self { maker, names, ready, _making: AbortOnDropHandle::new(making) }
    }
}

#[async_trait]
impl World for Running {
    fn isolation(&self) -> Isolation {
        self.maker.place.isolation()
    }

    fn names(&self) -> &Names {
        &self.names
    }

    fn limits(&self) -> Limits {
        self.maker.place.limits
    }

    async fn superuser(&self, database: &str) -> Result<Client, Wrong> {
        self.maker.place.superuser(database).await
    }

    async fn tenant(&self) -> Result<Tenant, Wrong> {
        self.deploy().await
    }

    async fn deploy(&self) -> Result<Tenant, Wrong> {
        self.ready.lock().await.recv().await.ok_or("no more tenants are made")?
    }

    async fn newcomer(&self) -> Result<Tenant, Wrong> {
        self.maker.make().await
    }

    async fn issue(&self, tenant: &Tenant) -> Result<Tenant, Wrong> {
        self.maker.platform.act("update", tenant.id).await?;
        let kept: Arc<dyn Any + Send + Sync> = tenant.kept().ok_or("nobody made this tenant")?;
        let kept = kept.downcast::<Kept>().map_err(|_| "somebody else made this tenant")?;
        self.maker.connected(tenant.id, kept).await
    }

    async fn exercise(&self, tenant: &Tenant) -> Result<(), Wrong> {
        self.maker.platform.act("restart", tenant.id).await?;
        self.maker.platform.act("update", tenant.id).await?;
        // Two looks of those that watch; nothing tells when they were.
        sleep(Duration::from_millis(4500)).await;
        Ok(())
    }

    async fn ask(&self, tenant: TenantId) -> Result<(), Wrong> {
        self.maker.platform.call("tenants.get", &json!({"tenantId": tenant.to_string()})).await?;
        self.maker.platform.call("tenants.list", &json!({"limit": 100})).await?;
        Ok(())
    }

    async fn standing(&self, tenant: TenantId) -> Result<Standing, Wrong> {
        let tenant = &self.maker.platform.tenant(tenant).await?["tenant"];
        let words = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Standing {
            status: words(&tenant["status"]),
            stopped: tenant["status"] == "stopped" && tenant["desiredState"] == "stopped",
            trouble: words(&tenant["error"]["message"]),
        })
    }

    async fn remove(&self, tenant: &Tenant) -> Result<(), Wrong> {
        self.maker.platform.act("destroy", tenant.id).await
    }
}
