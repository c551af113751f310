//! Keeps Fresco Platform's tenants apart in PostgreSQL, and its state
