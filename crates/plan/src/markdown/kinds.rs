//! What sorts of stores, copies and places there are, by the words they are called by.

use super::vocabulary::says;
use crate::language::{DomainKind, Method, StoreKind};

/// A sort of store, and the product behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) kind: StoreKind,
    /// The product's short name.
    pub(crate) product: &'static str,
}

/// Words, the more telling first, and the sort of store they call.
const STORES: &[(&str, StoreKind, &str)] = &[
    ("postgresql|postgres|pgsql|timescaledb|aurora postgresql", StoreKind::Postgres, "postgres"),
    ("etcd", StoreKind::Etcd, "etcd"),
    ("mysql|mariadb|percona", StoreKind::Sql, "mysql"),
    ("sql server|mssql", StoreKind::Sql, "sqlserver"),
    ("oracle", StoreKind::Sql, "oracle"),
    ("cockroachdb|sqlite|db2|aurora", StoreKind::Sql, "sql"),
    ("mongodb|mongo", StoreKind::Other, "mongodb"),
    ("cassandra|scylladb", StoreKind::Other, "cassandra"),
    ("minio", StoreKind::Bucket, "minio"),
    (
        "object storage|object store|s3 bucket|s3 buckets|blob storage|ceph|s3",
        StoreKind::Bucket,
        "bucket",
    ),
    ("nats", StoreKind::Queue, "nats"),
    ("kafka", StoreKind::Queue, "kafka"),
    ("rabbitmq", StoreKind::Queue, "rabbitmq"),
    ("elasticsearch|opensearch|elastic|solr", StoreKind::Index, "elasticsearch"),
    ("vector db|vector database|qdrant|weaviate|milvus|pinecone", StoreKind::Index, "vector"),
    ("clickhouse", StoreKind::Sql, "clickhouse"),
    ("prometheus|thanos|victoriametrics|mimir", StoreKind::Metrics, "prometheus"),
    ("loki", StoreKind::Metrics, "loki"),
    ("influxdb", StoreKind::Metrics, "influxdb"),
    ("infisical", StoreKind::Secrets, "infisical"),
    ("hashicorp vault|openbao", StoreKind::Secrets, "vault"),
    ("secrets|secret|credentials|keys and certificates", StoreKind::Secrets, "secrets"),
    (
        "gitlab|gitea|git repositories|git repository|source code|git|code repositories",
        StoreKind::Git,
        "git",
    ),
    ("active directory|ldap|domain controller|domain controllers", StoreKind::Other, "directory"),
    (
        "pvc|pvcs|persistent volume|persistent volume claim|file server|file servers|file share|file shares|nas|nfs|shared drive|file storage|persistent volumes|volumes|uploads",
        StoreKind::Files,
        "files",
    ),
];

/// The sort of store that a name speaks of.
pub(crate) fn store_kind(name: &str) -> Option<Kind> {
    let text = super::vocabulary::plain_words(name);
    let says = |word: &str| says(&text, word);
    let found = STORES.iter().find(|(words, _, _)| words.split('|').any(says));
    found.map(|(_, kind, product)| Kind { kind: *kind, product })
}

/// Words in names that say that nothing there must be kept.
pub(crate) fn is_cache(name: &str) -> bool {
    let text = super::vocabulary::plain_words(name);
    ["cache", "memcached", "varnish", "dragonfly", "cdn"].iter().any(|word| says(&text, word))
}

/// Words, the more telling first, and the way a copy is made that they call.
const METHODS: &[(&str, Method)] = &[
    (
        "pg_basebackup|base backup|basebackup|base backups|physical backup|xtrabackup|mariabackup|pgbackrest|barman|wal-g|rman",
        Method::Base,
    ),
    (
        "wal|wal archiving|wal archive|transaction log|transaction logs|log shipping|binlog|binlogs|binary log|binary logs|redo log|redo logs|log backup|log backups|oplog|point-in-time|pitr|archive logs|transaktionsprotokoll",
        Method::Log,
    ),
    (
        "pg_dump|pg_dumpall|mysqldump|mongodump|dump|dumps|logical backup|export|exports|mariadb-dump|sql dump",
        Method::Dump,
    ),
    ("snapshot|snapshots|velero|ami|ebs|disk image|vm image|image backup|veeam", Method::Snapshot),
    ("versioning|object versioning|versions", Method::Versions),
    (
        "replication|replica|replicas|mirroring|mirror|standby|multi-az|geo-replication|crr|replikation",
        Method::Replica,
    ),
    (
        "rsync|rclone|restic|borg|copy|clone|sync|file copy|tape|s3 sync|file backup|kopie|push",
        Method::Copy,
    ),
];

/// The way a copy is made, if the words say it.
pub(crate) fn method(words: &str) -> Option<Method> {
    let kept = words.to_lowercase().replace(['(', ')', ',', '/', ':', ';'], " ");
    let text = super::text::one_line(&kept);
    let says = |word: &str| says(&text, word);
    METHODS.iter().find(|(words, _)| words.split('|').any(says)).map(|(_, method)| *method)
}

/// Databases that a provider runs, whose point-in-time recovery is one thing: base and log.
const MANAGED_DATABASES: &[&str] = &[
    "aurora",
    "rds",
    "dynamodb",
    "documentdb",
    "cloud sql",
    "alloydb",
    "spanner",
    "firestore",
    "bigtable",
    "cosmos db",
    "azure sql",
    "azure database",
    "flexible server",
    "mongodb atlas",
    "atlas",
    "neon",
    "supabase",
    "managed",
];

/// Whether words speak of the point-in-time recovery that a provider keeps of its database, and not
/// of a log that somebody ships.
pub(crate) fn is_managed_point_in_time(words: &str) -> bool {
    const LOGS: &[&str] = &["wal", "binlog", "binlogs", "log", "logs", "oplog"];
    let text = super::vocabulary::plain_words(words);
    let says = |wanted: &[&str]| wanted.iter().any(|word| says(&text, word));
    says(&["pitr", "point-in-time", "point in time", "continuous backup"])
        && says(MANAGED_DATABASES)
        && !says(LOGS)
}

/// Somebody who keeps copies or runs machines for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Provider {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
}

/// Words and schemes of addresses, and the provider they belong to.
const PROVIDERS: &[(&str, &str, Provider)] = &[
    ("alibaba|aliyun|oss", "oss", Provider { name: "alibaba-cloud", title: "Alibaba Cloud" }),
    (
        "aws|amazon|s3|glacier|rds|ebs|ec2|route 53|us-east-1|us-west-2|eu-west-1|eu-central-1",
        "s3",
        Provider { name: "aws", title: "AWS" },
    ),
    ("gcs|gcp|google cloud|google", "gs", Provider { name: "google-cloud", title: "Google Cloud" }),
    ("azure|blob storage", "az", Provider { name: "azure", title: "Azure" }),
    ("backblaze|b2", "b2", Provider { name: "backblaze", title: "Backblaze" }),
    ("wasabi", "wasabi", Provider { name: "wasabi", title: "Wasabi" }),
    ("cloudflare|r2", "r2", Provider { name: "cloudflare", title: "Cloudflare" }),
    ("github", "github.com", Provider { name: "github", title: "GitHub" }),
    ("gitlab com", "gitlab.com", Provider { name: "gitlab-com", title: "GitLab.com" }),
    ("hetzner", "hetzner", Provider { name: "hetzner", title: "Hetzner" }),
    ("ovh|ovhcloud", "ovh", Provider { name: "ovh", title: "OVHcloud" }),
    ("digitalocean", "do", Provider { name: "digitalocean", title: "DigitalOcean" }),
    ("infisical", "infisical", Provider { name: "infisical", title: "Infisical" }),
];

/// The provider that a place speaks of, if it is one.
pub(crate) fn provider(place: &str) -> Option<Provider> {
    if let Some((scheme, _)) = place.split_once("://") {
        let scheme = scheme.rsplit([' ', '(', '`']).next().unwrap_or("");
        let known = PROVIDERS.iter().find(|(_, own, _)| *own == scheme);
        if known.is_some() {
            return known.map(|(_, _, provider)| *provider);
        }
    }
    let text = super::vocabulary::plain_words(place);
    let says = |word: &str| says(&text, word);
    let mut found = PROVIDERS.iter().filter(|(words, _, _)| words.split('|').any(says));
    let first = found.next();
    if found.next().is_some() { None } else { first.map(|(_, _, provider)| *provider) }
}

/// Words and the sort of thing that fails.
const DOMAINS: &[(&str, DomainKind, &str)] = &[
    ("region", DomainKind::Region, "region"),
    (
        "availability zone|data center|datacenter|data centre|datacentre|site|building|server room|rechenzentrum|serverraum|standort|colocation|colo",
        DomainKind::Zone,
        "site",
    ),
    ("cluster", DomainKind::Cluster, "cluster"),
    (
        "node|host|local disk|local ssd|virtual machine|vm|hypervisor|worker node",
        DomainKind::Node,
        "node",
    ),
    ("cloud provider|provider", DomainKind::Provider, "provider"),
    ("dns|network|internet connection|netzwerk", DomainKind::Network, "network"),
    ("office|workplace|büro", DomainKind::Office, "office"),
];

/// The sort of failure domain that words speak of, and the name it gets if it has none.
pub(crate) fn domain(words: &str) -> Option<(DomainKind, &'static str)> {
    let text = super::vocabulary::plain_words(words);
    let says = |word: &str| says(&text, word);
    DOMAINS
        .iter()
        .find(|(words, _, _)| words.split('|').any(says))
        .map(|(_, kind, name)| (*kind, *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_known_by_their_products() {
        let product = |name: &str| store_kind(name).map(|kind| kind.product);
        assert_eq!(product("PostgreSQL (Primary)"), Some("postgres"));
        assert_eq!(product("etcd (K3s)"), Some("etcd"));
        assert_eq!(product("SQL Server 2019"), Some("sqlserver"));
        assert_eq!(product("Zeus Orchestrator"), None);
        assert_eq!(product("Digital assets"), None);
        assert!(is_cache("Dragonfly (Cache)"));
        assert!(!is_cache("Cacher"));
    }

    #[test]
    fn methods_are_known_by_their_words() {
        assert_eq!(method("WAL Archiving"), Some(Method::Log));
        assert_eq!(method("Base Backup"), Some(Method::Base));
        assert_eq!(method("nightly pg_dump"), Some(Method::Dump));
        assert_eq!(method("Bucket Replication"), Some(Method::Replica));
        assert_eq!(method("Full Backup"), None);
    }

    #[test]
    fn places_are_known_by_their_providers() {
        let name = |place: &str| provider(place).map(|provider| provider.name);
        assert_eq!(name("Alibaba OSS"), Some("alibaba-cloud"));
        assert_eq!(name("oss://kosmos-backups/postgres/"), Some("alibaba-cloud"));
        assert_eq!(name("github.com/a/b"), Some("github"));
        assert_eq!(name("GitHub"), Some("github"));
        assert_eq!(name("Node local SSD"), None);
        assert_eq!(name("AWS S3, then Azure"), None);
        assert_eq!(domain("Node local SSD").map(|(_, name)| name), Some("node"));
    }
}
