//! The platform that is tried, through its public API.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use fresco_core::{Isolation, TenantId};
use fresco_isolation::{Limits, Wrong};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Who owns what is tried.
pub(crate) const EMAIL: &str = "prove@example.org";
/// Development's: everybody may know it, as the first tenant's.
const PASSWORD: &str = "localdev-prove";
/// How long a server that was killed may be away, and an operation may take.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(100);

/// Where everything is, as dev/prove says.
#[derive(Debug)]
pub(crate) struct Place {
    /// `dev` or `test`: part of all names.
    pub(crate) stack: String,
    pub(crate) api: String,
    pub(crate) api_port: u16,
    pub(crate) sites_port: u16,
    pub(crate) dashboard_port: u16,
    pub(crate) postgres_port: u16,
    pub(crate) network: String,
    /// The address at which tenants reach PostgreSQL.
    pub(crate) gateway: String,
    /// The file with the server's process.
    pub(crate) server: PathBuf,
    /// For sockets.
    pub(crate) folder: PathBuf,
    /// The table.
    pub(crate) output: PathBuf,
    /// What a tenant may have.
    pub(crate) limits: Limits,
    isolation: OnceLock<Isolation>,
}

impl Place {
    pub(crate) fn from_env() -> Result<Self, Wrong> {
        let get = |name: &str| {
            let name = format!("PROVE_{name}");
            std::env::var(&name).map_err(|_| Wrong(format!("{name} is not set: run dev/prove")))
        };
        let number = |name: &str| {
            get(name)?.parse::<u16>().map_err(|_| Wrong(format!("PROVE_{name} is no number")))
        };
        let api_port = number("API_PORT")?;
        Ok(Self {
            stack: get("STACK")?,
            api: format!("http://127.0.0.1:{api_port}"),
            api_port,
            sites_port: number("SITES_PORT")?,
            dashboard_port: number("DASHBOARD_PORT")?,
            postgres_port: number("POSTGRES_PORT")?,
            network: get("NETWORK")?,
            gateway: get("GATEWAY")?,
            server: get("SERVER")?.into(),
            folder: get("FOLDER")?.into(),
            output: get("OUTPUT")?.into(),
            limits: Limits {
                transaction: Duration::from_secs(number("TRANSACTION")?.into()),
                disk: u64::from(number("DISK")?) << 20,
                // The platform's own choice.
                queue: 5,
            },
            isolation: OnceLock::new(),
        })
    }

    /// What tenants have of their own, once one was made.
    pub(crate) fn isolation(&self) -> Isolation {
        self.isolation.get().copied().unwrap_or(Isolation::Schema)
    }

    /// A superuser's session, as the development stack lets everybody on this machine have it.
    pub(crate) async fn superuser(&self, database: &str) -> Result<tokio_postgres::Client, Wrong> {
        let port = self.postgres_port;
        let url = format!("postgresql://postgres:localdev@127.0.0.1:{port}/{database}");
        let connect = tokio_postgres::connect(&url, tokio_postgres::NoTls);
        let (client, connection) =
            tokio::time::timeout(Duration::from_secs(20), connect)
                .await
                .map_err(|_| "PostgreSQL does not let a superuser in within 20 s")??;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// A tenant, as the API tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) id: TenantId,
    pub(crate) subdomain: String,
    pub(crate) operation: String,
}

/// Somebody who calls the platform.
#[derive(Clone, Debug)]
pub(crate) struct Platform {
    client: Client,
    api: String,
}

fn text(value: &Value, name: &str) -> Result<String, Wrong> {
    let found = value[name].as_str().map(str::to_owned);
    found.ok_or_else(|| format!("the API's answer has no {name}").into())
}

impl Platform {
    /// As the account that owns what is tried; it is made when there is none.
    pub(crate) async fn sign_in(place: &Place) -> Result<Self, Wrong> {
        let client = Client::builder()
            .pool_max_idle_per_host(0)
            .cookie_store(true)
            .timeout(PATIENCE)
            .build();
        let client = client.map_err(|error| Wrong(error.to_string()))?;
        let this = Self { client, api: place.api.clone() };
        let body = json!({"email": EMAIL, "password": PASSWORD});
        if this.patiently("auth.signIn", &body).await.is_err() {
            let body = json!({
                "email": EMAIL, "password": PASSWORD, "termsAccepted": true, "privacyAccepted": true,
            });
            this.patiently("auth.signUp", &body).await?;
        }
        Ok(this)
    }

    /// One call; any answer but a success is an error, which says whether to ask again.
    async fn once(&self, call: &str, body: &Value) -> Result<Value, (bool, Wrong)> {
        let asked = self.client.post(format!("{}/api/{call}", self.api)).json(body).send().await;
        let answer = asked.map_err(|_| (true, Wrong(format!("{call}: no answer"))))?;
        let status = answer.status().as_u16();
        let body: Value =
            answer.json().await.map_err(|_| (true, Wrong(format!("{call}: half an answer"))))?;
        match status {
            200..300 => Ok(body),
            _ => {
                let words = body["detail"].as_str().or(body["title"].as_str()).unwrap_or_default();
                // 409: something is under way on that tenant.
                Err((
                    matches!(status, 409 | 429 | 503),
                    Wrong(format!("{call}: {status}, {words}")),
                ))
            }
        }
    }

    /// One call that must succeed at once.
    pub(crate) async fn call(&self, call: &str, body: &Value) -> Result<Value, Wrong> {
        self.once(call, body).await.map_err(|(_, wrong)| wrong)
    }

    /// Asks again as long as that can help.
    pub(crate) async fn patiently(&self, call: &str, body: &Value) -> Result<Value, Wrong> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.once(call, body).await {
                Err((true, _)) if Instant::now() < end => sleep(PAUSE).await,
                answer => return answer.map_err(|(_, wrong)| wrong),
            }
        }
    }

    pub(crate) async fn is_healthy(&self) -> bool {
        let asked = self.client.get(format!("{}/health", self.api)).send().await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }

    /// The stream of an operation's events.
    pub(crate) async fn events(&self, operation: &str) -> Result<reqwest::Response, Wrong> {
        let url = format!("{}/api/operations/{operation}/events", self.api);
        self.client.get(url).send().await.map_err(|_| "no stream of events".into())
    }

    /// Asks for a tenant.
    pub(crate) async fn ask_for_one(&self) -> Result<Made, Wrong> {
        let id = TenantId::new().to_string();
        let subdomain = format!("prove-{}", id.split('-').next().unwrap_or_default());
        let answer = self.patiently("tenants.create", &json!({"subdomain": subdomain})).await?;
        let id = text(&answer, "tenantId")?.parse().map_err(|_| "no tenant's id")?;
        Ok(Made { id, subdomain, operation: text(&answer, "operationId")? })
    }

    /// A tenant that runs.
    pub(crate) async fn deploy(&self, place: &Place) -> Result<Made, Wrong> {
        let made = self.ask_for_one().await?;
        self.success(made.id, &made.operation).await?;
        if place.isolation.get().is_none() {
            let database = self.tenant(made.id).await?["tenant"]["isolation"] == "database";
            let found = if database { Isolation::Database } else { Isolation::Schema };
            place.isolation.get_or_init(|| found);
        }
        Ok(made)
    }

    /// The tenant, with its operations.
    pub(crate) async fn tenant(&self, id: TenantId) -> Result<Value, Wrong> {
        self.patiently("tenants.get", &json!({"tenantId": id.to_string()})).await
    }

    /// Waits for an operation, which must succeed.
    pub(crate) async fn success(&self, id: TenantId, operation: &str) -> Result<(), Wrong> {
        let end = Instant::now() + PATIENCE;
        loop {
            let tenant = self.tenant(id).await?;
            let all = tenant["operations"].as_array().cloned().unwrap_or_default();
            let found = all.into_iter().find(|one| one["id"] == operation).unwrap_or_default();
            match found["status"].as_str() {
                Some("success") => return Ok(()),
                Some("failed") => {
                    let why = found["error"]["message"].as_str().unwrap_or("no reason given");
                    return Err(format!("{} failed: {why}", found["action"]).into());
                }
                _ if Instant::now() > end => {
                    return Err(format!("an operation did not end within {PATIENCE:?}").into());
                }
                _ => sleep(PAUSE).await,
            }
        }
    }

    /// An action on a tenant, to its end.
    pub(crate) async fn act(&self, action: &str, id: TenantId) -> Result<(), Wrong> {
        let mut body = json!({"tenantId": id.to_string()});
        let tenant = &self.tenant(id).await?["tenant"];
        match action {
            "destroy" => body["confirmation"] = tenant["subdomain"].clone(),
            // The same image again: a new container, and new credentials with it.
            "update" => body["image"] = tenant["image"].clone(),
            _ => {}
        }
        let answer = self.patiently(&format!("tenants.{action}"), &body).await?;
        self.success(id, &text(&answer, "operationId")?).await
    }

    /// Destroys all that the account has, and waits for it.
    pub(crate) async fn destroy_all(&self) -> Result<(), Wrong> {
        let end = Instant::now() + PATIENCE;
        loop {
            let mine = self.patiently("tenants.list", &json!({"limit": 100})).await?;
            let mine = mine["tenants"].as_array().cloned().unwrap_or_default();
            if mine.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("{} tenants of this run can't be destroyed", mine.len()).into());
            }
            for tenant in mine {
                let body = json!({"tenantId": tenant["id"], "confirmation": tenant["subdomain"]});
                // One that is being worked on is asked again.
                let _ = self.call("tenants.destroy", &body).await;
            }
            sleep(PAUSE * 3).await;
        }
    }
}
