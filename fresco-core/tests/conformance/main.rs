//! The in-memory backends keep every promise of their ports, by themselves and behind an `Arc`.

mod fixture;

use fixture::MemoryFixture;
use fresco_core::Isolation;

mod runtime {
    use super::MemoryFixture;

    fresco_core::runtime_conformance!(MemoryFixture::new().await);
    fresco_core::runtime_fetch_conformance!(MemoryFixture::new().await);
    fresco_core::runtime_metrics_conformance!(MemoryFixture::new().await);
    fresco_core::runtime_events_conformance!(MemoryFixture::new().await);
    fresco_core::runtime_resize_conformance!(MemoryFixture::new().await);
    fresco_core::runtime_isolation_conformance!(MemoryFixture::new().await);
}

mod runtime_behind_an_arc {
    use super::MemoryFixture;

    fresco_core::runtime_conformance!(MemoryFixture::new().await.behind_an_arc());
    fresco_core::runtime_fetch_conformance!(MemoryFixture::new().await.behind_an_arc());
    fresco_core::runtime_metrics_conformance!(MemoryFixture::new().await.behind_an_arc());
    fresco_core::runtime_events_conformance!(MemoryFixture::new().await.behind_an_arc());
    fresco_core::runtime_resize_conformance!(MemoryFixture::new().await.behind_an_arc());
    fresco_core::runtime_isolation_conformance!(MemoryFixture::new().await.behind_an_arc());
}

mod schema_per_tenant {
    use super::{Isolation, MemoryFixture};

    fresco_core::database_conformance!(MemoryFixture::new().await.with(Isolation::Schema));
    fresco_core::database_metrics_conformance!(MemoryFixture::new().await.with(Isolation::Schema));
    fresco_core::database_snapshots_conformance!(
        MemoryFixture::new().await.with(Isolation::Schema)
    );
    fresco_core::database_watch_conformance!(MemoryFixture::new().await.with(Isolation::Schema));
}

mod database_per_tenant {
    use super::{Isolation, MemoryFixture};

    fresco_core::database_conformance!(MemoryFixture::new().await.with(Isolation::Database));
    fresco_core::database_metrics_conformance!(
        MemoryFixture::new().await.with(Isolation::Database)
    );
    fresco_core::database_snapshots_conformance!(
        MemoryFixture::new().await.with(Isolation::Database)
    );
    fresco_core::database_watch_conformance!(MemoryFixture::new().await.with(Isolation::Database));
}

mod database_behind_an_arc {
    use super::MemoryFixture;

    fresco_core::database_conformance!(MemoryFixture::new().await.behind_an_arc());
    fresco_core::database_metrics_conformance!(MemoryFixture::new().await.behind_an_arc());
    fresco_core::database_snapshots_conformance!(MemoryFixture::new().await.behind_an_arc());
    fresco_core::database_watch_conformance!(MemoryFixture::new().await.behind_an_arc());
}

mod router {
    use super::MemoryFixture;

    fresco_core::router_conformance!(MemoryFixture::new().await);
}

mod router_behind_an_arc {
    use super::MemoryFixture;

    fresco_core::router_conformance!(MemoryFixture::new().await.behind_an_arc());
}

mod store {
    use super::MemoryFixture;

    fresco_core::store_conformance!(MemoryFixture::new().await);
}

mod store_behind_an_arc {
    use super::MemoryFixture;

    fresco_core::store_conformance!(MemoryFixture::new().await.behind_an_arc());
}
