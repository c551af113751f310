//! What the runtime promises beyond its port, on real Docker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{HostConfig, NetworkCreateRequest, RestartPolicyNameEnum};
use bollard::query_parameters::{InspectNetworkOptions, ListNetworksOptionsBuilder};
use chrono::Utc;
use common::{ask, eventually, in_a_corner};
use fresco_core::{
    ContainerRuntime, Error, ErrorKind, ImageSource, InstanceState, Limits, LogLine, LogQuery,
    LogStream, PlatformId, ProgressSink, RuntimeEventKind, RuntimeEvents, labels,
};
use fresco_docker::{DockerConfig, DockerRuntime};
use futures_util::future::join_all;
use futures_util::{StreamExt, TryStreamExt};
use tokio::net::{TcpListener, UnixStream};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn what_docker_made_is_what_the_spec_says() {
    in_a_corner(async |corner| {
        let mut spec = corner.spec(&[("SECRET", "hunter2=")]).await;
        spec.limits = Limits { memory_mb: 96, cpus: 0.3, pids: 70 };
        spec.app.stop_seconds = 7;
        spec.annotations.insert("traefik.enable".into(), "true".into());
        let instance = corner.serving(&spec).await;
        let found = corner.inspect(instance.id.as_str()).await;

        let expected_name = format!("/{}", spec.tenant.container_name());
        assert_eq!(found.name, Some(expected_name));
        assert_eq!(found.image.as_deref(), Some(spec.image.as_str()));
        let config = found.config.unwrap();
        assert_eq!(config.user.as_deref(), Some("1001:1001"));
        assert_eq!(config.stop_timeout, Some(7));
        assert!(config.env.unwrap().contains(&"SECRET=hunter2=".to_owned()));
        let found_labels = config.labels.unwrap();
        for (label, value) in [
            (labels::TENANT_ID, spec.tenant.to_string()),
            (labels::TENANT_SUBDOMAIN, spec.subdomain.to_string()),
            (labels::PLATFORM, corner.platform.to_string()),
            (labels::GENERATION, "1".into()),
            (labels::REVISION, spec.revision().as_str().into()),
            (labels::CREDENTIAL, spec.credential.to_string()),
            ("traefik.enable", "true".into()),
            ("fresco.test", corner.run.clone()),
        ] {
            assert_eq!(found_labels.get(label), Some(&value), "{label}");
        }

        let host: HostConfig = found.host_config.unwrap();
        assert_eq!(host.init, Some(true));
        assert_eq!(host.memory, Some(96 << 20));
        assert_eq!(host.memory_swap, Some(96 << 20));
        assert_eq!(host.memory_reservation, Some(80 << 20));
        assert_eq!(host.cpu_shares, Some(256));
        assert_eq!(host.nano_cpus, Some(300_000_000));
        assert_eq!(host.pids_limit, Some(70));
        assert_eq!(host.cap_drop, Some(vec!["ALL".into()]));
        assert_eq!(host.cap_add.unwrap_or_default(), Vec::<String>::new());
        assert_eq!(host.security_opt, Some(vec!["no-new-privileges:true".into()]));
        assert_eq!(host.privileged, Some(false));
        assert_eq!(host.ipc_mode.as_deref(), Some("private"));
        assert_eq!(host.pid_mode.as_deref().unwrap_or_default(), "");
        assert_eq!(host.readonly_rootfs, Some(true));
        let scratch = HashMap::from([(
            "/tmp".to_owned(),
            "rw,exec,nosuid,nodev,mode=1777,size=64m,uid=1001,gid=1001".to_owned(),
        )]);
        assert_eq!(host.tmpfs, Some(scratch));
        assert_eq!(host.binds.unwrap_or_default(), Vec::<String>::new());
        let log = host.log_config.unwrap();
        assert_eq!(log.typ.as_deref(), Some("json-file"));
        let rotation = [("max-size", "10m"), ("max-file", "3")];
        let rotation = rotation.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(log.config, Some(HashMap::from(rotation)));
        assert_eq!(host.network_mode.as_deref(), Some(corner.network.as_str()));
        assert_eq!(host.publish_all_ports, Some(false));
        assert_eq!(host.port_bindings.unwrap_or_default(), HashMap::new());
        assert_eq!(host.restart_policy.unwrap().name, Some(RestartPolicyNameEnum::NO));
        let networks = found.network_settings.unwrap().networks.unwrap();
        assert_eq!(networks.keys().collect::<Vec<_>>(), [&corner.network]);

        assert_eq!(ask(corner, &instance, "/write/here").await, 500, "the root is read-only");
        assert_eq!(ask(corner, &instance, "/write/tmp/here").await, 200, "scratch is not");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_memory_hog_is_killed_at_its_limit_and_named() {
    in_a_corner(async |corner| {
        let mut events = corner.runtime.watch().await.unwrap();
        let instance = corner.serving(&corner.spec(&[]).await).await;
        assert_eq!(ask(corner, &instance, "/eat/16").await, 200, "16 of 64 MB are allowed");
        let reach = corner.runtime.probe(&instance.id, 3000, "/eat/128").await.unwrap();
        assert!(!matches!(reach, fresco_core::Reach::Status(_)), "{reach:?}");
        let state = eventually("it should end", async || {
            let all = corner.runtime.list(Some(instance.tenant)).await.unwrap();
            match all.as_slice() {
                [one] if !one.is_running() => Ok(one.state.clone()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        assert_eq!(state, InstanceState::Exited { code: 137, out_of_memory: true });
        loop {
            let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
            if event.expect("the event in time").unwrap().unwrap().kind
                == RuntimeEventKind::OutOfMemory
            {
                break;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn containers_reach_the_host_and_not_each_other() {
    in_a_corner(async |corner| {
        let first = corner.serving(&corner.spec(&[]).await).await;
        let second = corner.serving(&corner.spec(&[]).await).await;
        let service = TcpListener::bind((corner.runtime.gateway(), 0)).await.unwrap();
        let host = service.local_addr().unwrap();
        assert_eq!(ask(corner, &first, &format!("/connect/{host}")).await, 200, "the host");
        for (from, to) in [(&first, &second), (&second, &first)] {
            let to = to.endpoint.unwrap().0;
            assert_eq!(ask(corner, from, &format!("/connect/{to}")).await, 500, "{to}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn the_network_is_made_once_by_many_at_the_same_time() {
    in_a_corner(async |corner| {
        corner.docker.remove_network(&corner.network).await.unwrap();
        let connects = (0..8).map(|at| {
            // Two of them would give the bridge another name.
            let bridge = if at < 6 { None } else { Some(format!("frsc{}", &corner.run[7..15])) };
            let config = corner.config(PlatformId::new());
            let config = bridge.into_iter().fold(config, DockerConfig::bridge);
            tokio::spawn(DockerRuntime::connect(config))
        });
        let gateways: Vec<_> = join_all(connects)
            .await
            .into_iter()
            .map(|connected| connected.unwrap().unwrap().gateway())
            .collect();
        assert!(gateways.iter().all(|gateway| *gateway == gateways[0]), "{gateways:?}");
        let filters = HashMap::from([("name", vec![corner.network.as_str()])]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        assert_eq!(corner.docker.list_networks(Some(options)).await.unwrap().len(), 1);
        let found =
            corner.docker.inspect_network(&corner.network, None::<InspectNetworkOptions>).await;
        let options = found.unwrap().options.unwrap();
        assert_eq!(options["com.docker.network.bridge.enable_icc"], "false");
        assert!(options["com.docker.network.bridge.name"].starts_with("fr"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_network_that_lets_containers_talk_is_refused() {
    in_a_corner(async |corner| {
        corner.docker.remove_network(&corner.network).await.unwrap();
        let request = NetworkCreateRequest {
            name: corner.network.clone(),
            labels: Some(corner.test_label()),
            ..Default::default()
        };
        corner.docker.create_network(request).await.unwrap();
        let refused = DockerRuntime::connect(corner.config(corner.platform)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        assert!(refused.message().contains(&corner.network), "{refused}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn many_callers_make_one_container() {
    in_a_corner(async |corner| {
        let spec = corner.spec(&[]).await;
        let made = join_all((0..8).map(|_| corner.runtime.ensure(&spec))).await;
        let ids: Vec<_> = made.into_iter().map(|instance| instance.unwrap().id).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(corner.runtime.list(None).await.unwrap().len(), 1);

        // Each generation has a revision of its own: the last one must win, and the others know.
        let specs: Vec<_> = (2..6)
            .map(|generation| {
                let mut spec = spec.clone();
                spec.generation = fresco_core::Generation::new(generation);
                spec.credential = fresco_core::CredentialId::new();
                spec
            })
            .collect();
        let results = join_all(specs.iter().map(|spec| corner.runtime.ensure(spec))).await;
        let left = corner.runtime.list(None).await.unwrap();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(left[0].generation, specs[3].generation);
        assert_eq!(results[3].as_ref().unwrap().id, left[0].id);
        for error in results.into_iter().filter_map(Result::err) {
            assert_eq!(error.kind(), ErrorKind::LeaseLost, "{error:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_followed_log_goes_on_and_ends_with_the_container() {
    in_a_corner(async |corner| {
        let long = "x".repeat(40_000);
        let spec = corner.spec(&[("PRINT", &long)]).await;
        let instance = corner.serving(&spec).await;
        let query = LogQuery::last(100).follow();
        let mut stream = corner.runtime.logs(&instance.id, &query).await.unwrap();
        let mut next = async || -> Option<LogLine> {
            let line = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
            line.expect("a line in time").map(Result::unwrap)
        };
        assert_eq!(next().await.unwrap().text, long, "pieces of a long line are joined");
        assert_eq!(next().await.unwrap().text, "listening on 3000");
        let before = Utc::now();
        ask(corner, &instance, "/print/later").await;
        let later = next().await.unwrap();
        assert_eq!((later.stream, later.text.as_str()), (LogStream::Stdout, "later"));
        assert!((later.at - before).num_seconds().abs() < 5, "{} {before}", later.at);
        corner.runtime.stop(&instance.id, Duration::from_secs(5)).await.unwrap();
        assert_eq!(next().await, None);

        let read = async |query: LogQuery| -> Vec<String> {
            let lines = corner.runtime.logs(&instance.id, &query).await.unwrap();
            let lines: Vec<_> = lines.try_collect().await.unwrap();
            lines.into_iter().map(|line| line.text).collect()
        };
        assert_eq!(read(LogQuery::last(2)).await, ["listening on 3000", "later"]);
        let mut since = LogQuery::last(100);
        since.since = Some(later.at);
        assert_eq!(read(since).await, ["later"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn errors_hold_no_secret() {
    in_a_corner(async |corner| {
        let mut spec = corner.spec(&[("SECRET", "hunter2")]).await;
        spec.limits.cpus = 100_000.0;
        let error = corner.runtime.ensure(&spec).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
        assert!(error.chain().contains("CPU"), "{}", error.chain());
        for text in [error.chain(), format!("{error:?} {:?}", corner.runtime)] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_registry_that_is_not_there_may_come_back() {
    in_a_corner(async |corner| {
        let port = {
            let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
            free.local_addr().unwrap().port()
        };
        let image = format!("127.0.0.1:{port}/app:1").parse().unwrap();
        let source = ImageSource::Named(image);
        let error = corner.runtime.prepare(&source, &ProgressSink::ignore()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.is_retryable() && error.chain().contains("refused"), "{}", error.chain());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_network_that_has_gone_is_named() {
    in_a_corner(async |corner| {
        let spec = corner.spec(&[]).await;
        corner.docker.remove_network(&corner.network).await.unwrap();
        let start = async {
            let made = corner.runtime.ensure(&spec).await?;
            corner.runtime.start(&made.id).await
        };
        let error = start.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.to_string().contains(&corner.network), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn docker_behind_a_port_will_do() {
    in_a_corner(async |corner| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("tcp://{}", listener.local_addr().unwrap());
        let forward = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut far = UnixStream::connect("/var/run/docker.sock").await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        let config = corner.config(corner.platform).host(host);
        let runtime = DockerRuntime::connect(config).await.unwrap();
        let made = runtime.ensure(&corner.spec(&[]).await).await.unwrap();
        assert!(runtime.start(&made.id).await.unwrap().is_running());
        runtime.remove(&made.id).await.unwrap();
        forward.abort();
        let error = runtime.list(None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    })
    .await;
}

async fn refused(host: &str) -> Error {
    let config = DockerConfig::new(PlatformId::new()).host(host);
    DockerRuntime::connect(config).await.unwrap_err()
}

#[tokio::test]
async fn a_docker_that_is_not_there_says_what_to_do() {
    for host in ["/nowhere/docker.sock", "unix:///nowhere/docker.sock", "tcp://127.0.0.1:9"] {
        let error = refused(host).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{host}: {error:?}");
        assert!(error.message().contains("is it running?"), "{host}: {error}");
        assert!(error.message().contains(host), "{host}: {error}");
    }
}
