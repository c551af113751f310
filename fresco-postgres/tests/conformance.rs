//! Every promise of the ports, on real PostgreSQL.

#[macro_use]
mod support;

mod store {
    use crate::support::store::Stores;

    fresco_core::store_conformance!(Stores::new("16").await, #[ignore = "needs Docker"]);
}

macro_rules! conformance {
    ($version:literal $isolation:ident) => {
        use crate::support::tenants::Tenants;
        use fresco_core::Isolation;

        fresco_core::database_conformance!(
            Tenants::new($version, Isolation::$isolation).await,
            #[ignore = "needs Docker"]
        );
        mod snapshots {
            use super::*;

            fresco_core::database_snapshots_conformance!(
                Tenants::new($version, Isolation::$isolation).await,
                #[ignore = "needs Docker"]
            );
        }
        mod watch {
            use super::*;

            fresco_core::database_watch_conformance!(
                Tenants::watched($version, Isolation::$isolation).await,
                #[ignore = "needs Docker"]
            );
        }
        mod metrics {
            use super::*;

            fresco_core::database_metrics_conformance!(
                Tenants::new($version, Isolation::$isolation).await,
                #[ignore = "needs Docker"]
            );
        }
    };
}

on_every_server! { conformance: }
