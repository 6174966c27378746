//! Where a run happens: the plan's own places, or what a target's file binds to their names.
//!
//! The rule it keeps: a step never learns where it is. The same bytes run at every target; only what
//! its names stand for is another. A host that is not bound is the plan's own, reached by ssh; what of
//! a drill would go to one is found before it begins (`preflight/fence.rs`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use soter_plan::target::{Target, TargetKind, TargetStore};
use soter_plan::{Reference, Text};
use soter_world::Secret;

use crate::driver::Kind;
use crate::procedure::Given;

/// What the names of a plan stand for in a run.
#[derive(Debug, Clone)]
pub struct Bindings {
    /// What the target is called; none: the plan's own places.
    pub name: Option<String>,
    /// Whether it is the real thing.
    pub kind: Kind,
    /// What the target is, for people.
    pub about: Option<String>,
    /// Directories before the `PATH` of scripts.
    pub path: Vec<String>,
    /// Variables of scripts.
    pub environment: BTreeMap<String, Given>,
    /// Machines: what is put before a command, so that it runs there.
    pub hosts: BTreeMap<String, Vec<String>>,
    /// Stores.
    pub stores: BTreeMap<String, BoundStore>,
    /// Beginnings of addresses and what takes their places.
    pub endpoints: BTreeMap<String, String>,
    /// How messages get through channels.
    pub channels: BTreeMap<String, Way>,
    /// Where credentials are read, as it is written. It is looked up when one is used.
    pub credentials: BTreeMap<String, String>,
    /// The file by which Kubernetes is reached.
    pub kubeconfig: Option<PathBuf>,
    /// Which context of it; none: the one that it calls current.
    pub context: Option<String>,
    /// Who vouches for servers.
    pub ca_file: Option<PathBuf>,
}

/// A store, as it is at a target.
#[derive(Debug, Clone, Default)]
pub struct BoundStore {
    /// How it is reached; it may hold a password.
    pub connection: Option<Secret<String>>,
    /// Where its data is, or comes to.
    pub data_directory: Option<PathBuf>,
    /// Where its members answer.
    pub endpoints: Vec<String>,
    /// Who vouches for it.
    pub ca_file: Option<PathBuf>,
    /// The certificate it is spoken to with.
    pub certificate_file: Option<PathBuf>,
    /// The certificate's key.
    pub key_file: Option<PathBuf>,
    /// The vault it comes from.
    pub vault: Option<String>,
}

/// How a message gets through.
#[derive(Debug, Clone)]
pub enum Way {
    /// A program that reads it.
    Command(Vec<String>),
    /// An address that takes it; it may be secret, as those of chat rooms are.
    Webhook(Secret<String>),
}

impl Bindings {
    /// The plan's own places: the real thing.
    #[must_use]
    pub fn real() -> Self {
        Self {
            name: None,
            kind: Kind::Real,
            about: None,
            path: Vec::new(),
            environment: BTreeMap::new(),
            hosts: BTreeMap::new(),
            stores: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            channels: BTreeMap::new(),
            credentials: BTreeMap::new(),
            kubeconfig: None,
            context: None,
            ca_file: None,
        }
    }

    /// What a target's file says. Paths that are not absolute count from `beside`, the directory of
    /// the file; `look_up` finds what stands for secrets.
    ///
    /// # Errors
    /// Everything that cannot be found, in words.
    pub fn of(
        target: &Target,
        beside: &Path,
        look_up: impl Fn(&Reference) -> Result<String, String>,
    ) -> Result<Self, Vec<String>> {
        let mut reader = Reader { beside, look_up, complaints: Vec::new() };
        let bindings = reader.bindings(target);
        if reader.complaints.is_empty() { Ok(bindings) } else { Err(reader.complaints) }
    }

    /// An address of the plan, as it is here. The longest beginning that is bound is replaced; it ends
    /// where a path, a query or the address does.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        self.bound_url(url).unwrap_or_else(|| url.to_owned())
    }

    /// Whether an address of the plan has another here.
    #[must_use]
    pub fn is_bound(&self, url: &str) -> bool {
        self.bound_url(url).is_some()
    }

    fn bound_url(&self, url: &str) -> Option<String> {
        let fits = |(from, to): (&String, &String)| {
            let rest = url.strip_prefix(from.as_str())?;
            let ends = rest.is_empty() || rest.starts_with(['/', '?', '#']) || from.ends_with('/');
            ends.then(|| (from.len(), format!("{to}{rest}")))
        };
        let bound = self.endpoints.iter().filter_map(fits).max_by_key(|(length, _)| *length);
        bound.map(|(_, url)| url)
    }

    /// Whether it is another place than the plan's own, and none that anybody needs: then nothing of
    /// the plan's own may stand in for what is not bound.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.kind == Kind::Drill
    }

    /// The directory that a store is restored to. `written` is what a step names, `planned` where the
    /// plan has the store's data. At a target that binds the store it is the bound directory, or,
    /// where the step names another one than the plan's, a new one of that name beside it. None: the
    /// target is fenced and does not say, or nobody does.
    #[must_use]
    pub fn restored_to(
        &self,
        store: &str,
        written: Option<&Path>,
        planned: Option<&Path>,
    ) -> Option<PathBuf> {
        let bound = self.stores.get(store).and_then(|store| store.data_directory.as_deref());
        let Some(bound) = bound else {
            return written.or(planned).filter(|_| !self.is_fenced()).map(Path::to_owned);
        };
        match written {
            Some(written) if planned != Some(written) && written != bound => {
                Some(bound.parent()?.join(written.file_name()?))
            }
            _ => Some(bound.to_owned()),
        }
    }

    /// Where a credential is read: where the target says, else where the plan does. `planned` is that;
    /// a drill never reads it.
    ///
    /// # Errors
    /// In words, with what to do, when nobody says, or only the plan does and this is a drill.
    pub fn credential<'b>(
        &'b self,
        name: &str,
        planned: Option<&'b String>,
    ) -> Result<&'b str, String> {
        match (self.credentials.get(name), planned) {
            (Some(bound), _) => Ok(bound),
            (None, _) if self.is_fenced() => Err(format!(
                "a drill does not read the credentials of the real thing: give `{name}` under \
                 `credentials` of the target `{}`",
                self.title()
            )),
            (None, Some(planned)) => Ok(planned),
            (None, None) => Err(format!(
                "the plan does not say where it is read: give the credential `{name}` a `read_from`"
            )),
        }
    }

    /// What a person types before something is destroyed there, and reads on every screen.
    #[must_use]
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or("the plan's own places")
    }

    /// Everything in it that may not be shown.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let variables = self.environment.values().filter_map(|value| match value {
            Given::Hidden(secret) => Some(secret.expose().as_str()),
            Given::Plain(_) => None,
        });
        let connections = self.stores.values().filter_map(|store| store.connection.as_ref());
        let webhooks = self.channels.values().filter_map(|way| match way {
            Way::Webhook(address) => Some(address),
            Way::Command(_) => None,
        });
        variables.chain(connections.chain(webhooks).map(|secret| secret.expose().as_str()))
    }
}

struct Reader<'t, F> {
    beside: &'t Path,
    look_up: F,
    complaints: Vec<String>,
}

impl<F: Fn(&Reference) -> Result<String, String>> Reader<'_, F> {
    fn bindings(&mut self, target: &Target) -> Bindings {
        let kind = match target.kind.as_ref().map(|kind| kind.value) {
            Some(TargetKind::Real) => Kind::Real,
            Some(TargetKind::Drill) | None => Kind::Drill,
        };
        let path = target.path.iter().map(|at| self.path(at).display().to_string()).collect();
        let mut environment = BTreeMap::new();
        for (name, value) in target.environment.iter() {
            if !crate::steps::is_variable(name) {
                let why = crate::steps::variable_rule(name);
                self.complaints.push(format!("`{name}` of the target's environment: {why}"));
            }
            environment.insert(name.to_owned(), self.given(value));
        }
        let words = |words: &soter_plan::target::Words| {
            words.0.iter().map(|word| word.value.clone()).collect::<Vec<String>>()
        };
        let hosts = target.hosts.iter().map(|(name, command)| (name.to_owned(), words(command)));
        let text = |at: &soter_plan::language::At<String>| at.value.clone();
        let endpoints = target.endpoints.iter().map(|(from, to)| (from.to_owned(), text(to)));
        let stores = target.stores.iter().map(|(name, of)| (name.value.clone(), self.store(of)));
        let stores = stores.collect();
        Bindings {
            name: target.name.as_ref().map(text),
            kind,
            about: target.about.as_ref().map(text),
            path,
            environment,
            hosts: hosts.collect(),
            stores,
            endpoints: endpoints.collect(),
            channels: self.channels(target),
            credentials: self.credentials(target),
            kubeconfig: target.kubeconfig.as_ref().map(|path| self.path(path)),
            context: target.context.as_ref().map(text),
            ca_file: target.ca_file.as_ref().map(|path| self.path(path)),
        }
    }

    fn channels(&mut self, target: &Target) -> BTreeMap<String, Way> {
        let mut channels = BTreeMap::new();
        for (name, channel) in target.channels.iter() {
            let command: Vec<String> =
                channel.command.iter().map(|word| word.value.clone()).collect();
            let way = match (command.is_empty(), &channel.webhook) {
                (false, None) => Way::Command(command),
                (true, Some(address)) => Way::Webhook(self.secret(address)),
                _ => {
                    self.complaints.push(format!(
                        "the target's channel `{}` has either a command or a webhook",
                        name.value
                    ));
                    continue;
                }
            };
            channels.insert(name.value.clone(), way);
        }
        channels
    }

    fn credentials(&mut self, target: &Target) -> BTreeMap<String, String> {
        let mut credentials = BTreeMap::new();
        for (name, written) in target.credentials.iter() {
            match Text::parse(written) {
                Ok(text) if text.references().next().is_some() => {
                    credentials.insert(name.to_owned(), written.value.clone());
                }
                Ok(_) => self.complaints.push(format!(
                    "`{name}` of the target's credentials stands in the file itself: write where it \
                     is kept, `${{file:PATH}}` or `${{env:NAME}}`"
                )),
                Err(error) => self.complaints.push(format!("{error}: {}", error.hint)),
            }
        }
        credentials
    }

    fn store(&mut self, store: &TargetStore) -> BoundStore {
        let connection = store.connection.as_ref().map(|text| self.secret(text));
        let path =
            |at: &Option<soter_plan::language::At<String>>| at.as_ref().map(|path| self.path(path));
        BoundStore {
            connection,
            data_directory: path(&store.data_directory),
            endpoints: store.endpoints.iter().map(|at| at.value.clone()).collect(),
            ca_file: path(&store.ca_file),
            certificate_file: path(&store.certificate_file),
            key_file: path(&store.key_file),
            vault: store.vault.as_ref().map(|at| at.value.clone()),
        }
    }

    fn path(&self, written: &str) -> PathBuf {
        self.beside.join(written)
    }

    fn secret(&mut self, written: &str) -> Secret<String> {
        Secret::new(self.given(written).expose().to_owned())
    }

    /// What is looked up is hidden, what stands in the file is not.
    fn given(&mut self, written: &str) -> Given {
        let text = match Text::parse(written) {
            Ok(text) => text,
            Err(error) => {
                self.complaints.push(format!("{error}: {}", error.hint));
                return Given::Plain(String::new());
            }
        };
        if let Some(literal) = text.as_literal() {
            return Given::Plain(literal.to_owned());
        }
        match text.resolve(&self.look_up) {
            Ok(value) => Given::Hidden(Secret::new(value)),
            Err(complaint) => {
                self.complaints.push(complaint);
                Given::Plain(String::new())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bindings(text: &str) -> Result<Bindings, Vec<String>> {
        let target = Target::read("lab.yaml", text.as_bytes()).unwrap();
        Bindings::of(&target, Path::new("/labs"), |reference| match reference {
            Reference::Env(name) if name == "TOKEN" => Ok("hunter2".to_owned()),
            other => Err(format!("{other:?} is not there")),
        })
    }

    #[test]
    fn a_drill_is_bound_and_its_secrets_are_known() {
        let bound = bindings(
            "name: lab\nkind: drill\npath: [bin, /opt/bin]\nenvironment: { A: plain, B: \"${env:TOKEN}\" }\n\
             stores: { orders: { connection: \"password=${env:TOKEN}\", data_directory: data } }\n\
             channels: { chat: { webhook: \"http://hook\" }, pager: { command: [page, now] } }\n",
        )
        .unwrap();
        assert_eq!((bound.kind, bound.title()), (Kind::Drill, "lab"));
        assert_eq!(bound.path, ["/labs/bin", "/opt/bin"]);
        assert_eq!(bound.stores["orders"].data_directory, Some(PathBuf::from("/labs/data")));
        let secrets: Vec<&str> = bound.secrets().collect();
        assert_eq!(secrets, ["hunter2", "password=hunter2", "http://hook"]);
        assert!(!format!("{bound:?}").contains("hunter2"));
        assert_eq!(Bindings::real().kind, Kind::Real);
    }

    #[test]
    fn everything_that_cannot_be_bound_is_said_at_once() {
        let complaints = bindings(
            "name: lab\nkind: drill\nenvironment: { A: \"${env:X}\", B: \"${\", PATH: x, a-b: y }\n\
             channels: { chat: {} }\ncredentials: { edge: hunter2, dns: \"${\" }\n",
        )
        .unwrap_err();
        assert_eq!(complaints.len(), 7, "{complaints:?}");
        assert!(!format!("{complaints:?}").contains("hunter2"), "{complaints:?}");
    }

    #[test]
    fn a_drill_reads_its_own_credentials_and_no_others() {
        let planned = "${file:/real/token}".to_owned();
        let text = "credentials: { edge: \"${file:/lab/token}\" }\n";
        let real = Bindings::real();
        assert_eq!(real.credential("edge", Some(&planned)), Ok("${file:/real/token}"));
        assert!(real.credential("edge", None).unwrap_err().ends_with("a `read_from`"));
        for kind in ["real", "drill"] {
            let bound = bindings(&format!("name: lab\nkind: {kind}\n{text}")).unwrap();
            assert_eq!(bound.credential("edge", Some(&planned)), Ok("${file:/lab/token}"));
            let other = bound.credential("dns", Some(&planned));
            if kind == "real" {
                assert_eq!(other, Ok("${file:/real/token}"));
            } else {
                let why = other.unwrap_err();
                assert!(
                    why.ends_with("give `dns` under `credentials` of the target `lab`"),
                    "{why}"
                );
            }
        }
    }

    #[test]
    fn a_store_is_restored_beside_where_the_target_has_it() {
        let bound = bindings(
            "name: lab\nkind: drill\nstores: { orders: { data_directory: pg/data }, books: {} }\n",
        )
        .unwrap();
        let check = |bindings: &Bindings, store: &str, written: Option<&str>, expect| {
            let planned = Some(Path::new("/srv/pg/main"));
            let found = bindings.restored_to(store, written.map(Path::new), planned);
            assert_eq!(found.as_deref(), expect, "{store} {written:?}");
        };
        let in_lab = |path| Some(Path::new(path));
        check(&bound, "orders", None, in_lab("/labs/pg/data"));
        check(&bound, "orders", Some("/srv/pg/main"), in_lab("/labs/pg/data"));
        check(&bound, "orders", Some("/srv/pg/restored"), in_lab("/labs/pg/restored"));
        // A drill never falls back to the plan's own places.
        check(&bound, "books", Some("/srv/pg/restored"), None);
        check(&bound, "nobody", None, None);
        check(&Bindings::real(), "orders", Some("/srv/pg/restored"), in_lab("/srv/pg/restored"));
        check(&Bindings::real(), "orders", None, in_lab("/srv/pg/main"));
    }

    #[test]
    fn an_address_is_replaced_where_its_parts_end() {
        let bound = bindings(
            "name: lab\nkind: drill\nendpoints:\n  https://api.test: http://127.0.0.1:1\n  \
             https://api.test/admin: http://127.0.0.1:2\n  https://files.test/: http://127.0.0.1:3/f/\n",
        )
        .unwrap();
        let check = |url: &str, expect: &str| assert_eq!(bound.url(url), expect);
        check("https://api.test/health?x=1", "http://127.0.0.1:1/health?x=1");
        check("https://api.test", "http://127.0.0.1:1");
        check("https://api.test?x", "http://127.0.0.1:1?x");
        check("https://api.test/admin/x", "http://127.0.0.1:2/x");
        check("https://api.test/administrators", "http://127.0.0.1:1/administrators");
        check("https://api.testing/x", "https://api.testing/x");
        check("https://files.test/a", "http://127.0.0.1:3/f/a");
    }
}
