//! Documents in other styles than the reference: what each says must come out of it.

use super::*;
use crate::language::{ChannelKind, DrillKind, Method, StoreKind};
use crate::units::format_duration;

fn plan(text: &str) -> Plan {
    let read = read(FileId(0), text);
    read.plan
}

fn shown(value: Option<At<Duration>>) -> String {
    value.map_or("-".to_owned(), |value| format_duration(value.value))
}

/// Each service in short: name, tier, objectives, needs, `stateless`.
fn services(plan: &Plan) -> Vec<String> {
    let line = |(name, service): (&At<String>, &crate::language::Service)| {
        let needs: Vec<&str> = service.needs.iter().map(|need| need.value.as_str()).collect();
        format!(
            "{} {} {} {} [{}]{}",
            name.value,
            service.tier.as_ref().map_or("-", |tier| tier.value.as_str()),
            shown(service.rto),
            shown(service.rpo),
            needs.join(", "),
            if service.stateless.is_some() { " stateless" } else { "" }
        )
    };
    plan.services.iter().map(line).collect()
}

/// Each copy in short.
fn copies(plan: &Plan, store: &str) -> Vec<String> {
    let line = |copy: &crate::language::Copy| {
        format!(
            "{} {} {} {} {}",
            copy.method.map_or("?", |method| method.value.word()),
            copy.schedule.as_ref().map_or("-", |schedule| schedule.value.as_str()),
            copy.every.map_or("-".to_owned(), |every| every.value.to_string()),
            copy.to.as_ref().map_or("-", |to| to.value.as_str()),
            copy.keep.map_or("-".to_owned(), |keep| keep.value.to_string()),
        )
    };
    plan.stores.get(store).unwrap().copies.iter().map(line).collect()
}

/// Each phase in short: title, budget, steps with what they are.
fn phases(plan: &Plan, scenario: &str) -> Vec<String> {
    let step = |step: &crate::language::Step| {
        let title = step.title.as_ref().map_or("-", |title| title.value.as_str()).to_owned();
        let kind = match (&step.run, &step.manual, &step.wait, &step.sql) {
            (Some(_), ..) => "run",
            (_, Some(_), ..) => "manual",
            (_, _, Some(_), _) => "wait",
            (.., Some(_)) => "sql",
            _ => "?",
        };
        format!("{kind} {title}")
    };
    let line = |phase: &crate::language::Phase| {
        let steps: Vec<String> = phase.steps.iter().map(step).collect();
        let title = phase.title.as_ref().map_or("-", |title| title.value.as_str());
        format!("{title} {}: {}", shown(phase.budget), steps.join("; "))
    };
    plan.scenarios.get(scenario).unwrap().phases.iter().map(line).collect()
}

const CORPORATE: &str = "\
IT Disaster Recovery Plan — Contoso Trading
===========================================

| Field | Value |
|---|---|
| Document owner | IT Operations |
| Version | 3.2 |
| Last reviewed | 14 March 2025 |
| Next review | 14 March 2026 |

3. Recovery objectives
----------------------

Application | Criticality | RTO (hours) | RPO (hours) | Depends on
--- | --- | --- | --- | ---
Order Portal | Tier 1 | 4 | 1 | SQL Server, Active Directory
SQL Server | Tier 1 | 2 | 0.5 | none
File Server | Tier 2 | 24 | 24 | Active Directory
Active Directory | Tier 1 | 1 | n/a | –
Intranet | Tier 3 | 72

## 4. Backups

| System | Type | Frequency | Retention | Location |
|---|---|---|---|---|
| SQL Server | Transaction log backup | Every 15 minutes | 7 days | Azure Blob |
| SQL Server | Full backup | Nightly | 4 weeks | Azure Blob, tape |
| File Server | Veeam snapshot | daily | 12 months | Secondary data centre |

## 5. Recovery procedures

### 5.1 Loss of the primary data centre

- **Impact**: all systems are down
- **RTO**: 8 hours
- **Severity**: Sev 1

#### Step 1: Declare (0-30 min)

1. IT director declares the disaster
2. Call the team

#### Step 2: Fail over (30-120 min)

1. Start the virtual machines in the secondary data centre (45 min)
2. Restore SQL Server

   ```powershell
   Restore-SqlDatabase -Database orders
   ```
3. Wait 10 minutes

### 5.2 Contacts

| Role | Name | Phone | Deputy |
|---|---|---|---|
| IT director | J. Doe | +49 30 1234 | Head of infrastructure |
";

#[test]
fn a_corporate_plan_with_hours_in_the_heads_of_columns() {
    let plan = plan(CORPORATE);
    assert_eq!(
        services(&plan),
        [
            "order-portal tier-1 4 h 1 h [sql-server, active-directory]",
            "sql-server tier-1 2 h 30 min []",
            "file-server tier-2 1 day 1 day [active-directory]",
            "active-directory tier-1 1 h - [] stateless",
            "intranet tier-3 3 days - []",
        ]
    );
    assert_eq!(
        copies(&plan, "sql-server"),
        [
            "log - 15 min azure-blob 7 days",
            "? - 1 day azure-blob 28 days",
            "? - 1 day tape 28 days"
        ]
    );
    assert_eq!(copies(&plan, "file-server"), ["snapshot - 1 day secondary-data-centre year"]);
    assert_eq!(
        phases(&plan, "loss-of-the-primary-data-centre"),
        [
            "Declare 30 min: manual IT director declares the disaster; manual Call the team",
            "Fail over 90 min: manual Start the virtual machines in the secondary data centre \
             (45 min); manual Restore SQL Server; wait Wait 10 minutes",
        ]
    );
    let scenario = plan.scenarios.get("loss-of-the-primary-data-centre").unwrap();
    assert_eq!(shown(scenario.rto), "8 h");
    assert_eq!(scenario.loses[0].value, "site");
    assert_eq!(shown(scenario.phases[1].steps[0].budget), "45 min");
    let header = plan.plan.as_ref().unwrap();
    assert_eq!(header.title.as_ref().unwrap().value, "Contoso Trading");
    assert_eq!(header.owner.as_ref().unwrap().value, "it-operations");
    assert_eq!(header.next_review.unwrap().value.to_string(), "2026-03-14");
    let director = plan.people.get("it-director").unwrap();
    assert_eq!(director.contacts[0].value, "+49 30 1234");
    assert_eq!(director.deputy.as_ref().unwrap().value, "head-of-infrastructure");
}

const CLOUD: &str = "\
---
title: Payments platform
owner: Platform team
---

# Payments DR runbook

## Services

### Ledger

- **Tier:** Gold
- **RTO:** 15m
- **RPO:** zero
- **Dependencies:** Aurora PostgreSQL and Redis cache

### Aurora PostgreSQL

- **RTO:** 10m
- **RPO:** 5m

### Redis cache

- **RTO:** < 5 min
- **RPO:** N/A

## Data protection

- **Aurora PostgreSQL**: continuous point-in-time recovery, retained 35 days
- Configuration: Git, on every commit
- Uploads (S3): versioning enabled

## Runbooks

### Runbook: Region outage (us-east-1)

RTO: 2 hours

Detection:
- CloudWatch alarm within 5 minutes

Steps:

```bash
aws rds failover-global-cluster --global-cluster-identifier ledger
```

Then point the name at the other region:

```bash
aws route53 change-resource-record-sets --change-batch file://failover.json
```

## Incident severity levels

| Sev | Description | Initial response | Escalation path |
|---|---|---|---|
| SEV1 | customers cannot pay | 5m | Primary on-call > Secondary on-call > VP Engineering |
| SEV2 | degraded | 30m | Primary on-call |

## Game days

| Exercise | Frequency | Last run | Scope |
|---|---|---|---|
| Region failover | twice a year | 2025-02-01 | Region outage |
| Restore drill | monthly | Jan 5, 2026 | Aurora restore |
";

#[test]
fn a_cloud_runbook_with_a_section_for_each_service() {
    let plan = plan(CLOUD);
    assert_eq!(
        services(&plan),
        [
            "ledger gold 15 min 0 s [aurora-postgresql, redis-cache]",
            "aurora-postgresql - 10 min 5 min []",
            "redis-cache - 5 min - [] stateless",
        ]
    );
    assert_eq!(copies(&plan, "aurora-postgresql"), ["log - - - 35 days"]);
    assert_eq!(plan.stores.get("uploads").unwrap().kind.unwrap().value, StoreKind::Bucket);
    assert_eq!(copies(&plan, "uploads"), ["versions - - - -"]);
    let outage = plan.scenarios.get("region-outage").unwrap();
    assert_eq!(shown(outage.rto), "2 h");
    assert_eq!(shown(outage.detection[0].within), "5 min");
    assert_eq!(
        phases(&plan, "region-outage"),
        ["Steps -: run Steps; run Then point the name at the other region"]
    );
    let first = plan.severities.get("sev1").unwrap();
    let told: Vec<&str> =
        first.escalation.iter().map(|level| level.notify[0].value.as_str()).collect();
    assert_eq!(told, ["primary-on-call", "secondary-on-call", "vp-engineering"]);
    let drill = plan.drills.get("region-failover").unwrap();
    assert_eq!(drill.kind.unwrap().value, DrillKind::Failover);
    assert_eq!(drill.scenarios[0].value, "region-outage");
    assert_eq!(drill.last.unwrap().value.to_string(), "2025-02-01");
    assert_eq!(plan.plan.as_ref().unwrap().owner.as_ref().unwrap().value, "platform-team");
}

const GERMAN: &str = "\
# Notfallhandbuch Stadtwerke

## Systeme

| Dienst | Wiederanlaufzeit | Datenverlust | Abhängigkeiten |
|---|---|---|---|
| Kundenportal | 4 Stunden | 1,5 h | PostgreSQL |
| PostgreSQL | 2 Std | 15 Minuten | keine |

## Datensicherung

| Datenbank | Verfahren | Häufigkeit | Aufbewahrung | Speicherort |
|---|---|---|---|---|
| PostgreSQL | pg_dump | täglich | 30 Tage | NAS im Serverraum |

## Szenarien

### Szenario 1: Ausfall Serverraum

**Wiederanlaufzeit:** 1 Tag

**Vorgehen:**

1. Ersatzgeräte beschaffen (4 Stunden)
2. PostgreSQL einspielen

   ```sh
   pg_restore -d portal /nas/portal.dump
   ```
";

#[test]
fn a_german_plan() {
    let plan = plan(GERMAN);
    assert_eq!(
        services(&plan),
        ["kundenportal - 4 h 90 min [postgresql]", "postgresql - 2 h 15 min []"]
    );
    assert_eq!(copies(&plan, "postgresql"), ["dump - 1 day nas-im-serverraum 30 days"]);
    let scenario = plan.scenarios.get("ausfall-serverraum").unwrap();
    assert_eq!(shown(scenario.rto), "1 day");
    assert_eq!(scenario.loses[0].value, "site");
    assert_eq!(
        phases(&plan, "ausfall-serverraum"),
        ["Vorgehen -: manual Ersatzgeräte beschaffen (4 Stunden); run PostgreSQL einspielen"]
    );
}

const TIERS: &str = "\
# DR policy

## Recovery tiers

| Tier | RTO | RPO | Systems |
|---|---|---|---|
| Platinum | 1 hour | 5 min | Checkout, Payments |
| Silver | 1 business day | 24h | Reporting |

## Backup schedule

```cron
0 1 * * * pg_dump -Fc shop > /mnt/backup/shop.dump
30 * * * * mysqldump wiki | gzip > /mnt/backup/wiki.sql.gz
```

## Communication

Status page updates are posted every 15 minutes by support.

| Channel | Purpose | Audience |
|---|---|---|
| Opsgenie | paging | On-call |
| #war-room (Slack) | coordination | Engineers |

## DR testing

- Quarterly: full failover to the second site
- Annual tabletop exercise
";

#[test]
fn tiers_with_their_systems_cron_lines_and_lists_of_drills() {
    let plan = plan(TIERS);
    assert_eq!(shown(plan.tiers.get("platinum").unwrap().rto), "1 h");
    assert_eq!(shown(plan.tiers.get("silver").unwrap().rto), "-");
    assert_eq!(
        services(&plan),
        ["checkout platinum - - []", "payments platinum - - []", "reporting silver - - []"]
    );
    let dump = &plan
        .stores
        .iter()
        .find(|(_, store)| store.kind.is_some_and(|kind| kind.value == StoreKind::Postgres));
    let dump = &dump.unwrap().1.copies[0];
    assert_eq!(dump.method.unwrap().value, Method::Dump);
    assert_eq!(dump.schedule.as_ref().unwrap().value, "0 1 * * *");
    assert_eq!(plan.stores.len(), 2);
    assert_eq!(plan.status_page.as_ref().unwrap().every.unwrap().value.to_string(), "15 min");
    let room = plan
        .channels
        .iter()
        .find(|(_, channel)| channel.kind.is_some_and(|kind| kind.value == ChannelKind::Chat));
    assert!(room.is_some());
    let kinds: Vec<_> = plan.drills.iter().map(|(_, drill)| drill.kind.unwrap().value).collect();
    assert_eq!(kinds, [DrillKind::Full, DrillKind::Tabletop]);
}

#[test]
fn a_document_about_something_else_is_no_plan() {
    let text = "# Cooking\n\n## Soup\n\n1. Boil water (10 min)\n2. Wait 5 minutes\n\n| Dish | Time |\n|-|-|\n| Soup | 20 min |\n\nServe within 5 minutes.\n";
    let read = read(FileId(0), text);
    let mut plan = read.plan;
    plan.plan = None;
    assert_eq!(plan, Plan::default());
    assert_eq!(read.unread.len(), 3, "{:?}", read.unread);
}

#[test]
fn the_same_document_in_every_encoding_gives_the_same_plan() {
    let load = |bytes: Vec<u8>| {
        let input = crate::check::Input { name: "plan.md".to_owned(), bytes };
        crate::check::load(&[input])
    };
    let expect = load(GERMAN.into()).plan.to_yaml().print();
    let latin: Vec<u8> = GERMAN.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let wide: Vec<u8> = GERMAN.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let crlf = GERMAN.replace('\n', "\r\n").into_bytes();
    for (bytes, findings) in [(latin, 1), (wide, 1), (crlf, 0)] {
        let loaded = load(bytes);
        assert_eq!(loaded.findings.len(), findings);
        assert_eq!(loaded.plan.to_yaml().print(), expect);
    }
}

/// A megabyte of what documents are made of: a name on every second line, and all of it new.
#[test]
fn a_document_of_a_megabyte_takes_linear_time() {
    let mut text =
        String::from("# Plan\n\n## Services\n\n| Service | RTO | RPO | Depends on |\n|-|-|-|-|\n");
    for count in 0..4_000 {
        let needs = format!("service {}, worker {}", count / 2, count / 3);
        text.push_str(&format!("| service {count} | 30 min | N/A | {needs} |\n"));
    }
    text.push_str("\n## Backup\n\n| Data | Frequency | Retention | Location |\n|-|-|-|-|\n");
    for count in 0..2_000 {
        text.push_str(&format!(
            "| PostgreSQL orders{count} | daily | 7 days | s3://bucket{count}/ |\n"
        ));
    }
    text.push_str("\n## Disaster scenarios\n\n");
    for count in 0..1_000 {
        let code = "```bash\n# 1. Look\nkubectl get pods\n# 2. Mend\n./mend.sh\n```\n".repeat(2);
        text.push_str(&format!(
            "### Scenario {count}: Loss of service {count}\n\n**RTO:** 1 h\n\n{code}\n"
        ));
    }
    while text.len() < 5 << 18 {
        text.push_str("Words without end, **bold** and plain, 5 min and more; a | b.\n\n");
    }
    let plan = plan(&text);
    assert_eq!(plan.services.len(), 4_000);
    assert_eq!(plan.scenarios.len(), 1_000);
    assert_eq!(plan.stores.len(), 2_000);
}
