//! All settings, in the order of `--help` and `.env.example`.

use super::{PLACEHOLDER_SECRET, Setting, setting};

/// All settings.
pub const SETTINGS: &[Setting] = &[
    setting(
        "DATABASE_URL",
        Some("postgresql://fresco_platform_app:localdev@localhost:5432/fresco_platform"),
        "The platform's own PostgreSQL database",
    )
    .secret()
    .filled(),
    setting(
        "TENANT_DATABASE_ADMIN_URL",
        None,
        "The PostgreSQL server of the tenants' data, with a role that has CREATEROLE and CREATEDB; default: DATABASE_URL",
    )
    .secret()
    .filled(),
    setting(
        "TENANT_DATABASE_HOST",
        None,
        "The address (host or host:port) at which a tenant's container reaches that server; default: the gateway of the tenants' network, and the port of TENANT_DATABASE_ADMIN_URL",
    ),
    setting("PORT", Some("3000"), "The port of the API and the web app"),
    setting(
        "LISTEN_ADDRESS",
        Some("127.0.0.1"),
        "The address to listen on; keep it on loopback, with a proxy in front",
    ),
    setting(
        "PUBLIC_URL",
        None,
        "The platform's own address, as browsers see it; https in it means production; default: http://localhost:PORT",
    )
    .also(&["AUTH_URL", "NEXT_PUBLIC_APP_URL"])
    .filled(),
    setting(
        "TRUSTED_PROXIES",
        None,
        "The proxies before this server, which are believed when they say in X-Forwarded-For where a request comes from: addresses or networks, separated by commas; Traefik on this machine is 127.0.0.1; `none` for no proxy; must be set in production where LISTEN_ADDRESS is loopback",
    ),
    setting(
        "CORS_ORIGIN",
        Some("http://localhost:3001"),
        "The one other web origin whose pages may call the API; `none` for no other; default in production: none",
    ),
    setting(
        "DOCKER_HOST",
        Some("/var/run/docker.sock"),
        "The Docker Engine: a path, unix://path or tcp://address:port",
    ),
    setting("DOCKER_NETWORK", Some("fresco-platform-network"), "The Docker network of the tenants"),
    setting(
        "TENANT_REACH",
        None,
        "Places in private networks that tenants may reach by TCP, beside their database: address:port, separated by commas",
    ),
    setting(
        "TENANT_RESOLVERS",
        None,
        "The addresses of the name servers that Docker gives to containers, separated by commas; default: those of this machine",
    ),
    setting(
        "FRESCO_IMAGE",
        Some("ghcr.io/complexdatacollective/fresco:latest"),
        "The image that new tenants run",
    ),
    setting(
        "FRESCO_APP",
        Some("fresco"),
        "What the platform must know of that app: fresco, generic, or the path of a TOML profile",
    ),
    setting(
        "TENANT_IMAGES",
        None,
        "The images that owners may choose, separated by commas: repository, or repository:tag; default: the repository of FRESCO_IMAGE",
    ),
    setting(
        "TENANT_ISOLATION",
        Some("auto"),
        "What each new tenant gets of its own: schema, database, or auto for what the app needs",
    ),
    setting("DEFAULT_MEMORY", Some("512"), "The memory limit of a new tenant, in MB"),
    setting("MIN_MEMORY", Some("256"), "The memory reserved for each tenant and the least limit, in MB"),
    setting("MAX_MEMORY", Some("2048"), "The highest memory limit that an owner may choose, in MB"),
    setting("DEFAULT_CPUS", Some("0.5"), "The CPU limit of a new tenant, in cores"),
    setting("MIN_CPUS", Some("0.25"), "The CPU share reserved for each tenant and the least limit, in cores"),
    setting("MAX_CPUS", Some("2"), "The highest CPU limit that an owner may choose, in cores"),
    setting("MAX_PIDS", Some("1024"), "The highest limit of processes that an owner may choose"),
    setting(
        "TENANT_MEMORY",
        None,
        "The memory that all running tenants together may reserve, in MB; default: the machine's without 2 GB, or half of it where that is more",
    ),
    setting(
        "MEMORY_OVERCOMMIT",
        Some("2"),
        "How many times TENANT_MEMORY the limits of all running tenants may add up to",
    ),
    setting(
        "TENANT_CONNECTIONS",
        None,
        "The connections to the tenants' database that the limits of all running tenants may add up to; default: the server's max_connections without 20",
    ),
    setting(
        "MIN_FREE_DISK",
        Some("2048"),
        "The free disk space below which no further tenant may run, in MB",
    ),
    setting(
        "TENANT_DISK",
        Some("5120"),
        "The most that one tenant's data may take on PostgreSQL's disk, in MB; a tenant that takes more is stopped",
    ),
    setting(
        "TENANT_TRANSACTION",
        Some("300"),
        "The longest time that a transaction of a tenant may be open, in seconds; then its session is ended",
    ),
    setting("BASE_DOMAIN", Some("localhost"), "Tenants live at <subdomain>.<this domain>"),
    setting(
        "PUBLIC_SCHEME",
        None,
        "The scheme of the tenants' addresses, http or https; default: the one of PUBLIC_URL",
    ),
    setting("TRAEFIK_HOST", Some("127.0.0.1"), "The IP address at which the platform reaches Traefik"),
    setting("TRAEFIK_HTTP_PORT", Some("80"), "Traefik's port for http"),
    setting("TRAEFIK_HTTPS_PORT", Some("443"), "Traefik's port for https"),
    setting(
        "TRAEFIK_DASHBOARD_PORT",
        Some("8080"),
        "Traefik's port for its API and dashboard, on TRAEFIK_HOST only",
    ),
    setting(
        "TRAEFIK_ENTRYPOINT",
        None,
        "The entry point of tenants' routes; default: web for http, websecure for https",
    ),
    setting(
        "TRAEFIK_CERT_RESOLVER",
        None,
        "The certificate resolver for each tenant's host; without it, Traefik's own certificate serves",
    ),
    setting(
        "TRAEFIK_PROBE_ENTRYPOINT",
        Some("probe"),
        "With https: a plain entry point on loopback, through which the platform looks whether a route is live",
    ),
    setting("TRAEFIK_PROBE_PORT", Some("8081"), "The port of TRAEFIK_PROBE_ENTRYPOINT"),
    setting(
        "TRAEFIK_DIRECTORY",
        None,
        "The folder of Traefik's file provider, where the server writes which gates were opened; without it such tenants are reachable only while the server is",
    ),
    setting(
        "TRAEFIK_TLS",
        Some("traefik"),
        "Where https ends: traefik, or upstream for a proxy before it",
    ),
    setting(
        "AUTH_SECRET",
        Some(PLACEHOLDER_SECRET),
        "The root of the keys under which sessions are stored and variables of tenants are encrypted; 32 characters or more, and secret",
    )
    .secret()
    .filled(),
    setting(
        "ADMIN_EMAIL",
        None,
        "The address whose account is an admin once the address is verified; without mail: fresco-server admin grant",
    ),
    setting(
        "AUTH_SECRET_OLD",
        None,
        "Earlier values of AUTH_SECRET, separated by commas: what is encrypted under them can still be read, until `fresco-server rotate-secrets` has encrypted it anew; and what the audit log sealed under them can be checked",
    )
    .secret(),
    setting(
        "AUDIT_DAYS",
        Some("365"),
        "After how many days what happened is taken out of the audit log",
    ),
    setting(
        "SESSION_DAYS",
        Some("30"),
        "After how many days somebody has to sign in again, 1 to 365",
    ),
    setting(
        "SESSION_IDLE_DAYS",
        Some("7"),
        "After how many days without a request somebody has to sign in again, 1 to 365",
    ),
    setting(
        "SIGNUP",
        None,
        "Who may sign up: open (everybody), domains (addresses of SIGNUP_EMAIL_DOMAINS), invite (who was invited, with fresco-server invite) or closed (nobody); default: open, and in production it must be set",
    ),
    setting(
        "SIGNUP_EMAIL_DOMAINS",
        None,
        "With SIGNUP=domains: the domains whose addresses may sign up, separated by commas; those below them are others",
    ),
    setting(
        "SANDBOX_URL",
        None,
        "A public sandbox, which the sign-up page suggests to who wants to test or to learn; without it, none is",
    ),
    setting(
        "TENANTS_PER_USER",
        None,
        "The most tenants that one person may have; default: 1000, in production 5",
    ),
    setting(
        "DEPLOYS_PER_HOUR",
        None,
        "The most tenants that one person may ask for within an hour; default: 1000, in production 10",
    ),
    setting(
        "UNVERIFIED_TENANTS",
        None,
        "Where addresses can be verified: the most tenants that all people together may have who have not verified theirs; default: 100, in production 10",
    ),
    setting(
        "UNVERIFIED_HOURS",
        Some("24"),
        "After how many hours such a tenant is destroyed unless its owner verifies their address",
    ),
    setting(
        "SUBDOMAIN_COOLDOWN",
        None,
        "For how many days only its former owner can have the subdomain of a destroyed tenant; default: 0, in production 90",
    ),
    setting(
        "RATE_SIGN_IN",
        None,
        "How often one address, and one account, may sign in, as in 30/minute (or second, hour): so many at once, and again as time goes by; default: 6000/minute, in production 30/minute",
    ),
    setting(
        "RATE_ATTEMPTS",
        None,
        "How often a password may be tried for one account from all addresses where it was never signed in, and from each where it was; default: 6000/minute, in production 30/hour",
    ),
    setting(
        "RATE_BEGIN",
        None,
        "The same for beginning to sign up, which sends a letter where mail is set; default: 6000/minute, in production 100/hour, which a class behind one address has room in",
    ),
    setting(
        "RATE_SIGN_UP",
        None,
        "The same for each further step of the wizard; default: 6000/minute, in production 60/minute",
    ),
    setting(
        "RATE_MAIL",
        None,
        "The same for all other calls that send a letter; default: 600/minute, in production 20/hour",
    ),
    setting(
        "RATE_CHANGES",
        None,
        "The same for calls that change something; default: 6000/minute, in production 120/minute",
    ),
    setting(
        "RATE_READS",
        None,
        "The same for calls that only look; default: 60000/minute, in production 1200/minute",
    ),
    setting(
        "RATE_STREAMS",
        None,
        "The same for opening live streams; default: 6000/minute, in production 120/minute",
    ),
    setting(
        "REQUEST_DEADLINE",
        Some("60"),
        "After how many seconds a request without an answer is given up, 5 to 600; streams are not",
    ),
    setting("HEADER_LIMIT", Some("64"), "About the most KiB that a request's head may have, 8 to 1024; up to twice as much is let through"),
    setting(
        "BODY_LIMIT",
        Some("64"),
        "The most KiB that a request's body may have, 16 to 1024; a tenant's variables may have 1024 in any case",
    ),
    setting("CONNECTIONS", Some("1024"), "The most connections at the same time, where the system allows as many files"),
    setting(
        "CONNECTIONS_PER_ADDRESS",
        Some("128"),
        "The most of them from one address that is neither of TRUSTED_PROXIES nor this machine; behind those, the most requests of one address at the same time",
    ),
    setting(
        "SMTP_URL",
        None,
        "The server that sends mail: smtps://name:password@host (TLS), smtp://name:password@host (STARTTLS), or smtp://host?tls=none for one on this machine; without it, development prints letters in the log and production sends none",
    )
    .secret(),
    setting(
        "SMTP_FROM",
        None,
        "Whom mail is from: an address, or a name with one, such as Fresco <fresco@example.org>",
    ),
    setting(
        "SMTP_CA",
        None,
        "A file of certificates in PEM that the mail server's may be signed by, beside the public ones",
    ),
    setting(
        "OPERATOR_NAME",
        None,
        "Who runs this platform, as its pages call them, such as the name of a department",
    ),
    setting(
        "OPERATOR_CONTACT",
        None,
        "How people reach them: an e-mail address, or the https:// address of a web page",
    ),
    setting(
        "LEGAL_DIRECTORY",
        None,
        "A folder with texts of your own in Markdown, terms.md, privacy.md and service-level.md, in place of those that come with the program",
    ),
    setting(
        "MIGRATE",
        Some("true"),
        "Whether serving brings the database's tables up to date first: true or false",
    ),
    setting("WORKERS", Some("4"), "Operations that this server works on at the same time"),
    setting(
        "LEASE_SECONDS",
        Some("30"),
        "After how many seconds without a sign of life other servers take over a server's work, 3 to 3600",
    ),
    setting(
        "ALLOW_UNENFORCED",
        None,
        "Guarantees that may be missing here, separated by commas: memory, cpus, pids, network, confinement; in production: none",
    ),
    setting("LOG", Some("info"), "What is logged: a level, or a filter such as fresco_core=debug,info"),
    setting("LOG_FORMAT", Some("text"), "How it is logged: text or json"),
];
