//! Settings that say where things are: PostgreSQL, Docker, and the platform itself.

use std::net::IpAddr;

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::reader::Reader;
use crate::origin::Origin;

impl Reader<'_> {
    /// The value may hold a password, so it is never quoted.
    pub(super) fn postgres_url(&mut self, name: &'static str) -> Option<SecretString> {
        let text = self.text(name)?;
        let url = Url::parse(&text).ok().filter(|url| {
            matches!(url.scheme(), "postgres" | "postgresql")
                && url.has_host()
                && !url.username().is_empty()
        });
        self.check(
            name,
            url.is_some(),
            "must look like postgresql://role:password@host:5432/database, with special characters of the password in percent-encoding",
        );
        url.map(|_| SecretString::from(text))
    }

    pub(super) fn tenant_database_host(
        &mut self,
        admin_url: Option<&SecretString>,
    ) -> Option<(Option<String>, u16)> {
        let port = admin_url.and_then(|url| Url::parse(url.expose_secret()).ok()?.port());
        let port = port.unwrap_or(5432);
        let Some(text) = self.text("TENANT_DATABASE_HOST") else { return Some((None, port)) };
        // An address of version 6 stands in brackets when a port follows.
        let url = Url::parse(&format!("tcp://{text}")).ok();
        let bare = text.parse::<IpAddr>().ok().map(|address| (address.to_string(), port));
        let pair = bare.or_else(|| {
            let url =
                url.filter(|url| matches!(url.path(), "" | "/") && url.username().is_empty())?;
            let host = url.host_str().filter(|host| !host.is_empty())?;
            Some((host.trim_matches(['[', ']']).to_owned(), url.port().unwrap_or(port)))
        });
        self.check(
            "TENANT_DATABASE_HOST",
            pair.is_some(),
            &format!("must be a host or host:port, but is `{text}`"),
        );
        pair.map(|(host, port)| (Some(host), port))
    }

    pub(super) fn public_url(&mut self, port: Option<u16>) -> Option<Origin> {
        let text =
            self.text("PUBLIC_URL").or_else(|| Some(format!("http://localhost:{}", port?)))?;
        let origin = text.parse().ok();
        self.check(
            "PUBLIC_URL",
            origin.is_some(),
            &format!(
                "must be http:// or https://, a host, perhaps a port, and no path, but is `{text}`"
            ),
        );
        origin
    }

    /// A page that people are led to.
    pub(super) fn sandbox_url(&mut self) -> Option<Option<Url>> {
        let Some(text) = self.text("SANDBOX_URL") else { return Some(None) };
        let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        self.check(
            "SANDBOX_URL",
            url.is_some(),
            &format!("must be an address such as https://sandbox.example.org, but is `{text}`"),
        );
        url.map(Some)
    }

    /// Networks, or single addresses. Who listens on loopback in production has a proxy before it.
    pub(super) fn trusted_proxies(
        &mut self,
        production: bool,
        listen: Option<IpAddr>,
    ) -> Option<Vec<IpNet>> {
        let text = self.text("TRUSTED_PROXIES").unwrap_or_default();
        if text == "none" {
            return Some(Vec::new());
        }
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let net = |part: &str| part.parse().or_else(|_| part.parse::<IpAddr>().map(IpNet::from));
        let nets: Result<Vec<_>, _> = parts.map(net).collect();
        let words = format!(
            "must be addresses or networks such as 127.0.0.1, 10.0.0.0/24, separated by commas, but is `{text}`"
        );
        self.check("TRUSTED_PROXIES", nets.is_ok(), &words);
        let nets = nets.ok()?;
        self.check(
            "TRUSTED_PROXIES",
            !nets.is_empty() || !production || !listen.is_some_and(|ip| ip.is_loopback()),
            "must be set in production on loopback, to the address of the proxy before this server: 127.0.0.1 for Traefik on this machine. Behind a proxy that is not named everybody comes from its address, shares one limit, and stands with it in the audit log; none says that there is no proxy",
        );
        Some(nets)
    }

    /// The same addresses that the engine's own client takes.
    pub(super) fn docker_host(&mut self) -> Option<String> {
        let text = self.text("DOCKER_HOST")?;
        let has_host = |url: &Url| url.host_str().is_some_and(|host| !host.is_empty());
        let tcp = || Url::parse(&text).is_ok_and(|url| url.scheme() == "tcp" && has_host(&url));
        let good = text.strip_prefix("unix://").unwrap_or(&text).starts_with('/') || tcp();
        self.check(
            "DOCKER_HOST",
            good,
            &format!("must be a path, unix://path or tcp://address:port, but is `{text}`"),
        );
        good.then_some(text)
    }
}
