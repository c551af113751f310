//! From a route to labels.

use std::collections::BTreeMap;

use fresco_core::{Gate, Generation, Route, RoutePlan, TenantId};

use super::config::{Tls, TraefikConfig};
use super::rule;

/// The header by which an answer shows which container of which tenant it came from.
pub(super) const MARK: &str = "X-Fresco-Instance";

/// What follows a route's name in the name of its router for probes.
pub(super) const PROBE_SUFFIX: &str = "-probe";

/// What follows a route's name in the name of the middleware that asks its gate.
const GATE_SUFFIX: &str = "-gate";

/// The value of the mark.
pub(super) fn mark(tenant: TenantId, generation: Generation) -> String {
    format!("{tenant}.{generation}")
}

pub(super) fn plan(config: &TraefikConfig, route: &Route) -> RoutePlan {
    // Every name comes from the id: other tenants may see names, and a subdomain may tell what a
    // study is about.
    let name = route.tenant.route_name(config.platform);
    let rule = rule::hosts(&route.hosts);
    let mut labels = BTreeMap::new();
    let mut put = |label: String, value: String| labels.insert(label, value);
    put("traefik.enable".into(), "true".into());
    put("traefik.docker.network".into(), config.network.clone());
    put(format!("traefik.http.services.{name}.loadbalancer.server.port"), route.port.to_string());
    put(
        format!("traefik.http.middlewares.{name}.headers.customresponseheaders.{MARK}"),
        mark(route.tenant, route.generation),
    );
    let gate = format!("{name}{GATE_SUFFIX}");
    let closed = route.closed_gate();
    if let Some(Gate { url, .. }) = closed {
        put(format!("traefik.http.middlewares.{gate}.forwardauth.address"), url.clone());
    }
    // The gate comes first: what it refuses carries no mark of the tenant's container.
    let gated = if closed.is_some() { format!("{gate},{name}") } else { name.clone() };
    let mut router =
        |router: &str, rule: &str, by: &str, entrypoints: String, tls: Option<&Tls>| {
            let at = |field: &str| format!("traefik.http.routers.{router}.{field}");
            put(at("rule"), rule.to_owned());
            put(at("entrypoints"), entrypoints);
            put(at("service"), name.clone());
            put(at("middlewares"), by.to_owned());
            if let Some(tls) = tls {
                put(at("tls"), "true".into());
                if let Some(resolver) = &tls.certresolver {
                    put(at("tls.certresolver"), resolver.clone());
                }
            }
        };
    router(&name, &rule, &gated, config.entrypoints.join(","), config.tls.as_ref());
    // Probes have a router of their own where the entrypoint is another, or a gate is in the way;
    // past a gate it leads to nothing but the look that a probe is.
    let entrypoint = config.tls.as_ref().map(|tls| tls.probe_entrypoint.clone());
    let look = closed.map(|_| rule::looks(&route.hosts, &route.probe_path));
    let probes = match (entrypoint, look) {
        (Some(entrypoint), None) => Some((entrypoint, rule)),
        (entrypoint, Some(Some(look))) => {
            Some((entrypoint.unwrap_or_else(|| config.entrypoints.join(",")), look))
        }
        (None, None) | (_, Some(None)) => None,
    };
    if let Some((entrypoint, rule)) = probes {
        router(&format!("{name}{PROBE_SUFFIX}"), &rule, &name, entrypoint, None);
    }
    let host = route.hosts.first().map(|host| host.as_str()).unwrap_or_default();
    let url = format!("{}://{host}{}", config.scheme, config.port_suffix());
    RoutePlan { url, annotations: labels }
}

#[cfg(test)]
mod tests {
    use fresco_core::PlatformId;

    use super::*;

    fn https(config: TraefikConfig) -> TraefikConfig {
        config.https(Some("le"), "probe", "127.0.0.1:1".parse().unwrap())
    }

    fn route() -> Route {
        let host = "secret-study.example.org".parse().unwrap();
        Route::new(TenantId::new(), Generation::new(7), host, 3000)
    }

    #[test]
    fn a_plain_route() {
        let route = route();
        let config = TraefikConfig::new(PlatformId::new());
        let plan = plan(&config, &route);
        assert_eq!(plan.url, "http://secret-study.example.org");
        let name = route.tenant.route_name(config.platform);
        let expected = [
            ("traefik.enable".to_owned(), "true".to_owned()),
            ("traefik.docker.network".into(), "fresco-platform-network".into()),
            (
                format!("traefik.http.routers.{name}.rule"),
                "Host(`secret-study.example.org`)".into(),
            ),
            (format!("traefik.http.routers.{name}.entrypoints"), "web".into()),
            (format!("traefik.http.routers.{name}.service"), name.clone()),
            (format!("traefik.http.routers.{name}.middlewares"), name.clone()),
            (format!("traefik.http.services.{name}.loadbalancer.server.port"), "3000".into()),
            (
                format!(
                    "traefik.http.middlewares.{name}.headers.customresponseheaders.X-Fresco-Instance"
                ),
                format!("{}.7", route.tenant),
            ),
        ];
        assert_eq!(plan.annotations, BTreeMap::from(expected));
    }

    #[test]
    fn the_subdomain_stands_in_the_rule_alone() {
        let config = https(TraefikConfig::new(PlatformId::new()));
        let plan = plan(&config, &route());
        for (label, value) in plan.annotations {
            assert!(!label.contains("secret-study"), "{label}");
            assert!(label.ends_with(".rule") || !value.contains("secret-study"), "{label}");
        }
    }

    #[test]
    fn https_and_its_probes() {
        let route = route();
        let config = https(TraefikConfig::new(PlatformId::new()));
        let plan = plan(&config, &route);
        assert_eq!(plan.url, "https://secret-study.example.org");
        let name = route.tenant.route_name(config.platform);
        let of = |router: &str, field: &str| {
            plan.annotations.get(&format!("traefik.http.routers.{router}.{field}")).cloned()
        };
        assert_eq!(of(&name, "entrypoints").as_deref(), Some("websecure"));
        assert_eq!(of(&name, "tls").as_deref(), Some("true"));
        assert_eq!(of(&name, "tls.certresolver").as_deref(), Some("le"));
        let probe = format!("{name}-probe");
        assert_eq!(of(&probe, "entrypoints").as_deref(), Some("probe"));
        assert_eq!(of(&probe, "tls"), None);
        assert_eq!(of(&probe, "service"), of(&name, "service"));
        assert_eq!(of(&probe, "middlewares"), of(&name, "middlewares"));
    }

    #[test]
    fn a_gate_is_asked_first_and_looks_alone_pass_it() {
        let route = route().probed_at("/signin", 200).gated(Some(Gate::new("http://gate/1")));
        for config in
            [TraefikConfig::new(PlatformId::new()), https(TraefikConfig::new(PlatformId::new()))]
        {
            let name = &route.tenant.route_name(config.platform);
            let plan = plan(&config, &route);
            let label = |label: String| plan.annotations.get(&label).map(String::as_str);
            let of = |router: &str, field: &str| {
                label(format!("traefik.http.routers.{router}.{field}")).map(str::to_owned)
            };
            let address = format!("traefik.http.middlewares.{name}-gate.forwardauth.address");
            assert_eq!(label(address), Some("http://gate/1"));
            assert_eq!(of(name, "middlewares"), Some(format!("{name}-gate,{name}")));
            let probe = format!("{name}-probe");
            assert_eq!(of(&probe, "middlewares").as_ref(), Some(name));
            let looks = "(Host(`secret-study.example.org`)) && Path(`/signin`) && Method(`HEAD`)";
            assert_eq!(of(&probe, "rule").as_deref(), Some(looks));
        }
        // One that is open is not asked.
        let config = TraefikConfig::new(PlatformId::new());
        let opened = route.clone().gated(Some(Gate::new("http://gate/1").opened()));
        assert_eq!(plan(&config, &opened), plan(&config, &route.clone().gated(None)));
        // A path that can't stand in a rule opens nothing.
        let route = route.probed_at("/a`b", 200);
        let plan = plan(&TraefikConfig::new(PlatformId::new()), &route);
        let rules: Vec<_> = plan.annotations.keys().filter(|key| key.ends_with(".rule")).collect();
        assert_eq!(rules.len(), 1, "{rules:?}");
    }

    #[test]
    fn the_port_is_named_only_where_it_is_unusual() {
        let url = |config: TraefikConfig| plan(&config, &route()).url;
        let config = || TraefikConfig::new(PlatformId::new());
        assert_eq!(url(config().public_port(80)), "http://secret-study.example.org");
        assert_eq!(url(config().public_port(8000)), "http://secret-study.example.org:8000");
        assert_eq!(url(https(config().public_port(443))), "https://secret-study.example.org");
        assert_eq!(
            url(config().https_ends_before().public_port(80)),
            "https://secret-study.example.org:80"
        );
    }
}
