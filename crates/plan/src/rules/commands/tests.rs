//! Each rule finds what it is there for, and is silent where it only looks so.

use super::RULES;
use crate::check::{Input, Severity, check, load};
use crate::rules::testing::{TODAY, found, page_holds, silent, titles};

/// A plan with one step that runs a script.
fn step(script: &str) -> String {
    step_with("", script)
}

/// The same, with other lines in the step.
fn step_with(lines: &str, script: &str) -> String {
    let script = script.replace('\n', "\n            ");
    let lines = lines.replace('\n', "\n          ");
    format!(
        "scenarios:\n  loss:\n    phases:\n      - steps:\n        - id: one\n          {lines}\n          run: |\n            {script}\n"
    )
}

/// A plan with one job.
fn job(script: &str) -> String {
    let script = script.replace('\n', "\n            ");
    format!(
        "stores:\n  orders:\n    kind: postgres\n    copies:\n      - method: dump\n        environment: [PGPASSWORD]\n        run: |\n            {script}\n"
    )
}

fn quiet(code: &str, scripts: &[&str]) {
    let plans: Vec<String> = scripts.iter().map(|script| step(script)).collect();
    silent(code, &plans.iter().map(String::as_str).collect::<Vec<_>>());
}

fn quiet_jobs(code: &str, scripts: &[&str]) {
    let plans: Vec<String> = scripts.iter().map(|script| job(script)).collect();
    silent(code, &plans.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_examples_of_the_pages_are_true() {
    RULES.iter().for_each(page_holds);
}

#[test]
fn s0301_a_deletion_behind_a_failure_that_nobody_noticed() {
    let plan = job("pg_dump -Fc kosmos > /backup/k.dump
aliyun oss cp /backup/k.dump oss://b/k.dump
find /backup -mtime +7 -delete");
    assert_eq!(
        titles("S0301", &plan),
        ["`find /backup -mtime +7 -delete` runs even if `pg_dump -Fc kosmos` failed"]
    );
    let finding = &found("S0301", &plan)[0];
    assert_eq!(finding.labels.len(), 3, "the deletion, the dump, the upload");
    assert_eq!(finding.proof.as_deref(), Some("errexit is not set"));
    let piped = job("set -e\npg_dump orders | gzip > /b/o.gz\nrm -f /b/old.gz");
    assert_eq!(
        found("S0301", &piped)[0].proof.as_deref(),
        Some("errexit is set, pipefail is not set")
    );
    let or = job("pg_dump -f x orders || echo failed\nrm -rf /b/old");
    assert_eq!(titles("S0301", &or).len(), 1, "to say that it failed ends nothing");
}

#[test]
fn s0301_is_silent() {
    quiet_jobs(
        "S0301",
        &[
            "set -euo pipefail\npg_dump orders | gzip > /b/o.gz\nrm -f /b/old.gz",
            "pg_dump -f x orders || exit 1\nrm -f /b/old.gz",
            "pg_dump -f x orders || { echo failed; exit 1; }\nrm -f /b/old.gz",
            "pg_dump -f x orders && rm -f /b/old.gz",
            "if ! pg_dump -f x orders; then exit 1; fi\nrm -f /b/old.gz",
            "pg_dump -f x orders\nif [ $? -ne 0 ]; then exit 1; fi\nrm -f /b/old.gz",
            "pg_dump -f x orders\n[ -s x ] && rm -f /b/old.gz",
            "pg_dump -f x orders\nif [ -s x ]; then rm -f /b/old.gz; fi",
            "trap 'exit 1' ERR\npg_dump -f x orders\nrm -f /b/old.gz",
            "pg_dump -f /tmp/x orders\nrm -f /tmp/x",
            "rm -f /b/old.gz\npg_dump -f x orders",
            "pg_dump orders | gzip > x\n[ ${PIPESTATUS[0]} -eq 0 ] || exit 1\nrm -f /b/old.gz",
            "echo begin\nrm -f /b/old.gz",
            "#!/bin/bash -e\npg_dump -f x orders\nrm -f /b/old.gz",
            "T=$(mktemp)\npg_dump -f /b/x orders\nrm -f $T",
            "pg_dump -f /b/x orders\nrm -f /run/lock/job",
        ],
    );
}

#[test]
fn s0302_commands_that_cannot_fail() {
    let plan = step("# Run health checks\ncurl https://api.k.com/health");
    assert_eq!(
        titles("S0302", &plan),
        ["`curl https://api.k.com/health` exits 0 when the server answers 404 or 503"]
    );
    assert_eq!(found("S0302", &plan)[0].severity, Severity::Error);
    let action = step("curl -X PATCH https://api.cloudflare.com/x -d '{}'");
    assert_eq!(found("S0302", &action)[0].severity, Severity::Warning);
    let condition = step("if curl -s https://x.com/v1; then echo up; fi");
    assert_eq!(found("S0302", &condition)[0].severity, Severity::Error);
    assert_eq!(titles("S0302", &step("curl -sL https://x.com/install | bash")).len(), 1);
    assert_eq!(titles("S0302", &step("psql -d orders -f roles.sql")).len(), 1);
    let probe = "scenarios: { a: { phases: [ { steps: [ { run: ls, verify: [ { run: pg_isready || true } ] } ] } ] } }";
    assert_eq!(titles("S0302", probe), ["this probe always says yes: it ends with `|| true`"]);
}

#[test]
fn s0302_is_silent() {
    quiet(
        "S0302",
        &[
            "curl -f https://x.com/health",
            "curl -fsS https://x.com/health",
            "curl --fail-with-body https://x.com/health",
            "curl -sS -o /dev/null -w '%{http_code}' https://x.com/health | grep 200",
            "curl -s https://x.com/health | jq -e '.status == \"ok\"'",
            "test \"$(curl -s https://x.com/health)\" = ok",
            "! curl -s --max-time 5 https://x.com",
            "! kubectl exec deployment/a -- curl -s --max-time 5 https://x.com",
            "curl --version",
            "! curl -s --max-time 5 https://x.com",
            "! kubectl exec p -- curl -s --max-time 5 https://x.com/health",
            "psql -v ON_ERROR_STOP=1 -f roles.sql",
            "helm upgrade --install api ./chart --wait",
            "echo 'curl https://x.com/health'",
        ],
    );
    silent("S0302", &["scenarios: { a: { detection: [ { run: 'curl https://x.com/health' } ] } }"]);
}

#[test]
fn s0303_commands_without_an_end() {
    let plan = step("kubectl logs -f postgres-0 -n db\nkubectl get pods");
    assert_eq!(
        titles("S0303", &plan),
        ["`kubectl logs -f postgres-0 -n db` follows the log until somebody stops it"]
    );
    let finding = &found("S0303", &plan)[0];
    assert_eq!((finding.severity, finding.labels.len()), (Severity::Error, 2));
    for script in [
        "tail -F /var/log/syslog",
        "ssh host 'journalctl -fu k3s'",
        "watch kubectl get pods",
        "kubectl drain node-1 --ignore-daemonsets",
        "kubectl port-forward svc/db 5432:5432",
        "until pg_isready; do sleep 2; done",
        "while ! curl -f http://x; do echo waiting; sleep 1; done",
    ] {
        let findings = found("S0303", &step(script));
        assert_eq!(findings.len(), 1, "{script}");
        assert_eq!(findings[0].severity, Severity::Warning, "{script}");
    }
}

#[test]
fn s0303_the_next_step_is_not_reached_either() {
    let plan = "scenarios: { a: { phases: [ { steps: [ { run: tail -f x }, { run: ls } ] } ] } }";
    let finding = &found("S0303", plan)[0];
    assert_eq!((finding.severity, finding.labels.len()), (Severity::Error, 2));
    assert_eq!(
        titles("S0303", &step("while ! nc -z db 5432; do sleep 1; done")),
        ["`while ! nc -z db 5432` waits for ever"]
    );
}

#[test]
fn s0303_is_silent() {
    quiet(
        "S0303",
        &[
            "kubectl logs --tail=100 postgres-0",
            "timeout 5m kubectl logs -f postgres-0",
            "kubectl logs -f postgres-0 | grep -m1 'ready to accept'",
            "kubectl logs -f postgres-0 &\nsleep 3",
            "kubectl port-forward svc/db 5432:5432 &",
            "kubectl wait --for=condition=ready pod/x --timeout=300s",
            "kubectl drain node-1 --ignore-daemonsets --timeout=10m",
            "timeout 60 bash -c 'until pg_isready; do sleep 2; done'",
            "for i in 1 2 3; do pg_isready && break; sleep 2; done",
            "n=0; until pg_isready; do n=$((n+1)); [ $n -lt 30 ] || exit 1; sleep 2; done",
            "while read -r line; do echo \"$line\"; sleep 1; done < list",
            "kubectl apply -f file.yaml",
            "tail -n 100 /var/log/syslog",
            "docker logs --tail 5 db",
        ],
    );
    silent("S0303", &[&step_with("timeout: 5 min", "kubectl logs -f postgres-0")]);
}

#[test]
fn s0304_values_without_a_source() {
    let plan = step("kubectl delete pod <pod> -n <ns> --grace-period=0");
    assert_eq!(titles("S0304", &plan), ["`<pod>` and `<ns>` stand where values belong"]);
    let plan = step("curl -X PATCH https://x/${ZONE_ID} -H \"Authorization: $CF_TOKEN\"");
    assert_eq!(
        titles("S0304", &plan),
        [
            "`${ZONE_ID}` has no value: nothing in the plan gives it one",
            "`${CF_TOKEN}` has no value: nothing in the plan gives it one"
        ]
    );
    assert_eq!(titles("S0304", &job("pg_dump $DATABASE > x")).len(), 1);
    assert_eq!(titles("S0304", &job("pg_dump x > $SOTER_OUTPUT")).len(), 1, "it is no step");
    assert_eq!(titles("S0304", &step("ssh node \"rm -rf $DIR\"")).len(), 1);
    assert_eq!(titles("S0304", &step("X=1 echo; echo $X")).len(), 1, "it was for one command");
}

#[test]
fn s0304_is_silent() {
    quiet(
        "S0304",
        &[
            "echo moment=12 >> \"$SOTER_OUTPUT\"; echo \"$SOTER_RUN $SOTER_STEP $SOTER_KIND\"",
            "T=$(date +%s)\necho \"$T\" > f_${T}",
            "for N in a b; do ssh $N uptime; done",
            "read -r NAME; echo $NAME > f",
            "echo ${REGION:-eu} ${TOKEN:?set it} $HOME $1 $? $#",
            "source ./env.sh\necho $ZONE_ID",
            "ssh node 'echo $PGDATA'",
            "kubectl exec p -- sh -c 'ls $PGDATA'",
            "echo 'usage: restore <name>'",
            "kubectl get pods -o wide | grep '<none>'",
            "sort <input >output",
            "awk '{print $NF}' file",
            "[ -n \"$DEBUG\" ] && set -x; echo $DEBUG > f",
            "cat <<END\nusage: restore <name>\nEND",
            "sed 's/Option<usize>/u32/' f",
            "git rev-parse FETCH_HEAD^{commit}",
            "export A=b; run $A",
            "psql <<'END'\nSELECT '$X';\nEND",
        ],
    );
    quiet_jobs("S0304", &["psql \"password=$PGPASSWORD\" -c 'select 1'"]);
    silent(
        "S0304",
        &[
            "scenarios:\n  a:\n    parameters: { zone_id: { from: ask } }\n    phases:\n      - steps:\n          - run: T=now\n          - run: echo $ZONE_ID $T > f\n",
        ],
    );
}

#[test]
fn s0305_what_does_not_exist() {
    let plan = step("kubectl exec -it postgres-0 -n db -- pg_wal_replay /tmp/wal/");
    assert_eq!(titles("S0305", &plan), ["PostgreSQL has no program `pg_wal_replay`"]);
    assert_eq!(titles("S0305", &step("kubeclt get pods")), ["there is no program `kubeclt`"]);
    assert_eq!(titles("S0305", &step("k3s restore x")), ["`k3s` has no subcommand `restore`"]);
    let slip = found("S0305", &step("terraform aply x"));
    assert_eq!(slip[0].hint.as_deref(), Some("did you mean `terraform apply`?"));
}

#[test]
fn s0305_is_silent() {
    quiet(
        "S0305",
        &[
            "pg_repack -d x; pg_lsclusters; pg_dump x; pg_waldump y",
            "./pg_wal_replay x",
            "pg_wal_replay() { ls; }\npg_wal_replay",
            "kubectl krew install x; kubectl cnpg status db; kubectl -n x get pods",
            "terraform -chdir=x apply plan; terraform $ACTION",
            "k3s etcd-snapshot save; k3s --debug server",
            "echo pg_wal_replay",
            "mariadbd --version",
        ],
    );
}

#[test]
fn s0306_destruction_without_a_question() {
    let plan = step("terraform apply -auto-approve");
    assert_eq!(
        titles("S0306", &plan),
        ["`terraform apply -auto-approve` changes infrastructure in a way that nobody has seen"]
    );
    assert_eq!(found("S0306", &plan)[0].severity, Severity::Warning);
    for script in [
        "pg_restore -d kosmos -c /tmp/latest.dump",
        "rm -rf /var/lib/postgresql/data",
        "kubectl delete pvc data-postgres-0",
        "psql -c 'DROP DATABASE orders'",
        "ssh db 'dropdb orders'",
        "aws s3 sync a s3://b --delete",
        "k3s server --cluster-reset",
    ] {
        let findings = found("S0306", &step(script));
        assert_eq!(findings.len(), 1, "{script}");
        assert_eq!(findings[0].severity, Severity::Error, "{script}");
    }
    assert_eq!(titles("S0306", &step("kubectl delete node node-1")).len(), 1);
}

#[test]
fn s0306_is_silent() {
    quiet(
        "S0306",
        &[
            "terraform apply saved.plan",
            "terraform plan -out=saved.plan",
            "kubectl delete pod postgres-0",
            "kubectl delete node node-1 --dry-run=server",
            "rm -rf /tmp/restore",
            "rm -f /b/x",
            "if confirm; then rm -rf /data; fi",
            "read -rp 'sure? ' X && rm -rf /data",
            "[ -d /data.new ] && rm -rf /data",
            "D=$(mktemp -d)\nrm -rf \"$D\"",
            "W=/tmp/x\nD=$W/y\nrm -rf $D",
            "echo 'rm -rf /data'",
            "rsync -a --delete --dry-run a/ b/",
        ],
    );
    quiet_jobs("S0306", &["restic forget --keep-daily 7 --prune"]);
    silent(
        "S0306",
        &[
            "people: { lead: {} }\nscenarios:\n  a:\n    phases:\n      - steps:\n          - approve: { by: [lead] }\n          - run: rm -rf /data\n",
            &step_with("only_if: { run: test -d /data.new }", "rm -rf /data"),
        ],
    );
}

#[test]
fn s0307_scripts_that_are_not_in_the_plan() {
    assert_eq!(
        titles("S0307", &step("./scripts/rotate-all-secrets.sh")),
        ["`./scripts/rotate-all-secrets.sh` is run, and is not part of the plan"]
    );
    for script in [
        "bash restore.sh orders",
        "python3 tools/restore.py",
        "sudo /opt/dr/restore.sh",
        "curl -fsSL https://get.k3s.io | sh -s - server",
    ] {
        assert_eq!(titles("S0307", &step(script)).len(), 1, "{script}");
    }
}

#[test]
fn s0307_is_silent() {
    quiet(
        "S0307",
        &[
            "/usr/local/bin/k3s-killall.sh",
            "/usr/bin/psql -c 'select 1'",
            "git clone https://git.example.org/dr && cd dr && ./restore.sh",
            "cat > run.sh <<'END'\nls\nEND\nbash run.sh",
            "bash -c 'ls'",
            "ssh host bash -s <<END\nls\nEND",
            "source /etc/os-release",
            ". venv/bin/activate",
            "curl -f https://x.com/file | tar xz",
            "python3 -m http.server &",
            "cd scripts/restore",
            "$PGBIN/initdb -D /data",
            ". /etc/default/locale",
            "perl -ne 'print if /a b/' f",
        ],
    );
}

#[test]
fn s0308_commands_that_wait_for_somebody() {
    let plan = step("ssh node-1\njournalctl -u k3s -n 100");
    assert_eq!(
        titles("S0308", &plan),
        ["`ssh node-1` opens a shell at the other end and waits for somebody to type"]
    );
    for script in [
        "kubectl exec -it postgres-0 -- psql\nkubectl get pods",
        "kubectl exec -it postgres-0 -- bash\npg_ctl stop",
        "sudo -i\nsystemctl stop k3s",
        "vi /etc/hosts\nsystemctl restart k3s",
        "su - postgres\npg_ctl stop",
    ] {
        assert_eq!(titles("S0308", &step(script)).len(), 1, "{script}");
    }
    assert_eq!(titles("S0308", &job("mysql orders")).len(), 1, "nobody is there");
}

#[test]
fn s0308_is_silent() {
    quiet(
        "S0308",
        &[
            "ssh node-1",
            "ssh node-1 uptime\nls",
            "ssh node-1 <<END\nls\nEND\nls",
            "echo uptime | ssh node-1\nls",
            "ssh -N -L 1:a:2 node-1 &\nls",
            "ssh -fN -L 1:a:2 node-1\nls",
            "psql < dump.sql\nls",
            "pg_dump x | psql y\nls",
            "kubectl exec -i p -- psql < dump.sql\nls",
            "kubectl exec -it p -- psql -c 'select 1'\nls",
            "zcat dump.gz | kubectl exec -i p -- mysql orders\nls",
            "curl -fsSL https://x | bash\nls",
            "sudo -u postgres psql -l\nls",
            "find . | xargs vi\nls",
            "su - postgres -c 'pg_ctl stop'\nls",
        ],
    );
}

#[test]
fn s0309_verifications_without_a_value() {
    let plan = step("# 6. Verify data integrity\npsql -c 'SELECT count(*) FROM t'");
    assert_eq!(
        titles("S0309", &plan),
        ["`psql -c 'SELECT count(*) FROM t'` verifies nothing: it succeeds whatever it shows"]
    );
    assert_eq!(
        titles("S0309", &step_with("title: Verify all pods running", "kubectl get pods -A")).len(),
        1
    );
    let probe = "scenarios: { a: { phases: [ { steps: [ { run: ls, verify: [ { run: 'kubectl get pods' } ] } ] } ] } }";
    assert_eq!(titles("S0309", probe).len(), 1);
}

#[test]
fn s0309_is_silent() {
    quiet(
        "S0309",
        &[
            "# Look around\nkubectl get pods -A",
            "# Verify the connection\npsql -c 'SELECT 1'",
            "# Verify\nkubectl get pods -A | grep -v Running",
            "# Verify\ntest \"$(psql -tAc 'select count(*) from t')\" -gt 0",
            "# Verify\nkubectl wait --for=condition=ready pod/x",
            "# Verify\nif kubectl get pod x; then ls; fi",
        ],
    );
    silent(
        "S0309",
        &[
            "scenarios: { a: { phases: [ { steps: [ { run: ls, verify: [ { run: 'psql -tAc \"select 1\"', expect: '> 0' } ] } ] } ] } }",
            "scenarios: { a: { detection: [ { what: Verify, run: kubectl get nodes } ] } }",
        ],
    );
}

#[test]
fn s0310_known_misuse() {
    let plan = step(
        "kubectl exec -it p -- bash -c \"
cat > /data/recovery.signal << EOF
restore_command = 'cp x y'
recovery_target_time = '${TARGET:-now}'
EOF\"",
    );
    assert_eq!(
        titles("S0310", &plan),
        [
            "recovery begins on the damaged data directory: no backup was restored before",
            "settings in `recovery.signal` are ignored",
        ]
    );
    for (script, count) in [
        ("k3s server --cluster-reset", 2),
        ("systemctl stop k3s\nk3s server --cluster-reset\nsystemctl start k3s", 0),
        ("pg_restore -d x /b/y.dump", 1),
        ("rm -rf \"$DIR/\"", 1),
        ("xtrabackup --copy-back", 1),
        ("mysqldump --all-databases", 3),
        ("find /backup -mtime +7 -delete", 1),
        ("vault operator unseal abcdef", 1),
        ("cat > /x/recovery.conf <<E\nx\nE", 1),
    ] {
        assert_eq!(titles("S0310", &step(script)).len(), count, "{script}");
    }
    let plan = step("pg_restore -e -d k /tmp/l.dump\naliyun oss cp -r oss://b/wal/ /tmp/wal/");
    assert_eq!(
        titles("S0310", &plan),
        ["WAL cannot be replayed on top of `pg_restore -e -d k /tmp/l.dump`"]
    );
}

#[test]
fn s0310_is_silent() {
    quiet(
        "S0310",
        &[
            "pg_basebackup -D /data\ntouch /data/recovery.signal",
            "pg_basebackup -D /data\n> /data/recovery.signal",
            "pg_restore --exit-on-error -d x /b/y.dump",
            "pg_dump x > y\npg_dumpall --globals-only > z",
            "rm -rf \"${DIR:?}/\"",
            "set -u\nrm -rf \"$DIR/\"",
            "DIR=/data\nrm -rf $DIR/old",
            "rm -rf $DIR",
            "xtrabackup --prepare --target-dir=x\nxtrabackup --copy-back --target-dir=x",
            "mysqldump --single-transaction --source-data=2 --routines db",
            "find /backup -name '*.dump' -mtime +7 -delete",
            "kubectl drain n --ignore-daemonsets",
            "find /var/lib/x/out -type f -mmin +60 -delete",
            "aliyun oss cp -r oss://b/wal/ /tmp/wal/",
            "pg_restore -l x.dump",
        ],
    );
}

#[test]
fn s0311_shell_that_cannot_be_read() {
    let plan = step("if true; then\nls");
    assert_eq!(titles("S0311", &plan), ["`if` has no `fi`"]);
    assert_eq!(titles("S0311", &step("fi\nfi\nfi")).len(), 1, "once for each script");
    quiet(
        "S0311",
        &[
            "kubectl delete pod <pod>",
            "$ kubectl get pods\nNAME (x)\nfoo's",
            "eval \"f_$X () {\"",
            "case $1 in a) ls ;; esac",
            "cat <<EOF\nit's (x)\nEOF",
        ],
    );
}

#[test]
fn s0312_files_that_lie_somewhere_else() {
    let plan = step(
        "aliyun oss cp oss://b/postgres/latest.dump /tmp/
kubectl exec -it postgres-0 -n db -- pg_restore -d k -c /tmp/latest.dump",
    );
    assert_eq!(
        titles("S0312", &plan),
        ["`pg_restore -d k -c /tmp/latest.dump` reads `/tmp/latest.dump`, which is not there"]
    );
    let remote = step("pg_dump -f /tmp/x.dump a\nssh db 'pg_restore -d a /tmp/x.dump'");
    assert_eq!(titles("S0312", &remote).len(), 1);
    quiet(
        "S0312",
        &[
            "aws s3 cp s3://b/x.dump /tmp/\nkubectl cp /tmp/x.dump db/p:/tmp/x.dump\nkubectl exec p -- pg_restore -d k /tmp/x.dump",
            "aws s3 cp s3://b/x.dump /tmp/x.dump\nkubectl exec -i p -- pg_restore -d k < /tmp/x.dump",
            "aws s3 cp s3://b/x.dump /tmp/x.dump\npg_restore -d k /tmp/x.dump",
            "ssh db 'aws s3 cp s3://b/x.dump /tmp/x.dump'\nssh db 'pg_restore -d k /tmp/x.dump'",
            "kubectl exec p -- pg_restore -d k /backup/x.dump",
            "aws s3 cp s3://b/x.dump /tmp/x.dump\nscp /tmp/x.dump db:/tmp/\nssh db 'pg_restore -d k /tmp/x.dump'",
        ],
    );
}

#[test]
fn s0310_recovery_of_the_damaged_files() {
    let plan = step("touch /data/recovery.signal\npg_ctl start -D /data");
    assert_eq!(
        titles("S0310", &plan),
        ["recovery begins on the damaged data directory: no backup was restored before"]
    );
    quiet(
        "S0310",
        &[
            "pgbackrest restore --stanza=x\ntouch /data/recovery.signal",
            "tar -xf /b/base.tar -C /data\ntouch /data/recovery.signal",
            "mv /data /data.bad && cp -a /b/base /data\ntouch /data/recovery.signal",
            "./restore-base.sh\ntouch /data/recovery.signal",
        ],
    );
}

proptest::proptest! {
    #[test]
    fn any_script_is_checked(
        script in "(rm -rf |\\$D|/data/|pg_dump |-f x |> /b/y|\n|\\| |&& |\\|\\| |exit 1|kubectl exec -it p -- |psql |-c |'|\"|if |then |fi\n|while |do |done\n|sleep 1;|ssh h |<pod>|<<E\n|E\n|curl |https://x/health |terraform |apply |k3s server |--cluster-reset|cat > recovery.signal |# verify\n|aws s3 cp |s3://b/x /tmp/ |set -e\n|\\$\\(|\\)|a=b;|\\./x\\.sh ){0,16}"
    ) {
        let text = serde_json::to_string(&format!("ls\n{script}")).unwrap();
        let step = format!("{{ run: {text} }}");
        let plan = format!("scenarios: {{ a: {{ phases: [ {{ steps: [ {step}, {step} ] }} ] }} }}");
        let bytes = plan.into_bytes();
        let report = check(load(&[Input { name: "soter.yaml".to_owned(), bytes }]), TODAY);
        for finding in report.findings.iter().filter(|finding| finding.code.starts_with("S03")) {
            assert!(finding.hint.is_some() && !finding.why.is_empty(), "{}", finding.title);
            assert!(finding.labels.iter().all(|label| label.origin.end > 0), "{}", finding.title);
        }
    }
}

#[test]
fn a_copy_sealed_with_what_it_holds() {
    let save = "vault operator raft snapshot save /b/v.snap";
    let seal = "gpg --batch --passphrase-fd 0 --symmetric /b/v.snap";
    assert_eq!(
        titles("S0110", &job(&format!("{save}\nvault kv get -field=p secret/x | {seal}"))),
        ["what opens this copy of Vault is kept in Vault"]
    );
    for script in [
        format!("{save}\ncat /etc/key | {seal}"),
        format!("{save}\nvault kv get -field=p secret/x\n{seal}"),
        format!("pg_dump -f /b/v.snap x\nvault kv get -field=p secret/x | {seal}"),
    ] {
        silent("S0110", &[&job(&script)]);
    }
}

#[test]
fn a_restore_to_the_name_that_is_there() {
    let restore = |to: &str| {
        step(&format!(
            "aws dynamodb restore-table-to-point-in-time --source-table-name jobs --target-table-name {to}"
        ))
    };
    assert_eq!(titles("S0310", &restore("jobs")).len(), 1);
    silent("S0310", &[&restore("jobs-restored"), &restore("$NEW")]);
}

#[test]
fn data_is_deleted_before_the_backup_is_there() {
    let labels = |script: &str| {
        let found = found("S0306", &step(script));
        found.iter().map(|finding| finding.labels.len()).collect::<Vec<_>>()
    };
    let (delete, fetch) = ("rm -rf /var/lib/mysql/*", "aws s3 cp s3://b/full.xb /restore/");
    assert_eq!(labels(&format!("{delete}\n{fetch}")), [2]);
    assert_eq!(labels(&format!("{fetch}\n{delete}")), [1]);
    assert_eq!(labels(delete), [1]);
}

#[test]
fn s0302_a_report_of_success_whatever_became_of_the_copy() {
    let script = "pg_dump -f /b/o.dump orders\naws cloudwatch put-metric-data --value 1";
    assert_eq!(titles("S0302", &job(script)).len(), 1);
    let push = "pgbackrest --stanza=main archive-push %p || true";
    assert_eq!(titles("S0302", &job(push)).len(), 1);
    silent(
        "S0302",
        &[
            &job(&format!("set -e\n{script}")),
            &job("pg_dump -f /b/o.dump orders && curl -fsS https://hc.example.org/ping/1"),
            &job("pgbackrest --stanza=main archive-push %p"),
        ],
    );
}

/// Long scripts, and many in one scenario, take a time that nobody notices; what is measured here is
/// only that the test ends.
#[test]
fn long_scripts_do_not_take_long() {
    let dumps: String = (0..1_500)
        .map(|at| format!("            pg_dump a{at} > /b/a{at}\n            rm -rf /b/old{at}\n"))
        .collect();
    let step = |run: &str| format!("        - run: |\n{run}");
    let plan = |steps: &str| format!("scenarios:\n  s:\n    phases:\n      - steps:\n{steps}");
    let findings = found("S0301", &plan(&step(&dumps)));
    assert_eq!(findings.len(), 1_500);
    assert!(findings.iter().all(|finding| finding.labels.len() <= 6));
    let careful = format!("            set -euo pipefail\n{dumps}");
    silent("S0301", &[&plan(&step(&careful))]);
    let own = |at: usize| step(&format!("            X{at}=1; echo $X{at}\n"));
    silent("S0304", &[&plan(&(0..2_000).map(own).collect::<String>())]);
}
