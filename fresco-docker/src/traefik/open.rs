//! What Traefik is told beside the labels of containers: that a tenant's gate was opened.
//!
//! Labels can't be taken off a running container. So an opened gate is a file in the folder that
//! Traefik's file provider reads: a router for the same hosts that goes before the container's own
//! and leads past the gate. Its service and its mark are the container's, so that without the
//! container it leads nowhere; and without the file the gate is asked, as the labels say.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fresco_core::{Error, ErrorKind, Gate, PlatformId, Result, Route, TenantId};
use serde_json::{Value, json};

use super::config::TraefikConfig;
use super::rule;

/// What follows a route's name in the name of the router past its gate.
const SUFFIX: &str = "-open";
/// The provider that reads containers' labels.
const BY_LABELS: &str = "docker";
/// A service of Traefik's own that leads nowhere.
const NOWHERE: &str = "noop@internal";

/// Leads everybody past the gate of the route. Without a folder it does nothing.
pub(super) async fn open(config: &TraefikConfig, route: &Route) -> Result<()> {
    let name = route.tenant.route_name(config.platform);
    let text = text(&past_the_gate(config, route, &name));
    in_folder(config, move |folder| write(folder, &file_of(&name), &text)).await
}

/// Whoever comes has to pass the gate again.
pub(super) async fn close(config: &TraefikConfig, tenant: TenantId) -> Result<()> {
    let file = file_of(&tenant.route_name(config.platform));
    in_folder(config, move |folder| match fs::remove_file(folder.join(file)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
    .await
}

/// A router of nobody's, behind a gate, for this host.
pub(super) async fn sample(config: &TraefikConfig, host: &str, gate: &Gate) -> Result<()> {
    let name = sample_name(config.platform);
    let entrypoints = match &config.tls {
        Some(tls) => std::slice::from_ref(&tls.probe_entrypoint),
        None => &config.entrypoints,
    };
    let routers = json!({ &name: {
        "rule": format!("Host(`{host}`)"),
        "entryPoints": entrypoints,
        "middlewares": [&name],
        "service": NOWHERE,
    } });
    let middlewares = json!({ &name: { "forwardAuth": { "address": gate.url } } });
    let text = text(&json!({ "http": { "routers": routers, "middlewares": middlewares } }));
    in_folder(config, move |folder| write(folder, &format!("{name}.yml"), &text)).await
}

fn sample_name(platform: PlatformId) -> String {
    let platform = platform.as_uuid().simple().to_string();
    format!("fresco-{}-gate", &platform[..8])
}

fn file_of(name: &str) -> String {
    format!("{name}{SUFFIX}.yml")
}

fn past_the_gate(config: &TraefikConfig, route: &Route, name: &str) -> Value {
    let rule = rule::hosts(&route.hosts);
    let by_labels = format!("{name}@{BY_LABELS}");
    let mut open = json!({
        "rule": rule,
        "entryPoints": config.entrypoints,
        // The container's own router has its rule's length.
        "priority": rule.len() + 1,
        "middlewares": [by_labels],
        "service": by_labels,
    });
    let mut routers = serde_json::Map::new();
    if let Some(tls) = &config.tls {
        let mut probe = open.clone();
        probe["entryPoints"] = json!([tls.probe_entrypoint]);
        routers.insert(format!("{name}{SUFFIX}{}", super::labels::PROBE_SUFFIX), probe);
        open["tls"] = match &tls.certresolver {
            Some(resolver) => json!({ "certResolver": resolver }),
            None => json!({}),
        };
    }
    routers.insert(format!("{name}{SUFFIX}"), open);
    json!({ "http": { "routers": routers } })
}

/// JSON, which is YAML, too. Spread over lines it has no two braces in a row, which would be a
/// template to Traefik.
fn text(document: &Value) -> String {
    format!("{document:#}\n")
}

/// Does what blocks, where there is a folder.
async fn in_folder(
    config: &TraefikConfig,
    work: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
) -> Result<()> {
    let Some(folder) = config.directory.clone() else { return Ok(()) };
    let path = folder.clone();
    let done = tokio::task::spawn_blocking(move || work(&path)).await;
    done.map_err(io::Error::other).and_then(|done| done).map_err(|error| {
        let what = "can't write to the folder of Traefik's file provider";
        Error::new(ErrorKind::Unavailable, what).with("folder", folder.display()).with_source(error)
    })
}

/// Writes a file whole or not at all, and leaves one that says the same alone.
fn write(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let path = folder.join(name);
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    // Traefik leaves alone what does not end in .yml.
    let draft = folder.join(format!(".{name}.{:016x}", rand::random::<u64>()));
    let written = File::create_new(&draft).and_then(|mut file| {
        // Traefik may be another user.
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    });
    written.inspect_err(|_| drop(fs::remove_file(&draft)))
}

#[cfg(test)]
mod tests {
    use fresco_core::Generation;

    use super::*;

    fn route() -> Route {
        let host = "secret-study.example.org".parse().unwrap();
        Route::new(TenantId::new(), Generation::new(7), host, 3000)
    }

    fn router<'a>(document: &'a Value, name: &str) -> &'a Value {
        &document["http"]["routers"][name]
    }

    #[test]
    fn an_opened_gate_leads_to_the_container_alone() {
        let (route, config) = (route(), TraefikConfig::new(PlatformId::new()));
        let name = route.tenant.route_name(config.platform);
        let document = past_the_gate(&config, &route, &name);
        let rule = "Host(`secret-study.example.org`)";
        let expected = json!({
            "rule": rule,
            "entryPoints": ["web"],
            "priority": rule.len() + 1,
            "middlewares": [format!("{name}@docker")],
            "service": format!("{name}@docker"),
        });
        assert_eq!(*router(&document, &format!("{name}-open")), expected);
        assert_eq!(document["http"]["routers"].as_object().unwrap().len(), 1);
    }

    #[test]
    fn https_and_its_probes() {
        let probe = "127.0.0.1:1".parse().unwrap();
        for (resolver, tls) in [(Some("le"), json!({ "certResolver": "le" })), (None, json!({}))] {
            let config = TraefikConfig::new(PlatformId::new()).https(resolver, "probe", probe);
            let document = past_the_gate(&config, &route(), "x");
            let (open, probe) = (router(&document, "x-open"), router(&document, "x-open-probe"));
            assert_eq!((&open["entryPoints"], &open["tls"]), (&json!(["websecure"]), &tls));
            assert_eq!((&probe["entryPoints"], &probe["tls"]), (&json!(["probe"]), &Value::Null));
        }
    }

    #[test]
    fn nothing_in_a_file_is_a_template() {
        let config = TraefikConfig::new(PlatformId::new());
        let config = config.https(None, "probe", "127.0.0.1:1".parse().unwrap());
        let text = text(&past_the_gate(&config, &route(), "x"));
        assert!(!text.contains("{{") && !text.contains("}}"), "{text}");
    }

    #[tokio::test]
    async fn files_come_and_go_whole() {
        let folder = std::env::temp_dir().join(format!("fresco-{:016x}", rand::random::<u64>()));
        let config = TraefikConfig::new(PlatformId::new());
        let (route, gate) = (route(), Gate::new("http://127.0.0.1:1/gate"));
        // Without a folder there is nothing to do.
        open(&config, &route).await.unwrap();
        let config = config.directory(&folder);
        close(&config, route.tenant).await.expect("what is not there is closed");
        let error = open(&config, &route).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.chain().to_string().contains(&folder.display().to_string()), "{error}");

        fs::create_dir(&folder).unwrap();
        for _ in 0..2 {
            open(&config, &route).await.unwrap();
            sample(&config, "-gate.example.org", &gate).await.unwrap();
        }
        let names = || {
            let files = fs::read_dir(&folder).unwrap();
            let mut names: Vec<_> =
                files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let (name, sample) =
            (route.tenant.route_name(config.platform), sample_name(config.platform));
        let mut expected = vec![format!("{name}-open.yml"), format!("{sample}.yml")];
        expected.sort();
        assert_eq!(names(), expected);
        let mode = fs::metadata(folder.join(&expected[0])).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        close(&config, route.tenant).await.unwrap();
        assert_eq!(names(), [format!("{sample}.yml")]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
