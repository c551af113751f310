//! Whether a request through the proxy reaches the container that it should.

use fresco_core::{Error, ErrorKind, Result, Route, RouteState};
use hyper::Response;

use super::config::TraefikConfig;
use super::labels::{MARK, mark};
use crate::http::{self, Fault};

pub(super) async fn probe(config: &TraefikConfig, route: &Route) -> Result<RouteState> {
    let Some(host) = route.hosts.first() else {
        return Err(Error::new(ErrorKind::Invalid, "a route needs at least one host name")
            .with("tenant", route.tenant));
    };
    let (to, host, path) = (config.proxy, host.as_str(), &route.probe_path);
    let answer = match &route.gate {
        None => http::head(to, host, path, config.timeout).await,
        // Nothing else passes a gate that is closed, or that a container still names.
        Some(_) => http::look(to, host, path, config.timeout).await,
    };
    match answer {
        Ok(answer) => Ok(judge(route, &answer)),
        // The proxy is there; whom it waits for is the app.
        Err(fault @ Fault::Silent(..)) => Ok(RouteState::Pending(fault.to_string())),
        Err(fault) => Err(super::api::unreachable(config.proxy, fault)),
    }
}

fn judge(route: &Route, answer: &Response<()>) -> RouteState {
    let status = answer.status().as_u16();
    // Only the proxy's own header is believed, and only when it stands there once.
    let mut marks = answer.headers().get_all(MARK).iter();
    let found = match (marks.next(), marks.next()) {
        (Some(only), None) => only,
        (None, _) => return unmarked(status),
        _ => return RouteState::Pending("the answer carries several marks".into()),
    };
    let wanted = mark(route.tenant, route.generation);
    if found.as_bytes() != wanted.as_bytes() {
        return RouteState::Pending("the route leads to another container".into());
    }
    if status == route.probe_status {
        return RouteState::Live;
    }
    RouteState::Pending(format!("the app answers {status} instead of {}", route.probe_status))
}

fn unmarked(status: u16) -> RouteState {
    match status {
        404 => RouteState::Absent,
        502..=504 => RouteState::Pending(format!("Traefik can't reach the app ({status})")),
        _ => RouteState::Pending(format!(
            "something else than the tenant answers for this host ({status})"
        )),
    }
}

#[cfg(test)]
mod tests {
    use fresco_core::{Generation, TenantId};

    use super::*;

    fn judged(status: u16, marks: &[&str], route: &Route) -> RouteState {
        let mut response = Response::builder().status(status);
        for mark in marks {
            response = response.header(MARK, *mark);
        }
        judge(route, &response.body(()).unwrap())
    }

    #[test]
    fn only_the_right_mark_and_the_right_status_are_live() {
        let host = "a.example.org".parse().unwrap();
        let route = Route::new(TenantId::new(), Generation::new(2), host, 1);
        let right = mark(route.tenant, route.generation);
        let older = mark(route.tenant, Generation::new(1));
        let other = mark(TenantId::new(), route.generation);
        assert_eq!(judged(200, &[&right], &route), RouteState::Live);
        assert_eq!(judged(404, &[], &route), RouteState::Absent);
        for (status, marks) in [
            (200, vec![]),
            (502, vec![]),
            (301, vec![]),
            (404, vec![right.as_str()]),
            (502, vec![right.as_str()]),
            (200, vec![older.as_str()]),
            (200, vec![other.as_str()]),
            (200, vec![other.as_str(), right.as_str()]),
        ] {
            let state = judged(status, &marks, &route);
            assert!(matches!(state, RouteState::Pending(_)), "{status} {marks:?}: {state:?}");
        }
    }
}
