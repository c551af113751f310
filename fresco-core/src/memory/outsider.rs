//! Somebody who changes things behind the platform's back.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use super::engine::{Making, Marks};
use super::server::{Role, Storage};
use super::{MemoryApp, MemoryWorld, State, router};
use crate::app::{AppProfile, Isolation};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CredentialId, Generation, ImageId, InstanceId, TenantId};
use crate::instance::Revision;
use crate::router::Route;
use crate::subdomain::Hostname;
use crate::tenant::Limits;

/// The image that an outsider's containers are made from.
const IMAGE: &str = "outsider/app";

/// Somebody who changes and reads things past the ports. For tests: what does the platform do when
/// a container crashes, a role is dropped, or a name is taken?
#[derive(Clone, Debug)]
pub struct Outsider {
    world: MemoryWorld,
}

impl Outsider {
    pub(super) const fn new(world: MemoryWorld) -> Self {
        Self { world }
    }

    /// Makes a container of the tenant's name that carries no mark.
    ///
    /// # Errors
    /// `Conflict` when the name is taken.
    pub fn take_container_name(&self, tenant: TenantId) -> Result<()> {
        self.make(self.making(tenant.container_name())).map(|_| ())
    }

    /// Whether a container of the tenant's name is there that carries no mark.
    #[must_use]
    pub fn has_container_name(&self, tenant: TenantId) -> bool {
        let (state, name) = (self.world.state(), tenant.container_name());
        state.engine.containers.iter().any(|c| c.name == name && c.marks.is_none())
    }

    /// Makes one more container of the tenant, with all marks of this platform and of generation 1.
    ///
    /// # Errors
    /// `Conflict` when it was done before.
    pub fn add_surplus(&self, tenant: TenantId) -> Result<()> {
        let marks = Marks {
            platform: self.world.platform,
            tenant,
            generation: Generation::new(1),
            credential: CredentialId::new(),
            revision: Revision::new("surplus"),
        };
        let making = self.making(format!("surplus_{tenant}"));
        self.make(Making { marks: Some(marks), ..making }).map(|_| ())
    }

    /// Leads the route's host names to a container of its own, which answers the route's probe as
    /// the tenant's app should, without the mark of the router.
    ///
    /// # Errors
    /// `Conflict` when it was done before.
    pub fn impersonate(&self, route: &Route) -> Result<()> {
        let mut making = self.making(format!("impostor_{}", route.tenant));
        making.profile.port = route.port;
        making.profile.health_path.clone_from(&route.probe_path);
        making.profile.health_status = route.probe_status;
        let hosts: Vec<_> = route.hosts.iter().map(Hostname::as_str).collect();
        making.annotations.insert(router::HOSTS.to_owned(), hosts.join(" "));
        let id = self.make(making)?;
        let mut state = self.world.state();
        let State { engine, server } = &mut *state;
        engine.start(&id, server, &self.world.shared.clock);
        Ok(())
    }

    /// Answers for gates at this address from now on: everybody may pass, or nobody.
    pub fn answer_gate(&self, url: impl Into<String>, allows: bool) {
        self.world.state().engine.gates.insert(url.into(), allows);
    }

    /// Ends the tenant's running containers, as if their apps had crashed.
    pub fn crash(&self, tenant: TenantId, code: i64) {
        self.end(tenant, code, false);
    }

    /// Ends the tenant's running containers, as if their apps had used more memory than allowed.
    pub fn exhaust_memory(&self, tenant: TenantId) {
        self.end(tenant, 137, true);
    }

    /// Removes the tenant's containers.
    pub fn remove_containers(&self, tenant: TenantId) {
        let mut state = self.world.state();
        let State { engine, server } = &mut *state;
        for id in containers(engine, tenant) {
            engine.remove(&id, server);
        }
    }

    /// Pauses the tenant's containers, or takes them off their network.
    pub fn cut_off(&self, tenant: TenantId) {
        let mut state = self.world.state();
        let containers = state.engine.containers.iter_mut();
        containers.filter(|container| container.is_of_tenant(tenant)).for_each(|container| {
            container.cut_off = true;
        });
    }

    /// Makes the tenant's app take no connection any more, until it is started again.
    pub fn deafen(&self, tenant: TenantId) {
        let mut state = self.world.state();
        let containers = state.engine.containers.iter_mut();
        containers.filter(|container| container.is_of_tenant(tenant)).for_each(|container| {
            container.deaf = true;
        });
    }

    /// Makes the tenant's app too busy to answer who connects to it, until it is started again.
    pub fn make_busy(&self, tenant: TenantId) {
        let mut state = self.world.state();
        let containers = state.engine.containers.iter_mut();
        containers.filter(|container| container.is_of_tenant(tenant)).for_each(|container| {
            container.busy = true;
        });
    }

    /// Takes away what keeps tenants' containers apart.
    pub fn take_isolation_away(&self) {
        self.world.state().engine.isolated = false;
    }

    /// Takes away what keeps tenants' containers apart, and the right to put it back; or gives that
    /// right again.
    pub fn forbid_isolation(&self, forbidden: bool) {
        let mut state = self.world.state();
        state.engine.isolated &= !forbidden;
        state.engine.no_right_to_isolate = forbidden;
    }

    /// The environment of a container; `None` without the container.
    #[must_use]
    pub fn environment(&self, instance: &InstanceId) -> Option<BTreeMap<String, String>> {
        let state = self.world.state();
        let environment = &state.engine.find(instance)?.environment;
        let exposed = |value: &secrecy::SecretString| value.expose_secret().to_owned();
        Some(environment.iter().map(|(name, value)| (name.to_string(), exposed(value))).collect())
    }

    /// The limits that hold for a container; `None` without the container.
    #[must_use]
    pub fn limits(&self, instance: &InstanceId) -> Option<Limits> {
        self.world.state().engine.find(instance).map(|container| container.limits)
    }

    /// Makes a role and a storage of the tenant's names that carry no mark.
    pub fn take_database_name(&self, tenant: TenantId) {
        let mut state = self.world.state();
        let role = Role {
            platform: None,
            password: None,
            credential: None,
            connection_limit: 0,
            barred: None,
            setting: false,
        };
        let (isolation, data) = (Isolation::Database, BTreeMap::new());
        state.server.roles.insert(tenant, role);
        state.server.storages.insert(tenant, Storage { platform: None, isolation, data });
    }

    /// Whether a role and a storage of the tenant's names are there that carry no mark.
    #[must_use]
    pub fn has_database_name(&self, tenant: TenantId) -> bool {
        let state = self.world.state();
        let role = state.server.roles.get(&tenant).is_some_and(|role| role.platform.is_none());
        role && state.server.storage(tenant).is_some_and(|storage| storage.platform.is_none())
    }

    /// Keeps the tenant's role from logging in, and ends its sessions.
    pub fn lock_role(&self, tenant: TenantId) {
        let mut state = self.world.state();
        state.server.close_all_of(tenant);
        if let Some(role) = state.server.roles.get_mut(&tenant) {
            role.password = None;
        }
    }

    /// Drops the tenant's role.
    pub fn drop_role(&self, tenant: TenantId) {
        let mut state = self.world.state();
        state.server.close_all_of(tenant);
        state.server.roles.remove(&tenant);
    }

    /// Changes the password of the tenant's role, as its app can do itself. Its sessions stay.
    pub fn change_password(&self, tenant: TenantId) {
        if let Some(role) = self.world.state().server.roles.get_mut(&tenant) {
            role.password = Some("its own".to_owned().into());
        }
    }

    /// Drops the tenant's schema or database.
    pub fn drop_storage(&self, tenant: TenantId) {
        let mut state = self.world.state();
        state.server.close_all_of(tenant);
        state.server.storages.remove(&tenant);
    }

    fn end(&self, tenant: TenantId, code: i64, out_of_memory: bool) {
        let mut state = self.world.state();
        let State { engine, server } = &mut *state;
        for id in containers(engine, tenant) {
            engine.end(&id, code, out_of_memory, server);
        }
    }

    fn making(&self, name: String) -> Making {
        let profile = AppProfile::generic();
        Making {
            name,
            marks: None,
            image: self.image(),
            limits: Limits::for_app(&profile),
            profile,
            environment: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }

    /// An image of its own, which is there.
    fn image(&self) -> ImageId {
        let mut state = self.world.state();
        let images = &mut state.engine.images;
        if images.named(IMAGE).is_none() {
            images.add(IMAGE.to_owned(), MemoryApp::healthy());
        }
        let id = images.named(IMAGE).unwrap_or_else(|| ImageId::new(IMAGE));
        images.fetch(&id);
        id
    }

    fn make(&self, making: Making) -> Result<InstanceId> {
        let mut state = self.world.state();
        if state.engine.containers.iter().any(|container| container.name == making.name) {
            let what = "a container of this name is there already";
            return Err(Error::new(ErrorKind::Conflict, what).with("container", making.name));
        }
        state.engine.make(making)
    }
}

fn containers(engine: &super::Engine, tenant: TenantId) -> Vec<InstanceId> {
    let of_tenant = engine.containers.iter().filter(|container| container.is_of_tenant(tenant));
    of_tenant.map(|container| container.id.clone()).collect()
}
