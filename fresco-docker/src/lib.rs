//! Runs Fresco Platform's tenants on the Docker API, and routes to them by Traefik labels
