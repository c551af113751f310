//! In-memory backends for all four ports: tests and demonstrations without Docker.
//!
//! A [`MemoryWorld`] holds everything: images, containers, databases, a proxy and a store. What its
//! backends do is what real ones do, down to the promises that the conformance suites hold: an app
//! logs in to its database with the credentials that its container received, and a route is live
//! only while the right container answers behind it. Time is tokio's, so that a test may pause it.
//!
//! ```
//! use fresco_core::memory::{MemoryApp, MemoryWorld};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), fresco_core::Error> {
//! let world = MemoryWorld::new();
//! world.image("my/app:1".parse()?, MemoryApp::exits(1, ["no such table"]));
//! let backends = world.backends();
//! assert!(backends.runtime.list(None).await?.is_empty());
//! # Ok(())
//! # }
//! ```

mod app;
mod clock;
mod database;
mod engine;
mod images;
mod outsider;
mod router;
mod runtime;
mod server;
mod snapshots;
mod store;
mod watch;
mod work;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use app::MemoryApp;
pub use database::{MemoryDatabase, MemorySession};
pub use outsider::Outsider;
pub use router::MemoryRouter;
pub use runtime::MemoryRuntime;
pub use store::MemoryStore;

use crate::backends::Backends;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{PlatformId, TenantId};
use crate::image::ImageRef;

use clock::Clock;
use engine::Engine;
use server::Server;
use work::Works;

/// Images, containers, databases, a proxy and a store, all in memory. Clones share it.
///
/// It knows the images `memory/app:1` and `memory/app:2`, both of a
/// [healthy app](MemoryApp::healthy); [`image`](MemoryWorld::image) adds others.
#[derive(Clone)]
pub struct MemoryWorld {
    shared: Arc<Shared>,
    /// Whose things this handle makes and sees.
    platform: PlatformId,
}

struct Shared {
    clock: Clock,
    state: Mutex<State>,
    works: Mutex<Works>,
}

/// What outlives no process in a real world, either: containers, and the databases they use.
#[derive(Default)]
struct State {
    engine: Engine,
    server: Server,
}

impl MemoryWorld {
    /// A new world.
    #[must_use]
    pub fn new() -> Self {
        let platform = PlatformId::new();
        let shared = Shared {
            clock: Clock::new(),
            state: Mutex::default(),
            works: Mutex::new(Works::new(platform)),
        };
        let world = Self { shared: Arc::new(shared), platform };
        let mut state = world.state();
        for name in ["memory/app:1", "memory/app:2"] {
            state.engine.images.add(name.to_owned(), MemoryApp::healthy());
        }
        drop(state);
        world
    }

    /// The same world, seen by another platform. It has no store of its own: the store of this
    /// world belongs to the platform that the world began with.
    #[must_use]
    pub fn as_platform(&self, platform: PlatformId) -> Self {
        Self { shared: Arc::clone(&self.shared), platform }
    }

    /// The platform of this handle.
    #[must_use]
    pub const fn platform(&self) -> PlatformId {
        self.platform
    }

    /// Lets an image stand for this app from now on. It is fetched when it is first used.
    pub fn image(&self, name: ImageRef, app: MemoryApp) {
        self.state().engine.images.add(name.into(), app);
    }

    /// All backends, with all abilities.
    #[must_use]
    pub fn backends(&self) -> Backends {
        Backends::new(self.store(), self.runtime(), self.database(), self.router())
            .with_runtime_events(self.runtime())
            .with_runtime_metrics(self.runtime())
            .with_runtime_resize(self.runtime())
            .with_runtime_isolation(self.runtime())
            .with_database_metrics(self.database())
            .with_database_snapshots(self.database())
            .with_database_watch(self.database())
    }

    /// The runtime.
    #[must_use]
    pub fn runtime(&self) -> MemoryRuntime {
        MemoryRuntime::new(self.clone())
    }

    /// The database server.
    #[must_use]
    pub fn database(&self) -> MemoryDatabase {
        MemoryDatabase::new(self.clone())
    }

    /// The proxy.
    #[must_use]
    pub fn router(&self) -> MemoryRouter {
        MemoryRouter::new(self.clone())
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> MemoryStore {
        MemoryStore::new(self.clone())
    }

    /// All that the tenant's app keeps in its database; `None` without a database.
    #[must_use]
    pub fn data(&self, tenant: TenantId) -> Option<BTreeMap<String, String>> {
        self.state().server.storage(tenant).map(|storage| storage.data.clone())
    }

    /// Keeps a value in the tenant's database, as its app would.
    ///
    /// # Errors
    /// `NotFound` when the tenant has no database.
    pub fn put(&self, tenant: TenantId, key: &str, value: &str) -> Result<()> {
        let mut state = self.state();
        let storage = state.server.storage_mut(tenant).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "this tenant has no database").with("tenant", tenant)
        })?;
        storage.data.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// Moves the clock of this world forward, on top of tokio's own: leases end, slow apps are
    /// ready. Nothing in this world sleeps by it.
    pub fn advance(&self, time: Duration) {
        self.shared.clock.advance(time);
    }

    /// Somebody who changes things behind the platform's back, for tests of what happens then.
    #[must_use]
    pub fn outsider(&self) -> Outsider {
        Outsider::new(self.clone())
    }

    /// Containers and databases, as they are by now.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { engine, server } = &mut *state;
        engine.settle(server, &self.shared.clock);
        state
    }

    fn works(&self) -> MutexGuard<'_, Works> {
        self.shared.works.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryWorld {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryWorld").field("platform", &self.platform).finish_non_exhaustive()
    }
}
