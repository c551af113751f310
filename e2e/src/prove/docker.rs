//! Docker, through its own client: what containers there are, and programs in their networks.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use fresco_core::TenantId;
use fresco_docker::PackedProgram;
use fresco_isolation::Wrong;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::platform::Place;

/// The tasks of this program in a container.
pub(crate) const PROBE: &str = "network-probe";
pub(crate) const RELAY: &str = "relay";
/// The time that one call may take.
const TIME: Duration = Duration::from_secs(60);

/// Runs a program with this input, and gives what it wrote.
pub(crate) async fn run(program: &str, arguments: &[&str], input: &[u8]) -> Result<String, Wrong> {
    let what = || format!("{program} {}", arguments.first().copied().unwrap_or_default());
    let work = async {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may end before it has read all: why, it says itself.
            let _ = stdin.write_all(input).await;
        }
        child.wait_with_output().await
    };
    let output = timeout(TIME, work).await.map_err(|_| format!("{} takes too long", what()))?;
    let output = output.map_err(|error| format!("{}: {error}", what()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {}", what(), words.trim()).into())
}

pub(crate) async fn docker(arguments: &[&str]) -> Result<String, Wrong> {
    run("docker", arguments, &[]).await
}

/// A running container.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) four: String,
    pub(crate) six: String,
    pub(crate) port: u16,
    environment: BTreeMap<String, String>,
    pub(crate) mounts: Vec<String>,
}

impl Container {
    /// A tenant's only container.
    pub(crate) async fn of(place: &Place, tenant: TenantId) -> Result<Self, Wrong> {
        let ids = containers_of(tenant).await?;
        let [id] = &ids[..] else {
            return Err(format!("a tenant has {} containers", ids.len()).into());
        };
        let text = docker(&["inspect", id]).await?;
        let found: Value = serde_json::from_str(&text).map_err(|_| "docker inspect: no JSON")?;
        let found = &found[0];
        let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let network = &found["NetworkSettings"]["Networks"][&place.network];
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let environment = list(&found["Config"]["Env"]).into_iter().filter_map(|pair| {
            let (name, value) = pair.as_str()?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        let port = found["Config"]["Labels"]["fresco.port"].as_str().and_then(|p| p.parse().ok());
        Ok(Self {
            id: id.clone(),
            name: words(&found["Name"]).trim_start_matches('/').to_owned(),
            four: words(&network["IPAddress"]),
            six: words(&network["GlobalIPv6Address"]),
            port: port.ok_or("a tenant's container does not say its port")?,
            environment: environment.collect(),
            mounts: list(&found["Mounts"]).iter().map(|mount| words(&mount["Source"])).collect(),
        })
    }

    /// How its app connects; it is secret.
    pub(crate) fn database_url(&self) -> Result<&str, Wrong> {
        let url = ["DATABASE_URL_UNPOOLED", "DATABASE_URL"].map(|name| self.environment.get(name));
        url.into_iter()
            .flatten()
            .next()
            .map(String::as_str)
            .ok_or_else(|| "a tenant's container has no DATABASE_URL".into())
    }
}

/// All containers of a tenant, stopped ones as well.
pub(crate) async fn containers_of(tenant: TenantId) -> Result<Vec<String>, Wrong> {
    let label = format!("label=fresco.tenant.id={tenant}");
    let text = docker(&["ps", "-aq", "--no-trunc", "--filter", &label]).await?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// The containers on the tenants' network of other tenants, each with its state.
pub(crate) async fn others(place: &Place) -> Result<Vec<String>, Wrong> {
    let network = format!("network={}", place.network);
    let format = "{{.ID}} {{.Names}} {{.State}}";
    let text = docker(&[
        "ps",
        "-a",
        "--filter",
        &network,
        "--filter",
        "label=fresco.platform",
        "--format",
        format,
    ])
    .await?;
    let mut all: Vec<_> = text.lines().map(str::to_owned).collect();
    all.sort();
    Ok(all)
}

/// This program in an image, and its containers.
#[derive(Debug)]
pub(crate) struct Docker {
    image: String,
    label: String,
    command: Vec<String>,
}

fn label(place: &Place) -> String {
    format!("fresco.prove={}", place.stack)
}

impl Docker {
    /// Makes the image.
    pub(crate) async fn pack(place: &Place) -> Result<Self, Wrong> {
        let packed = tokio::task::spawn_blocking(PackedProgram::pack).await;
        let packed = packed.map_err(|error| Wrong(error.to_string()))??;
        let label = label(place);
        let change = format!("LABEL {label}");
        let made = run("docker", &["import", "--change", &change, "-"], &packed.archive).await?;
        Ok(Self { image: made.trim().to_owned(), label, command: packed.command })
    }

    fn arguments<'a>(&'a self, more: &[&'a str], task: &[&'a str]) -> Vec<&'a str> {
        let all = ["run", "--label", &self.label, "--user", "65534:65534", "--read-only"];
        let confined = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"];
        let mut line: Vec<&str> = [&all[..], &confined, more, &[self.image.as_str()]].concat();
        line.extend(self.command.iter().map(String::as_str));
        line.extend(task);
        line
    }

    /// What came of trying these places from a network; `(place, reached, seen)`.
    pub(crate) async fn reach(
        &self,
        network: &str,
        targets: &[String],
    ) -> Result<Vec<(String, bool, String)>, Wrong> {
        let task = format!("FRESCO_NETWORK_PROBE={}", json!({"Reach": targets}));
        let line = self.arguments(&["--rm", "--network", network, "--env", &task], &[PROBE]);
        let text = docker(&line).await?;
        let told = text.lines().filter_map(|line| {
            let told: Value = serde_json::from_str(line.strip_prefix("fresco-probe ")?).ok()?;
            let words = |name: &str| told[name].as_str().map(str::to_owned);
            Some((words("target")?, told["reached"].as_bool()?, words("seen")?))
        });
        let told: Vec<_> = told.collect();
        if told.len() != targets.len() {
            return Err("the probe did not tell of all places".into());
        }
        Ok(told)
    }

    /// Lets a container's network be used through a socket in this folder; the container's id.
    pub(crate) async fn relay(
        &self,
        container: &str,
        folder: &Path,
        to: &str,
    ) -> Result<String, Wrong> {
        let network = format!("container:{container}");
        let mount = format!("type=bind,src={},dst=/relay", folder.display());
        let more = ["--detach", "--network", &network, "--mount", &mount];
        Ok(docker(&self.arguments(&more, &[RELAY, to])).await?.trim().to_owned())
    }

    /// Removes all containers and images of this run and those before it.
    pub(crate) async fn remove_all(place: &Place) -> Result<(), Wrong> {
        let filter = format!("label={}", label(place));
        let ids = docker(&["ps", "-aq", "--filter", &filter]).await?;
        remove(&ids.split_whitespace().collect::<Vec<_>>()).await;
        let images = docker(&["images", "-aq", "--filter", &filter]).await?;
        for image in images.split_whitespace() {
            docker(&["image", "rm", "--force", image]).await?;
        }
        Ok(())
    }
}

/// Removes containers; one that is gone is no trouble.
pub(crate) async fn remove(ids: &[&str]) {
    if !ids.is_empty() {
        let _ = docker(&[&["rm", "--force"], ids].concat()).await;
    }
}
