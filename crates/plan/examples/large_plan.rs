//! A plan of 10,000 services and 50,000 needs through load and check, with time and memory.
//!
//! `make bench-check` runs it in release; it fails if it takes more than 2 s or 500 MiB.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::civil::date;
use soter_plan::check::{Input, check, load};

/// Adds a line to a text.
macro_rules! line {
    ($text:expr, $($words:tt)+) => {{
        $text.push_str(&format!($($words)+));
        $text.push('\n');
    }};
}

const SERVICES: usize = 10_000;
const NEEDS_EACH: usize = 5;
const TIME_MAX: Duration = Duration::from_secs(2);
const MEMORY_MAX_MIB: u64 = 500;
const REPEATS: usize = 5;

#[expect(clippy::disallowed_methods, reason = "it measures real time")]
#[expect(clippy::print_stdout, reason = "its result")]
fn main() -> ExitCode {
    let inputs = [Input { name: "large.yaml".to_owned(), bytes: plan().into_bytes() }];
    let mut times = Vec::new();
    let mut findings = 0;
    for _ in 0..REPEATS {
        let begun = Instant::now();
        let report = check(load(&inputs), date(2026, 1, 1));
        times.push(begun.elapsed());
        findings = report.findings.len();
    }
    times.sort();
    let median = times[REPEATS / 2];
    let memory_mib = peak_memory_mib().unwrap_or(0);
    println!(
        "{SERVICES} services, {} needs, {} KiB of YAML: {findings} findings; median {:.2} s, \
         slowest {:.2} s (at most {} s), peak memory {memory_mib} MiB (at most {MEMORY_MAX_MIB} MiB)",
        SERVICES * NEEDS_EACH,
        inputs[0].bytes.len() >> 10,
        median.as_secs_f64(),
        times[REPEATS - 1].as_secs_f64(),
        TIME_MAX.as_secs(),
    );
    if median > TIME_MAX || memory_mib > MEMORY_MAX_MIB {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// As large systems are: tiers, failure domains, each tenth service with a store and its copies, and a
/// few scenarios. Needs go to services before, so there is no cycle; some promises are broken.
fn plan() -> String {
    let mut yaml = String::from("tiers:\n");
    for tier in 0..4 {
        line!(yaml, "  tier-{tier}: {{ title: Tier {tier}, rto: {} h, rpo: 15 min }}", tier + 1);
    }
    yaml.push_str("domains:\n  provider: {}\n  elsewhere: {}\n");
    for zone in 0..40 {
        line!(yaml, "  zone-{zone}: {{ within: provider }}");
    }
    yaml.push_str(
        "vaults:\n  far: { url: \"s3://far/\", domains: [elsewhere], immutable_for: 40 days }\n",
    );
    yaml.push_str("  near: { url: \"s3://near/\", domains: [zone-0] }\nservices:\n");
    // A fixed sequence, so that every run checks the same plan.
    let mut random = 12_345_usize;
    let mut next = |below: usize| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below.max(1)
    };
    for at in 0..SERVICES {
        let mut needs: Vec<usize> = Vec::new();
        while needs.len() < NEEDS_EACH.min(at) {
            let need = next(at);
            if !needs.contains(&need) {
                needs.push(need);
            }
        }
        let needs: Vec<String> = needs.iter().map(|need| format!("service-{need}")).collect();
        let state = if at % 10 == 0 { format!(", state: [store-{at}]") } else { String::new() };
        let own = if at % 50 == 0 { ", rto: 45 min" } else { "" };
        line!(
            yaml,
            "  service-{at}: {{ title: Service {at}, tier: tier-{}, domains: [zone-{}], \
             needs: [{}]{state}{own} }}",
            at * 4 / SERVICES,
            at % 40,
            needs.join(", ")
        );
    }
    yaml.push_str("stores:\n");
    for at in (0..SERVICES).step_by(10) {
        line!(
            yaml,
            "  store-{at}: {{ kind: postgres, size: {} GiB, domains: [zone-{}], copies: [{{ method: base, \
             schedule: \"{} 2 * * *\", to: far }}, {{ method: log, every: 1 min, to: near }}] }}",
            at % 90 + 1,
            at % 40,
            at % 60,
        );
    }
    yaml.push_str("scenarios:\n");
    for zone in 0..20 {
        line!(
            yaml,
            "  zone-{zone}-lost: {{ loses: [zone-{zone}], rto: 4 h, phases: [{{ budget: 1 h, steps: \
             [{{ restore: {{ store: store-{} }} }}] }}] }}",
            zone * 10
        );
    }
    yaml
}

/// The most memory this process had, as the kernel counts.
fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024)
}
