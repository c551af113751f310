//! Every promise of the ports, on real PostgreSQL.

mod support;

mod store {
    use crate::support::store::Stores;

    fresco_core::store_conformance!(Stores::new("16").await, #[ignore = "needs Docker"]);
}

macro_rules! tenants {
    ($($module:ident: $version:literal, $isolation:ident;)+) => {$(
        mod $module {
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
            mod metrics {
                use super::*;

                fresco_core::database_metrics_conformance!(
                    Tenants::new($version, Isolation::$isolation).await,
                    #[ignore = "needs Docker"]
                );
            }
        }
    )+};
}

tenants! {
    postgres_15_schema: "15", Schema;
    postgres_15_database: "15", Database;
    postgres_16_schema: "16", Schema;
    postgres_16_database: "16", Database;
    postgres_18_schema: "18", Schema;
    postgres_18_database: "18", Database;
}
