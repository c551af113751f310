//! From a spec to what Docker is asked to make.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, RestartPolicy, RestartPolicyNameEnum,
};
use fresco_core::{Guarantee, InstanceSpec, Limits, Scratch, labels};
use secrecy::ExposeSecret;

use crate::config::DockerConfig;

/// The port of the app, so that the endpoint is known without the spec.
pub(crate) const PORT_LABEL: &str = "fresco.port";

/// What Docker is asked to make: everything that confines a tenant's container stands here.
pub(crate) fn create_body(
    spec: &InstanceSpec,
    image_user: Option<&str>,
    config: &DockerConfig,
    unenforced: &[Guarantee],
) -> ContainerCreateBody {
    let user = spec.app.user.as_deref().or(image_user);
    let environment = spec.environment.iter();
    ContainerCreateBody {
        image: Some(spec.image.as_str().to_owned()),
        user: spec.app.user.clone(),
        env: Some(
            environment.map(|(name, value)| format!("{name}={}", value.expose_secret())).collect(),
        ),
        labels: Some(labels_of(spec, config)),
        stop_timeout: Some(spec.app.stop_seconds.into()),
        host_config: Some(host_config(spec, user, config, unenforced)),
        ..Default::default()
    }
}

fn labels_of(spec: &InstanceSpec, config: &DockerConfig) -> HashMap<String, String> {
    // Ours come last: nothing that was asked for can take their place.
    let own = [
        (labels::TENANT_ID, spec.tenant.to_string()),
        (labels::TENANT_SUBDOMAIN, spec.subdomain.to_string()),
        (labels::PLATFORM, config.platform.to_string()),
        (labels::GENERATION, spec.generation.to_string()),
        (labels::REVISION, spec.revision().as_str().to_owned()),
        (labels::CREDENTIAL, spec.credential.to_string()),
        (PORT_LABEL, spec.app.port.to_string()),
    ];
    let asked = config.labels.iter().chain(&spec.annotations);
    asked
        .map(|(name, value)| (name.clone(), value.clone()))
        .chain(own.into_iter().map(|(name, value)| (name.to_owned(), value)))
        .collect()
}

/// Not `noexec`: apps unpack and run native modules here.
///
/// An engine forgets the mode when it starts a container again whose image lacks the folder. The
/// owner it keeps, so the app's user is made the owner, where it is a number.
fn scratch_options(scratch: &Scratch, user: Option<&str>) -> String {
    let mut options = format!("rw,exec,nosuid,nodev,mode=1777,size={}m", scratch.size_mb);
    let (uid, gid) = user.map_or(("", None), |user| match user.split_once(':') {
        Some((uid, gid)) => (uid, Some(gid)),
        None => (user, None),
    });
    for (name, id) in [("uid", Some(uid)), ("gid", gid)] {
        if let Some(id) = id.and_then(|id| id.parse::<u32>().ok()) {
            options.push_str(&format!(",{name}={id}"));
        }
    }
    options
}

fn host_config(
    spec: &InstanceSpec,
    user: Option<&str>,
    config: &DockerConfig,
    unenforced: &[Guarantee],
) -> HostConfig {
    let limits = LimitValues::of(&spec.limits, config, unenforced);
    HostConfig {
        // An init process passes signals on and reaps children; without one a stop takes its
        // whole grace.
        init: Some(true),
        memory: limits.memory,
        // Equal to the memory: no swap.
        memory_swap: limits.memory,
        memory_reservation: limits.memory_reservation,
        cpu_shares: limits.cpu_shares,
        nano_cpus: limits.nano_cpus,
        pids_limit: limits.pids,
        cap_drop: Some(vec!["ALL".into()]),
        security_opt: Some(vec!["no-new-privileges:true".into()]),
        privileged: Some(false),
        ipc_mode: Some("private".into()),
        readonly_rootfs: Some(spec.app.read_only),
        tmpfs: Some(
            spec.app
                .scratch
                .iter()
                .map(|scratch| (scratch.path.clone(), scratch_options(scratch, user)))
                .collect(),
        ),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), format!("{}m", config.log_file_mb)),
                ("max-file".to_owned(), config.log_files.to_string()),
            ])),
        }),
        network_mode: Some(config.network.clone()),
        // No port is published: the proxy reaches the container's own address.
        publish_all_ports: Some(false),
        // The platform starts containers, because only the platform knows whether a tenant should
        // run: with a policy of its own Docker would bring stopped and surplus ones back.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        ..Default::default()
    }
}

/// Limits in Docker's units. What the engine can't enforce is left out: it refuses a container that
/// asks for it.
pub(crate) struct LimitValues {
    pub(crate) memory: Option<i64>,
    pub(crate) nano_cpus: Option<i64>,
    pub(crate) pids: Option<i64>,
    /// What is kept for the container when memory runs short.
    pub(crate) memory_reservation: Option<i64>,
    /// Its weight when CPUs run short; 1024 stands for one core.
    pub(crate) cpu_shares: Option<i64>,
}

impl LimitValues {
    pub(crate) fn of(limits: &Limits, config: &DockerConfig, unenforced: &[Guarantee]) -> Self {
        let holds = |guarantee| !unenforced.contains(&guarantee);
        let memory = holds(Guarantee::Memory).then(|| limits.memory_bytes().cast_signed());
        let cpus = holds(Guarantee::Cpus).then_some(limits.cpus);
        let reserved = config.reserved;
        Self {
            memory_reservation: memory
                .zip(reserved)
                .map(|(memory, (mb, _))| memory.min(i64::from(mb) * 1024 * 1024)),
            cpu_shares: cpus
                .zip(reserved)
                .map(|(cpus, (_, reserved))| (cpus.min(reserved) * 1024.0).max(2.0) as i64),
            memory,
            // A float's cast saturates, and Docker refuses what no machine has.
            nano_cpus: cpus.map(|cpus| (cpus * 1e9).round() as i64),
            pids: holds(Guarantee::Pids).then_some(limits.pids.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use fresco_core::{AppProfile, CredentialId, Generation, ImageId, PlatformId, TenantId};

    use super::*;

    fn spec() -> InstanceSpec {
        InstanceSpec::new(
            TenantId::new(),
            "abc".parse().unwrap(),
            Generation::new(3),
            CredentialId::new(),
            ImageId::new("sha256:1"),
            AppProfile::generic(),
            Limits { memory_mb: 256, cpus: 0.1, pids: 77 },
        )
    }

    #[test]
    fn annotations_and_extra_labels_never_replace_the_platforms_marks() {
        let config = DockerConfig::new(PlatformId::new())
            .label(labels::PLATFORM, "another")
            .label("extra", "1");
        let mut spec = spec();
        spec.annotations.insert(labels::TENANT_ID.into(), "another".into());
        spec.annotations.insert("traefik.enable".into(), "true".into());
        let labels = create_body(&spec, None, &config, &[]).labels.unwrap();
        assert_eq!(labels[super::labels::PLATFORM], config.platform.to_string());
        assert_eq!(labels[super::labels::TENANT_ID], spec.tenant.to_string());
        assert_eq!(labels["extra"], "1");
        assert_eq!(labels["traefik.enable"], "true");
    }

    #[test]
    fn limits_are_in_dockers_units() {
        let config = DockerConfig::new(PlatformId::new());
        let host = create_body(&spec(), None, &config, &[]).host_config.unwrap();
        assert_eq!(host.memory, Some(256 * 1024 * 1024));
        assert_eq!(host.memory_swap, host.memory);
        assert_eq!(host.nano_cpus, Some(100_000_000));
        assert_eq!(host.pids_limit, Some(77));
    }

    #[test]
    fn what_the_engine_cannot_enforce_is_not_asked_of_it() {
        let config = DockerConfig::new(PlatformId::new()).reserve(128, 0.05);
        let missing = [Guarantee::Memory, Guarantee::Cpus, Guarantee::Pids];
        let host = create_body(&spec(), None, &config, &missing).host_config.unwrap();
        assert_eq!((host.memory, host.memory_swap, host.memory_reservation), (None, None, None));
        assert_eq!((host.nano_cpus, host.cpu_shares, host.pids_limit), (None, None, None));
    }

    #[test]
    fn what_is_reserved_is_never_more_than_the_limit() {
        let config = DockerConfig::new(PlatformId::new()).reserve(128, 0.05);
        let host = create_body(&spec(), None, &config, &[]).host_config.unwrap();
        assert_eq!(host.memory_reservation, Some(128 * 1024 * 1024));
        assert_eq!(host.cpu_shares, Some(51));
        let host = create_body(&spec(), None, &config.reserve(4096, 2.0), &[]).host_config.unwrap();
        assert_eq!(host.memory_reservation, host.memory);
        assert_eq!(host.cpu_shares, Some(102));
    }

    #[test]
    fn a_scratch_folder_is_sized_and_closed_to_devices_and_set_uid() {
        let config = DockerConfig::new(PlatformId::new());
        let host = create_body(&spec(), None, &config, &[]).host_config.unwrap();
        let options = &host.tmpfs.unwrap()["/tmp"];
        for option in ["size=64m", "nosuid", "nodev"] {
            assert!(options.split(',').any(|o| o == option), "{options}");
        }
    }

    #[test]
    fn a_scratch_folder_belongs_to_the_apps_user() {
        let scratch = Scratch { path: "/tmp".into(), size_mb: 8 };
        let options = |user| scratch_options(&scratch, user);
        assert!(options(Some("1001:1002")).ends_with(",uid=1001,gid=1002"));
        assert!(options(Some("1001")).ends_with("size=8m,uid=1001"));
        assert!(options(Some("node")).ends_with("size=8m"));
        assert!(options(None).ends_with("size=8m"));
    }
}
