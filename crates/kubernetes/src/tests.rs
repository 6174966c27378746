//! Steps in Kubernetes: on a real API server where there is one, and without any.

mod control;

use std::net::TcpListener;
use std::thread;

use http::Method;
use serde_json::{Value, json};
use soter_runbook::driver::Outcome;
use soter_runbook::preflight::Weight;
use soter_runbook::procedure::{Given, Parameters};
use soter_world::Stop;
use soter_world::exec::{Command, Output, Status};

use self::control::{Control, Desk, access, failed, procedure, wait_for};
use super::*;

const JSON: &str = "application/json";
const PATCH: &str = "application/strategic-merge-patch+json";

/// Objects of known kinds, a kind, and an object of that kind.
const MANIFEST: &str = "apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: zeus }
spec:
  replicas: 0
  selector: { matchLabels: { app: zeus } }
  template:
    metadata: { labels: { app: zeus } }
    spec: { terminationGracePeriodSeconds: 1, containers: [ { name: main, image: none } ] }
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: drills.test.example }
spec:
  group: test.example
  scope: Namespaced
  names: { plural: drills, singular: drill, kind: Drill }
  versions:
    - name: v1
      served: true
      storage: true
      schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } }
---
apiVersion: test.example/v1
kind: Drill
metadata: { name: first, finalizers: [ test.example/kept ] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: viewer }
rules: [ { apiGroups: [ apps ], resources: [ deployments, deployments/scale ], verbs: [ get, list ] } ]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: viewer }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: viewer }
subjects: [ { apiGroup: rbac.authorization.k8s.io, kind: User, name: viewer } ]
";

#[test]
fn real_steps_on_an_api_server() {
    let Some(mut control) = Control::start() else { return };
    let desk = control.desk("admin");
    what_is_not_there(&desk);
    objects_are_applied(&control, &desk);
    a_wrong_word_is_answered_with_a_right_one(&desk);
    what_is_forbidden_is_said(&control);
    replicas_stand_still_when_their_pods_are_gone(&control, &desk);
    a_schedule_stands_still_when_its_jobs_are_over(&control, &desk);
    logs_come_from_every_container(&control, &desk);
    a_daemon_set_stands_still_when_no_node_fits_it(&control, &desk);
    what_is_kept_is_deleted_when_it_is_let_go(&control, &desk);
    the_cluster_is_asked_before_the_run(&control);
    a_wait_outlives_the_api_server(&mut control, &desk);
}

fn what_is_not_there(desk: &Desk) {
    let why = desk.failed("{ action: get, object: deployment/zeus, namespace: shop }");
    assert_eq!(why, "the cluster has no namespace `shop`");
    desk.done("{ action: delete, object: deployment/zeus, namespace: shop }");
    assert_eq!(desk.said(), "shop/deployment/zeus is not there\n");
    desk.done("{ action: wait, object: namespace/shop, condition: gone }");
    let stop = Stop::new();
    thread::scope(|scope| {
        let step = "{ action: wait, object: namespace/shop }";
        let waiting = scope.spawn(|| desk.run(step, &Parameters::default(), &stop));
        wait_for("its word", || {
            if desk.said().contains("it is not there") { Ok(()) } else { Err(desk.said()) }
        });
        stop.stop();
        let why = failed(waiting.join().unwrap());
        assert!(why.contains("ended before its time") && why.contains("not there"), "{why}");
    });
}

fn objects_are_applied(control: &Control, desk: &Desk) {
    let apply = format!("{{ action: apply, namespace: shop, manifest: {} }}", json!(MANIFEST));
    desk.done(&apply);
    desk.done(&apply);
    assert!(desk.said().contains("shop/drills/first is applied"), "{}", desk.said());
    let zeus = Object::parse("deploy/zeus", None).unwrap();
    let zeus = control.cluster("admin").require(&zeus, &Stop::new()).unwrap();
    let managers = zeus["metadata"]["managedFields"].as_array().unwrap();
    let ours = managers.iter().find(|one| one["manager"] == "soter").unwrap();
    assert_eq!(ours["operation"], "Apply", "{managers:?}");
    desk.done("{ action: get, object: deployments.apps/zeus }");
    assert!(desk.said().contains("\"name\": \"zeus\"") && !desk.said().contains("managedFields"));
    let mut parameters = Parameters::default();
    parameters.insert("x", Given::Plain("from-run".to_owned()));
    let manifest = "{ action: apply, manifest: \"apiVersion: v1\\nkind: ConfigMap\\nmetadata:\\n  \
                    name: ${x}\\n  namespace: shop\\n\" }";
    let outcome = desk.run(manifest, &parameters, &Stop::new());
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    desk.done("{ action: get, object: cm/from-run, namespace: shop }");
    let elsewhere = "{ action: apply, namespace: other, manifest: \"apiVersion: v1\\nkind: ConfigMap\\n\
                     metadata: { name: a, namespace: shop }\" }";
    assert!(desk.failed(elsewhere).contains("`shop`, and the step says `other`"));
    let refused = "{ action: apply, manifest: \"apiVersion: v1\\nkind: ConfigMap\\nmetadata: { name: A_b }\" }";
    let why = desk.failed(refused);
    let expect = "Kubernetes refuses to apply configmaps `A_b` in the namespace `shop`: ";
    assert!(why.starts_with(expect), "{why}");
}

fn a_wrong_word_is_answered_with_a_right_one(desk: &Desk) {
    let check = |step: &str, expect: &str| assert_eq!(desk.failed(step), expect);
    check(
        "{ action: get, object: deploymnt/zeus }",
        "the cluster has no kind of objects `deploymnt`; did you mean `deployment`?",
    );
    check(
        "{ action: get, object: deployment/zeuss }",
        "the namespace `shop` has no deployments.apps `zeuss`; did you mean `zeus`?",
    );
    check(
        "{ action: scale, object: deployment/zeus, namespace: shp, replicas: 1 }",
        "the cluster has no namespace `shp`",
    );
    check(
        "{ action: scale, object: cm/from-run, replicas: 1 }",
        "`cm/from-run` has no replicas that could be set: a ConfigMap is stopped and started in \
         another way",
    );
    check(
        "{ action: logs, object: cm/from-run }",
        "`cm/from-run` has no pods of its own: name a pod",
    );
}

fn what_is_forbidden_is_said(control: &Control) {
    let desk = control.desk("viewer");
    desk.done("{ action: get, object: deployment/zeus }");
    let why = desk.failed("{ action: get, object: configmap/from-run }");
    let expect =
        "Kubernetes does not allow to read configmaps `from-run` in the namespace `shop` with";
    assert!(why.starts_with(expect) && why.contains("User \"viewer\" cannot get"), "{why}");
    let zeus = Object::parse("deployment/zeus", None).unwrap();
    let error = control.cluster("viewer").scale(&zeus, 3, Some(1), &Stop::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    assert!(
        error.to_string().contains("does not allow to change deployments.apps `zeus`"),
        "{error}"
    );
}

/// Gives the pods of zeus a node, and says that they work.
fn play_kubelet(control: &Control) -> Vec<String> {
    play_kubelet_of(control, ("deployment/zeus", "node-1"))
}

/// Gives the pods of something a node, and says that they work.
fn play_kubelet_of(control: &Control, (object, node): (&str, &str)) -> Vec<String> {
    let object = Object::parse(object, None).unwrap();
    let mut names = Vec::new();
    for pod in control.cluster("admin").pods_of(&object, &Stop::new()).unwrap() {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/namespaces/shop/pods/{name}");
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
            "target": {"kind": "Node", "name": node}});
        control.send(Method::POST, &format!("{path}/binding"), (JSON, binding));
        let ready = json!({"type": "Ready", "status": "True"});
        let status = json!({"status": {"phase": "Running", "conditions": [ready]}});
        control.send(Method::PATCH, &format!("{path}/status"), (PATCH, status));
        names.push(name);
    }
    names
}

fn replicas_stand_still_when_their_pods_are_gone(control: &Control, desk: &Desk) {
    let never = Stop::new();
    let (zeus, cluster) =
        (Object::parse("deployment/zeus", None).unwrap(), control.cluster("admin"));
    desk.done("{ action: scale, object: deployment/zeus, replicas: 2 }");
    let names = play_kubelet(control);
    assert_eq!(names.len(), 2);
    desk.done("{ action: wait, object: deployment/zeus, condition: Available }");
    desk.done("{ action: wait, object: deployment/zeus, condition: .status.readyReplicas=2 }");
    let standing = cluster.standing(&zeus, &never).unwrap();
    assert_eq!((standing.wanted, standing.ready, standing.noted), (2, 2, None), "{standing:?}");
    assert_eq!((standing.pods.len(), standing.followed), (2, true));
    cluster.scale(&zeus, 0, Some(2), &never).unwrap();
    // The number is 0, and the pods are there until the kubelet says that they are gone.
    let left = wait_for("the controller", || {
        let standing = cluster.standing(&zeus, &never).unwrap();
        assert_eq!((standing.wanted, standing.noted), (0, Some(2)));
        let left = standing.left().unwrap_or_default();
        if left.contains("is to be gone by") { Ok(left) } else { Err(left) }
    });
    assert!(left.contains(" on node-1 ") && left.ends_with("and 1 more"), "{left}");
    thread::scope(|scope| {
        let step = "{ action: scale, object: deployment/zeus, replicas: 0 }";
        let waiting = scope.spawn(|| desk.run(step, &Parameters::default(), &never));
        wait_for("its word", || {
            if desk.said().contains("is to be gone by") { Ok(()) } else { Err(desk.said()) }
        });
        assert!(!waiting.is_finished());
        for name in &names {
            let path = format!("/api/v1/namespaces/shop/pods/{name}");
            control.send(Method::DELETE, &path, (JSON, json!({"gracePeriodSeconds": 0})));
        }
        assert!(matches!(waiting.join().unwrap(), Outcome::Done { .. }));
    });
    let standing = cluster.standing(&zeus, &never).unwrap();
    assert_eq!((standing.left(), standing.noted), (None, None), "a step of its own leaves no note");
    cluster.scale(&zeus, 1, None, &never).unwrap();
}

fn a_schedule_stands_still_when_its_jobs_are_over(control: &Control, desk: &Desk) {
    let (never, cluster) = (Stop::new(), control.cluster("admin"));
    let job = "{ template: { spec: { restartPolicy: Never, containers: [ { name: main, image: none } ] } } }";
    let nightly = format!(
        "apiVersion: batch/v1beta1\nkind: CronJob\nmetadata: {{ name: nightly }}\nspec: {{ schedule: \
         \"0 0 1 1 *\", jobTemplate: {{ spec: {job} }} }}\n"
    );
    desk.done(&format!("{{ action: apply, manifest: {} }}", json!(nightly)));
    let nightly = Object::parse("cj/nightly", None).unwrap();
    let uid = cluster.require(&nightly, &never).unwrap()["metadata"]["uid"].clone();
    let owner =
        json!({"apiVersion": "batch/v1beta1", "kind": "CronJob", "name": "nightly", "uid": uid});
    let begun = format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{ name: nightly-1, ownerReferences: [ {owner} ] \
         }}\nspec: {job}\n"
    );
    desk.done(&format!("{{ action: apply, manifest: {} }}", json!(begun)));
    wait_for("its pod", || {
        let standing = cluster.standing(&nightly, &never).unwrap();
        assert_eq!((standing.wanted, standing.ready, standing.noted), (1, 1, None));
        if standing.pods.is_empty() { Err("none".to_owned()) } else { Ok(()) }
    });
    cluster.scale(&nightly, 0, Some(1), &never).unwrap();
    let standing = cluster.standing(&nightly, &never).unwrap();
    assert_eq!((standing.wanted, standing.noted), (0, Some(1)));
    assert!(standing.left().unwrap().starts_with("the pod nightly-1-"), "{standing:?}");
    desk.done("{ action: delete, object: job/nightly-1 }");
    wait_for("its end", || cluster.standing(&nightly, &never).unwrap().left().map_or(Ok(()), Err));
    cluster.scale(&nightly, 1, None, &never).unwrap();
    let standing = cluster.standing(&nightly, &never).unwrap();
    assert_eq!((standing.wanted, standing.noted), (1, None));
}

/// A kubelet's answer, as a file that `openssl s_server` hands out as it is.
fn logs_come_from_every_container(control: &Control, desk: &Desk) {
    let name = wait_for("a pod", || play_kubelet(control).pop().ok_or("none".to_owned()));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}});
    control.send(Method::POST, "/api/v1/nodes", (JSON, node));
    let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}});
    control.send(Method::PATCH, "/api/v1/nodes/node-1/status", (PATCH, status));
    let directory = format!("containerLogs/shop/{name}");
    std::fs::create_dir_all(control.path(&directory)).unwrap();
    let answer =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nit began\n";
    control.write(&format!("{directory}/main?tailLines=1000&timestamps=true"), answer);
    let kubelet = Command::new("openssl")
        .args(["s_server", "-HTTP", "-quiet", "-accept", &port.to_string()])
        .args(["-cert", "api.crt", "-key", "api.key"])
        .current_dir(control.directory.path())
        .stdout(Output::Null)
        .stderr(Output::Null)
        .spawn()
        .unwrap();
    wait_for("the kubelet", || {
        let outcome = desk.run(
            "{ action: logs, object: deployment/zeus }",
            &Parameters::default(),
            &Stop::new(),
        );
        if matches!(outcome, Outcome::Done { .. }) { Ok(()) } else { Err(format!("{outcome:?}")) }
    });
    assert_eq!(desk.said(), format!("== {name} main\nit began\n"));
    let kept = desk.newest().join("evidence").join(format!("{name}.main.log"));
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "it began\n");
    kubelet.kill();
}

fn a_daemon_set_stands_still_when_no_node_fits_it(control: &Control, desk: &Desk) {
    let (never, cluster) = (Stop::new(), control.cluster("admin"));
    let node = json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "node-2", "labels": {"disk": "ssd"}}});
    control.send(Method::POST, "/api/v1/nodes", (JSON, node));
    let pod = "metadata: { labels: { app: agent } }, spec: { nodeSelector: { disk: ssd }, containers: [ \
               { name: main, image: none } ] }";
    let manifest = format!(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{ name: agent }}\nspec: {{ selector: {{ \
         matchLabels: {{ app: agent }} }}, template: {{ {pod} }} }}\n"
    );
    desk.done(&format!("{{ action: apply, manifest: {} }}", json!(manifest)));
    let agent = Object::parse("ds/agent", None).unwrap();
    let whole = || cluster.require(&agent, &never).unwrap();
    let standing = || cluster.standing(&agent, &never).unwrap();
    let works = || {
        wait_for("its pod", || match cluster.pods_of(&agent, &never).unwrap().len() {
            1 => Ok(()),
            count => Err(count.to_string()),
        });
        assert_eq!((standing().wanted, standing().ready), (1, 0));
        let names = play_kubelet_of(control, ("ds/agent", "node-2"));
        wait_for("its controller", || {
            let found = standing();
            if found.ready == 1 { Ok(()) } else { Err(format!("{found:?}")) }
        });
        names
    };
    let names = works();
    let before = whole()["spec"]["template"]["spec"].clone();
    cluster.scale(&agent, 0, Some(1), &never).unwrap();
    let found = whole();
    let notes = &found["metadata"]["annotations"];
    assert_eq!(notes["soter/node-selector-before"], "{\"disk\":\"ssd\"}");
    assert_eq!(found["spec"]["template"]["spec"]["nodeSelector"]["disk"], "ssd");
    // The kubelet has not said yet that it is gone.
    let left = wait_for("its controller", || {
        let found = standing();
        assert_eq!((found.wanted, found.ready, found.noted), (0, 0, Some(1)));
        let left = found.left().unwrap_or_default();
        if left.contains("is to be gone by") { Ok(left) } else { Err(left) }
    });
    assert!(left.contains(" on node-2 "), "{left}");
    let path = format!("/api/v1/namespaces/shop/pods/{}", names[0]);
    control.send(Method::DELETE, &path, (JSON, json!({"gracePeriodSeconds": 0})));
    wait_for("its end", || standing().left().map_or(Ok(()), Err));
    let error = cluster.scale(&agent, 2, None, &never).unwrap_err();
    assert!(error.to_string().contains("has a pod on each node that fits"), "{error}");
    cluster.scale(&agent, 1, None, &never).unwrap();
    assert_eq!(whole()["spec"]["template"]["spec"], before);
    works();
    assert_eq!(standing().noted, None);
    assert_eq!(whole()["metadata"]["annotations"]["soter/node-selector-before"], Value::Null);
}

fn what_is_kept_is_deleted_when_it_is_let_go(control: &Control, desk: &Desk) {
    thread::scope(|scope| {
        let step = "{ action: delete, object: drill/first }";
        let waiting = scope.spawn(|| desk.run(step, &Parameters::default(), &Stop::new()));
        wait_for("its word", || {
            if desk.said().contains("kept by test.example/kept") {
                Ok(())
            } else {
                Err(desk.said())
            }
        });
        let path = "/apis/test.example/v1/namespaces/shop/drills/first";
        let body = ("application/merge-patch+json", json!({"metadata": {"finalizers": null}}));
        control.send(Method::PATCH, path, body);
        assert!(matches!(waiting.join().unwrap(), Outcome::Done { .. }));
    });
    assert!(desk.said().ends_with("drill/first is gone\n"), "{}", desk.said());
}

fn the_cluster_is_asked_before_the_run(control: &Control) {
    let check = |step: &str, expect: &[&str]| {
        let found = control.desk("admin").objections(&procedure(step));
        let found: Vec<&str> = found.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(found, expect);
    };
    check("{ kubernetes: { action: get, object: deployment/zeus } }", &[]);
    check("{ kubernetes: { action: get, object: \"${x}/zeus\" } }", &[]);
    check(
        "{ kubernetes: { action: get, object: statfulset/zeus } }",
        &["the step `p1s1`: the cluster has no kind of objects `statfulset`; did you mean \
           `statefulset`?"],
    );
}

fn a_wait_outlives_the_api_server(control: &mut Control, desk: &Desk) {
    let never = Stop::new();
    thread::scope(|scope| {
        let step = "{ action: wait, object: cm/later, timeout: 1 }".replace(", timeout: 1", "");
        let waiting = scope.spawn(move || desk.run(&step, &Parameters::default(), &Stop::new()));
        let says = |words: &str| {
            wait_for("its word", || {
                if desk.said().contains(words) { Ok(()) } else { Err(desk.said()) }
            });
        };
        says("cm/later: it is not there");
        control.kill_api();
        says("does not answer at https://127.0.0.1:");
        let port = format!("kubeconfig: {}\n", control.path("admin"));
        let why = Desk::new(&port).failed("{ action: get, object: cm/later }");
        assert!(why.starts_with("Kubernetes does not answer at https://127.0.0.1:"), "{why}");
        control.start_api();
        control.wait_ready();
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "later"}});
        control.send(Method::POST, "/api/v1/namespaces/shop/configmaps", (JSON, map));
        assert!(matches!(waiting.join().unwrap(), Outcome::Done { .. }));
    });
    assert!(!never.is_stopped());
}

#[test]
fn a_cluster_that_cannot_be_reached_is_a_word_and_no_wait() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("none").display().to_string();
    let Err(error) = Cluster::connect(&access(&missing)) else { panic!("there is no such file") };
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains(&format!("{missing} cannot be read")), "{error}");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let connect = |port: u16, context: &str| {
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "a",
            "clusters": [{"name": "c", "cluster": {"server": format!("https://127.0.0.1:{port}")}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}]});
        let path = directory.path().join(format!("config-{port}"));
        let mut file = std::fs::File::create(&path).unwrap();
        std::io::Write::write_all(&mut file, config.to_string().as_bytes()).unwrap();
        Cluster::connect(&Access { kubeconfigs: vec![path], context: Some(context.to_owned()) })
    };
    let Err(error) = connect(closed, "b") else { panic!("there is no such context") };
    assert!(error.to_string().ends_with("it has no context `b`, only a"), "{error}");
    let error = connect(closed, "a").unwrap().greet(&Stop::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry);
    let expect = format!("Kubernetes does not answer at https://127.0.0.1:{closed}: ");
    assert!(error.to_string().starts_with(&expect), "{error}");
    // One that takes the connection and says nothing: it ends when it is told to.
    let stop = Stop::new();
    let cluster = connect(silent.local_addr().unwrap().port(), "a").unwrap();
    thread::scope(|scope| {
        let asking = scope.spawn(|| cluster.greet(&stop).unwrap_err());
        let connection = silent.accept().unwrap();
        stop.stop();
        let error = asking.join().unwrap();
        assert_eq!(error.kind(), ErrorKind::Stopped, "{error}");
        drop(connection);
    });
    assert!(
        Desk::new(&format!("kubeconfig: {missing}\n"))
            .failed("{ action: get, object: pod/a }")
            .contains("cannot be read")
    );
}

#[test]
fn the_proxy_is_the_one_of_the_kubeconfig() {
    // This very program, with a proxy in its environment: what is near is asked without it.
    let us = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::a_cluster_that_cannot_be_reached_is_a_word_and_no_wait"])
        .env("HTTPS_PROXY", "http://127.0.0.1:9");
    let finished = us.run(control::LONG).unwrap();
    let said = String::from_utf8_lossy(&finished.stdout);
    assert!(finished.status == Status::Exited(0) && said.contains("1 passed"), "{said}");
    // One that the kubeconfig names is asked to connect, whatever stands in front of the name.
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "c", "cluster": {"server": "https://far.example:6443", "proxy-url": proxy}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}]});
    let path = directory.path().join("config");
    let mut file = std::fs::File::create(&path).unwrap();
    std::io::Write::write_all(&mut file, config.to_string().as_bytes()).unwrap();
    let stop = Stop::new();
    let cluster = Cluster::connect(&access(&path.display().to_string())).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| cluster.greet(&stop).unwrap_err());
        let mut asked = [0; 64];
        let (mut connection, _) = listener.accept().unwrap();
        let count = std::io::Read::read(&mut connection, &mut asked).unwrap();
        stop.stop();
        let asked = String::from_utf8_lossy(&asked[..count]).into_owned();
        assert!(asked.starts_with("CONNECT far.example:6443 HTTP/1.1"), "{asked}");
    });
}

#[test]
fn a_step_that_cannot_be_done_is_found_before_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let desk = Desk::new(&format!("kubeconfig: {}/none\n", directory.path().display()));
    let check = |step: &str, expect: &str| {
        let found = desk.objections(&procedure(step));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains(expect), "{}", found[0].what);
        (found[0].weight == Weight::Blocking).then_some(()).ok_or(())
    };
    let of = |step: &str| format!("{{ kubernetes: {step} }}");
    let mut blocked = 0;
    for (step, expect) in [
        ("{ action: get }", "no object is named"),
        ("{ action: get, object: zeus }", "`zeus` is no object: write `deployment/zeus`"),
        ("{ action: get, object: \"pod/../secrets\" }", "is no object"),
        ("{ action: get, object: pod/a, namespace: \"a/b\" }", "`a/b` is no namespace"),
        ("{ action: scale, object: deployment/a }", "add `replicas: …`"),
        ("{ action: apply }", "add `manifest`"),
        ("{ action: apply, manifest: \"kind: Pod\" }", "has no `apiVersion`"),
        ("{ action: wait, object: pod/a, condition: \".status\" }", "names a field and no value"),
        ("{ action: wait, object: pod/a, condition: \"two words\" }", "is no condition"),
    ] {
        blocked += usize::from(check(&of(step), expect).is_ok());
    }
    assert_eq!(blocked, 9);
    let remark = check(&of("{ action: get, object: pod/a }"), "Kubernetes cannot be asked now");
    assert!(remark.is_err(), "a run may bring the cluster back");
}

#[test]
fn conditions_are_what_objects_say_of_themselves() {
    let ready = |status: &str| {
        json!({"metadata": {"generation": 3}, "status": {
        "observedGeneration": 3, "phase": "Running", "replicas": 2,
        "conditions": [{"type": "Ready", "status": status, "reason": "Unhealthy", "message": "no"}]}})
    };
    let check = |written: Option<&str>, object: Option<&Value>, expect: Result<(), &str>| {
        let found = Condition::parse(written).unwrap().check(object);
        assert_eq!(found, expect.map_err(str::to_owned), "{written:?}");
    };
    let (yes, no) = (ready("True"), ready("False"));
    check(None, Some(&yes), Ok(()));
    check(None, None, Err("it is not there"));
    check(Some("gone"), None, Ok(()));
    check(Some("gone"), Some(&yes), Err("it is there, and nobody deletes it"));
    check(Some("ready"), Some(&yes), Ok(()));
    check(Some("condition=Ready"), Some(&no), Err("`Ready` is False, not True (Unhealthy: no)"));
    check(Some("Ready=false"), Some(&no), Ok(()));
    check(Some("Available"), Some(&yes), Err("it says nothing about `Available`"));
    check(Some("Available"), None, Err("it is not there"));
    check(Some(".status.phase=Running"), Some(&yes), Ok(()));
    check(Some("jsonpath={.status.replicas}=2"), Some(&yes), Ok(()));
    check(
        Some(".status.readyReplicas=2"),
        Some(&yes),
        Err("`.status.readyReplicas` is nothing, not 2"),
    );
    let mut late = ready("True");
    late["metadata"]["generation"] = json!(4);
    let stale = Err("its controller has not seen the last change yet");
    check(Some("Ready"), Some(&late), stale);
    check(Some(".status.phase=Running"), Some(&late), stale);
    check(Some(".metadata.generation=4"), Some(&late), Ok(()));
    // Each condition may have been looked at by a controller of its own.
    late["status"]["observedGeneration"] = json!(4);
    check(Some("Ready"), Some(&late), Ok(()));
    late["status"]["conditions"][0]["observedGeneration"] = json!(3);
    check(Some("Ready"), Some(&late), stale);
    let mut leaving = ready("True");
    leaving["metadata"]["deletionTimestamp"] = json!("2030-01-01T00:00:00Z");
    leaving["metadata"]["finalizers"] = json!(["test.example/kept"]);
    let why = "it is being deleted since 2030-01-01T00:00:00Z, and kept by test.example/kept";
    check(None, Some(&leaving), Err(why));
    check(Some("gone"), Some(&leaving), Err(why));
}
