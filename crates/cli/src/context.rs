//! What commands have in common: the plan, a vault with whom to believe in it, and keys.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use soter_plan::check::render;
use soter_plan::{Connection, Kind, Plan, Postgres, Reference, Store, StoreName, VaultName};
use soter_vault::Vault;
use soter_vault::crypto::SymmetricKey;
use soter_vault::ids::StoreId;
use soter_vault::keys::{
    AgentKey, ErrorKind, KeyError, KeyFile, KeyFileError, KeyFileFault, LoadedTrust, OperatorKey,
    Pins, PublicKey, ReaderKeys, StoreKeys, Trust, load_trust,
};
use soter_vault::log::LogError;
use soter_vault::objects::{Metered, ObjectStore, open_url};
use soter_world::{Clock, Disk, OsDisk, Random, Secret, SystemClock, SystemRandom, durable};

use crate::failure::{Ending, Failure};
use crate::output::{Output, error_paper};
use crate::plans::{self, PlanFiles};

/// What helps when a vault is not as it was written. Soter itself writes to one.
const ANOTHER_COPY: &str =
    "if there is a copy of this vault elsewhere, look there: --vault URL reads it";

/// Longest file that a `${file:…}` may point at.
const REFERENCE_LENGTH_MAX: usize = 64 << 10;

/// The name of a key file that is read from the standard input.
const STANDARD_INPUT: &str = "-";

/// A key file has a few lines.
const KEY_BYTES_MAX: u64 = 64 << 10;

/// What a command takes from outside.
pub(crate) struct Context {
    /// Where it writes to.
    pub(crate) output: Output,
    /// Files.
    pub(crate) disk: Arc<dyn Disk>,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Chance.
    pub(crate) random: Arc<dyn Random>,
    /// The plan's file, or the directory of its files.
    pub(crate) plan_path: PathBuf,
}

/// How a command that reads reaches a vault: without a plan if need be.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Access {
    /// The vault, such as file:///srv/soter; else the plan's.
    #[arg(long, value_name = "URL")]
    pub(crate) vault: Option<String>,
    /// The operator's key file, or `-` to read it; it also says which vault and root to believe.
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
}

/// A vault, with whom to believe in it.
pub(crate) struct OpenVault {
    /// Its address.
    pub(crate) url: String,
    /// Its objects, counted.
    pub(crate) objects: Arc<Metered>,
    /// Trust lists and what is odd about them.
    pub(crate) trust: LoadedTrust,
}

/// A store that can be written: the agent's side.
pub(crate) struct Writer {
    /// The vault.
    pub(crate) vault: OpenVault,
    /// The agent's keys for the store.
    pub(crate) keys: StoreKeys,
    /// Which vault, and which roots.
    pub(crate) pins: Pins,
}

/// A store that can be read: the operator's side.
pub(crate) struct Reader {
    /// The vault.
    pub(crate) vault: OpenVault,
    /// The store's name.
    pub(crate) name: String,
    /// The operator's keys for the store.
    pub(crate) keys: ReaderKeys,
    /// Which vault, and which roots.
    pub(crate) pins: Pins,
}

/// A store whose metadata can be read: either side.
pub(crate) struct Observer {
    /// The vault.
    pub(crate) vault: OpenVault,
    /// The store's name.
    pub(crate) name: String,
    /// The store.
    pub(crate) store: StoreId,
    /// `K_meta`.
    pub(crate) metadata: SymmetricKey,
    /// Which vault, and which roots.
    pub(crate) pins: Pins,
}

impl OpenVault {
    /// Whom to believe.
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust.trust
    }
}

impl Context {
    /// The real world.
    pub(crate) fn new(output: Output, plan_path: PathBuf) -> Self {
        Self {
            output,
            disk: Arc::new(OsDisk),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            plan_path,
        }
    }

    /// Reads the plan.
    pub(crate) fn plan(&self) -> Result<Plan, Failure> {
        let mut inputs = Vec::new();
        for plan in self.plan_files()? {
            inputs.extend(plan.read(&*self.disk)?);
        }
        soter_plan::protected(&inputs).map_err(|report| {
            let mut failure = Failure::new(Ending::Input, "the plan has mistakes");
            failure.rendered = Some(render::text(&report, error_paper()));
            failure
        })
    }

    fn plan_files(&self) -> Result<Vec<PlanFiles>, Failure> {
        plans::find(&*self.disk, std::slice::from_ref(&self.plan_path)).map_err(|failure| {
            failure
                .hint("name it with --plan PATH, or write one from a running cluster: soter init")
        })
    }

    /// The store a command is about: the named one, or the plan's only one.
    pub(crate) fn store<'p>(
        &self,
        plan: &'p Plan,
        name: Option<&str>,
    ) -> Result<(&'p StoreName, &'p Store), Failure> {
        let names = || plan.stores.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let mut stores = plan.stores.iter();
        match name {
            Some(name) => stores.find(|(known, _)| known.as_str() == name).ok_or_else(|| {
                Failure::new(Ending::Input, format!("the plan has no store {name:?}"))
                    .hint(format!("its stores are: {}", names()))
            }),
            None => match (stores.next(), stores.next()) {
                (Some(only), None) => Ok(only),
                _ => Err(Failure::new(Ending::Input, "the plan has several stores")
                    .hint(format!("name one of them: {}", names()))),
            },
        }
    }

    /// The PostgreSQL store a command is about: the named one, or the plan's only one of that kind.
    pub(crate) fn postgres_store<'p>(
        &self,
        plan: &'p Plan,
        name: Option<&str>,
    ) -> Result<(&'p StoreName, &'p Store), Failure> {
        let is_postgres = |store: &Store| matches!(store.kind, Kind::Postgres(_));
        let mut of_kind = plan.stores.iter().filter(|(_, store)| is_postgres(store));
        let found = match (name, of_kind.next(), of_kind.next()) {
            (None, Some(only), None) => only,
            _ => self.store(plan, name)?,
        };
        if is_postgres(found.1) {
            return Ok(found);
        }
        let what = format!("{} is an etcd, and this command is for PostgreSQL", found.0);
        Err(Failure::new(Ending::Input, what).hint(
            "an etcd is kept by soter backup and soter agent, looked at by status, doctor, backups and \
             verify, and brought back by restore",
        ))
    }

    /// The connection string of a store, with its references resolved.
    pub(crate) fn connection(&self, postgres: &Postgres) -> Result<Secret<String>, Failure> {
        self.resolved(&postgres.connection)
    }

    /// A connection string with its references resolved.
    pub(crate) fn resolved(&self, connection: &Connection) -> Result<Secret<String>, Failure> {
        connection.resolve(|reference| self.look_up(reference)).map(Secret::new)
    }

    fn look_up(&self, reference: &Reference) -> Result<String, Failure> {
        look_up(&*self.disk, reference)
    }

    /// Opens the vault of a store for writing, with the agent's key.
    pub(crate) fn writer(
        &self,
        plan: &Plan,
        name: &StoreName,
        store: &Store,
    ) -> Result<Writer, Failure> {
        let (vault, key, pins) = self.agent_side(plan, store)?;
        let id = store_id(&vault, name.as_str())?;
        let list = vault.trust().newest();
        let keys = list.store_keys(id, &key.identity, key.signer).map_err(|e| key_failure(&e))?;
        Ok(Writer { vault, keys, pins })
    }

    fn agent_side(
        &self,
        plan: &Plan,
        store: &Store,
    ) -> Result<(OpenVault, AgentKey, Pins), Failure> {
        let described = store.vault().and_then(|name| plan.vaults.get(name));
        let described =
            described.ok_or_else(|| Failure::new(Ending::Input, "no vault is named"))?;
        let key =
            AgentKey::load(&*self.disk, &described.agent_key).map_err(|e| file_failure(&e))?;
        let roots = described.root_keys.iter().map(|key| PublicKey(key.0)).collect();
        let pins = Pins { vault: key.pins.vault, roots };
        Ok((self.open_vault(&described.url.to_string(), &pins)?, key, pins))
    }

    /// Opens a store for reading, with an operator's key.
    pub(crate) fn reader(&self, access: &Access, store: Option<&str>) -> Result<Reader, Failure> {
        let identity = access.identity.as_ref().ok_or_else(|| {
            Failure::new(Ending::Input, "contents can be read only with an operator's key")
                .hint("give it with --identity FILE; the agent's key cannot read contents")
        })?;
        let key = self.operator_key(identity).map_err(|error| file_failure(&error))?;
        let (vault, name) = self.vault_and_name(access, store, &key.pins)?;
        let list = vault.trust().newest();
        let keys = list.reader_keys(store_id(&vault, &name)?, &key.identity);
        let keys = keys.map_err(|error| key_failure(&error))?;
        Ok(Reader { vault, name, keys, pins: key.pins })
    }

    /// An operator's key from its file, or from the standard input.
    fn operator_key(&self, identity: &Path) -> Result<OperatorKey, KeyFileError> {
        if identity != Path::new(STANDARD_INPUT) {
            return OperatorKey::load(&*self.disk, identity);
        }
        let mut text = String::new();
        let read = io::stdin().take(KEY_BYTES_MAX).read_to_string(&mut text);
        let text = Secret::new(text);
        read.map_err(KeyFileFault::Disk)
            .and_then(|_| OperatorKey::parse(text.expose()))
            .map_err(|fault| KeyFileError { path: identity.to_owned(), fault })
    }

    /// Opens a store's metadata, with an operator's key if one is given, else with the agent's.
    pub(crate) fn observer(
        &self,
        access: &Access,
        store: Option<&str>,
    ) -> Result<Observer, Failure> {
        if access.identity.is_some() {
            let Reader { vault, name, keys, pins } = self.reader(access, store)?;
            let (store, metadata) = (keys.store, keys.metadata);
            return Ok(Observer { vault, name, store, metadata, pins });
        }
        if access.vault.is_some() {
            return Err(Failure::new(Ending::Input, "--vault needs --identity")
                .hint("the operator's key file says which vault and root to believe"));
        }
        let plan = self.plan()?;
        let (name, described) = self.store(&plan, store)?;
        let Writer { vault, keys, pins } = self.writer(&plan, name, described)?;
        let name = name.to_string();
        Ok(Observer { vault, name, store: keys.store, metadata: keys.metadata, pins })
    }

    pub(crate) fn vault_and_name(
        &self,
        access: &Access,
        store: Option<&str>,
        pins: &Pins,
    ) -> Result<(OpenVault, String), Failure> {
        let Some(url) = &access.vault else {
            let plan = self.plan()?;
            let (name, described) = self.store(&plan, store)?;
            let vault = described.vault().and_then(|name| plan.vaults.get(name));
            let vault = vault.ok_or_else(|| Failure::new(Ending::Input, "no vault is named"))?;
            return Ok((self.open_vault(&vault.url.to_string(), pins)?, name.to_string()));
        };
        let vault = self.open_vault(url, pins)?;
        let stores = &vault.trust().newest().stores;
        let names = || stores.iter().map(|row| row.name.clone()).collect::<Vec<_>>().join(", ");
        let name = match (store, stores.as_slice()) {
            (Some(name), _) => name.to_owned(),
            (None, [only]) => only.name.clone(),
            (None, _) => {
                return Err(Failure::new(Ending::Input, "the vault keeps several stores")
                    .hint(format!("name one of them: {}", names())));
            }
        };
        Ok((vault, name))
    }

    /// An opened vault as those who work with it hold it.
    pub(crate) fn vault(&self, open: &OpenVault, pins: Pins) -> Vault {
        Vault {
            objects: Arc::clone(&open.objects) as Arc<dyn ObjectStore>,
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            pins,
        }
    }

    /// Opens a vault and judges its trust lists by these pins.
    pub(crate) fn open_vault(&self, url: &str, pins: &Pins) -> Result<OpenVault, Failure> {
        let objects = open_url(url, Arc::clone(&self.disk)).map_err(|error| {
            Failure::of(Ending::Input, &error).during(&format!("open the vault {url}"))
        })?;
        let objects = Arc::new(Metered::new(objects));
        let trust = load_trust(&*objects, pins, 0)
            .map_err(|error| key_failure(&error).during(&format!("open the vault {url}")))?;
        for finding in &trust.findings {
            self.output.warn(&finding.to_string());
        }
        Ok(OpenVault { url: url.to_owned(), objects, trust })
    }
}

/// What a reference stands for: a secret, as a rule.
pub(crate) fn look_up(disk: &dyn Disk, reference: &Reference) -> Result<String, Failure> {
    match reference {
        Reference::Env(name) => {
            #[expect(clippy::disallowed_methods, reason = "the plan asks for this variable")]
            let value = std::env::var(name);
            value.map_err(|_| {
                Failure::new(Ending::Input, format!("the variable {name} is not set"))
                    .hint("the plan or the target refers to it; set it for this process")
            })
        }
        Reference::File(path) => {
            let bytes = durable::read(disk, Path::new(path), REFERENCE_LENGTH_MAX);
            let bytes = bytes.map_err(|error| {
                Failure::of(Ending::Input, &error).during(&format!("read {path}"))
            })?;
            String::from_utf8(bytes)
                .map_err(|_| Failure::new(Ending::Input, format!("{path} is not text")))
        }
    }
}

/// What only a PostgreSQL store has; it comes from [`Context::postgres_store`], or its kind was looked at.
pub(crate) fn postgres(store: &Store) -> &Postgres {
    match &store.kind {
        Kind::Postgres(postgres) => postgres,
        Kind::Etcd(_) => unreachable!("a command of PostgreSQL has chosen a store of PostgreSQL"),
    }
}

/// What the plan promises by naming more vaults than the one that is written to, in words.
pub(crate) fn kept_in_the_first_only(name: &StoreName, store: &Store) -> Option<String> {
    let (first, others) = (store.vault()?, store.unkept());
    let others: Vec<&str> = others.iter().map(VaultName::as_str).collect();
    (!others.is_empty()).then(|| {
        let others = others.join(", ");
        format!("{name} is kept in the vault {first} only: nothing is stored in {others}")
    })
}

/// The store of this name.
pub(crate) fn store_id(vault: &OpenVault, name: &str) -> Result<StoreId, Failure> {
    let list = vault.trust().newest();
    list.store_named(name).map(|row| row.id).ok_or_else(|| {
        let names: Vec<&str> = list.stores.iter().map(|row| row.name.as_str()).collect();
        Failure::new(Ending::Input, format!("the vault {} keeps no store {name:?}", vault.url))
            .hint(format!("it keeps: {}; `soter vault trust` adds one", names.join(", ")))
    })
}

/// A key that does not fit, or a vault that is not to be believed, in words.
pub(crate) fn key_failure(error: &KeyError) -> Failure {
    let (ending, hint) = match error.kind() {
        ErrorKind::Input => (Ending::Input, "give another key file, or look at the name and URL"),
        ErrorKind::NotFound => (Ending::Input, "look at the URL; `soter vault init` makes a vault"),
        ErrorKind::Retry => (Ending::Failed, "the vault answers badly: try again"),
        ErrorKind::Superseded => (Ending::Failed, "somebody else was first: try again"),
        ErrorKind::Damaged => (Ending::Failed, ANOTHER_COPY),
        ErrorKind::Failed => return Failure::of(Ending::Failed, error),
    };
    Failure::of(ending, error).hint(hint)
}

/// A log that cannot be read or written, in words.
pub(crate) fn log_failure(error: &LogError) -> Failure {
    let (ending, hint) = match error {
        LogError::Key(error) => return key_failure(error),
        LogError::Broken { .. } => {
            (Ending::Failed, "look with `soter vault verify`; --accept-break ENTRY accepts it")
        }
        LogError::Unsweepable { .. } => {
            (Ending::Input, "`soter vault info` shows the record; such a vault only grows")
        }
        LogError::Newer { .. } => (Ending::Input, "use the newest Soter"),
        LogError::TailCut { .. } => (Ending::Failed, ANOTHER_COPY),
        LogError::Jammed { .. } => {
            (Ending::Failed, "take the write credential away from whoever does this")
        }
        LogError::OldKeys { .. } => (Ending::Failed, "the trust list has changed: try again"),
        LogError::NoBackup(_) => (Ending::No, "`soter backups` lists them"),
        LogError::Stopped => (Ending::Failed, "nothing of it was recorded; run it again"),
        LogError::Superseded { .. } => return Failure::of(Ending::Superseded, error),
        _ => return Failure::of(Ending::Failed, error),
    };
    Failure::of(ending, error).hint(hint)
}

/// A key file that cannot be used, in words.
pub(crate) fn file_failure(error: &KeyFileError) -> Failure {
    Failure::of(Ending::Input, error).hint(error.hint())
}
