//! The connections that measure and bar: kept open, so that a server without free connections can
//! still be acted on.

use fresco_core::Result;
use tokio_postgres::Client;

use crate::server::Server;

pub(super) struct Hand {
    /// In the platform's database.
    pub(super) client: Client,
    /// In the database that holds schemas.
    pub(super) schemas: Client,
}

impl Hand {
    pub(super) async fn open(server: &Server, schemas: &str) -> Result<Self> {
        let client = server.connect().await?;
        let schemas = server.database(schemas).connect().await?;
        Ok(Self { client, schemas })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.client.is_closed() && !self.schemas.is_closed()
    }
}
