//! Everything that lies in a vault, counted by what the names say: sizes for people, and what nobody
//! of ours has put there.
//!
//! Nothing is read and nothing is believed here. A name that no version of Soter writes, and an object
//! of a store that no trust list knows, is a finding: somebody who may write puts things there.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::StoreId;
use crate::names::{Name, PackClass, split_repair};
use crate::objects::{ObjectError, ObjectStore};

/// How many names a list call asks for: what S3 gives at once.
const LIST_PAGE: usize = 1000;

/// How many strangers' objects are named; all are counted.
const FOREIGN_NAMED_MAX: usize = 20;

/// What objects are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Entries of the log.
    Log,
    /// Checkpoints of the log.
    Checkpoint,
    /// Packs of contents.
    Data,
    /// Packs of maps.
    Map,
    /// Sealed WAL files and their indexes.
    Wal,
    /// Streamed parts of WAL.
    Live,
}

/// How many, and how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Sum {
    /// Objects.
    pub objects: u64,
    /// Their length.
    pub bytes: u64,
}

/// What lies in a vault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Of each known store.
    pub stores: BTreeMap<StoreId, BTreeMap<Class, Sum>>,
    /// The record and the trust lists.
    pub trust: Sum,
    /// Published plans and the journals of runs.
    pub documents: Sum,
    /// Repairs, which are counted with their classes, too: each shows damage or an attack.
    pub repairs: Sum,
    /// What is not ours.
    pub foreign: Sum,
    /// The first names of it.
    pub foreign_names: Vec<String>,
}

impl Survey {
    /// Lists the whole vault. `stores` are those that the trust list knows.
    ///
    /// # Errors
    /// The place's.
    pub fn read(
        objects: &dyn ObjectStore,
        stores: &BTreeSet<StoreId>,
    ) -> Result<Self, ObjectError> {
        let mut survey = Self::default();
        for store in stores {
            survey.stores.insert(*store, BTreeMap::new());
        }
        let mut after: Option<String> = None;
        loop {
            let page = objects.list("", after.as_deref(), LIST_PAGE)?;
            for info in &page {
                survey.count(&info.name, info.size);
            }
            let is_last = page.len() < LIST_PAGE;
            after = page.last().map(|info| info.name.clone());
            if is_last {
                return Ok(survey);
            }
        }
    }

    fn count(&mut self, name: &str, bytes: u64) {
        let (base, repair) = split_repair(name);
        let sum = match Name::parse(base).and_then(|name| self.place(&name)) {
            Some(sum) => sum,
            None => {
                if self.foreign_names.len() < FOREIGN_NAMED_MAX {
                    self.foreign_names.push(name.to_owned());
                }
                &mut self.foreign
            }
        };
        sum.add(bytes);
        if repair.is_some() {
            self.repairs.add(bytes);
        }
    }

    fn place(&mut self, name: &Name) -> Option<&mut Sum> {
        let (store, class) = match name {
            Name::VaultRecord | Name::Trust(_) => return Some(&mut self.trust),
            Name::Plan(_) | Name::Run(..) => return Some(&mut self.documents),
            Name::Log(store, _) => (store, Class::Log),
            Name::Checkpoint(store, _) => (store, Class::Checkpoint),
            Name::Pack(PackClass::Data, store, _, _) => (store, Class::Data),
            Name::Pack(PackClass::Map, store, _, _) => (store, Class::Map),
            Name::Wal(wal) => (&wal.store, Class::Wal),
            Name::WalIndex(store, ..) => (store, Class::Wal),
            Name::Live(part) => (&part.store, Class::Live),
        };
        Some(self.stores.get_mut(store)?.entry(class).or_default())
    }
}

impl Sum {
    fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Duty;
    use crate::log::PackSet;
    use crate::log::sample::Bench;
    use crate::objects::Created;

    #[test]
    fn every_object_is_counted_once_and_strangers_are_named() {
        let bench = Bench::new(51);
        let session = bench.open(Duty::Wal);
        bench.back_up(&session, 2, PackSet::default());
        let segment = bench.push_wal(3);
        bench.put_part(&session, 4, 0);
        let put = |name: &str| {
            assert_eq!(bench.memory.create(name, b"junk").unwrap(), Created::New);
        };
        put(&format!("{segment}.r1"));
        let strange = "data/00000000000000aa/00000000000000bb/000000";
        ["readme.txt", strange].iter().for_each(|name| put(name));
        let store = bench.keys.writer.store;
        let survey = Survey::read(&*bench.memory, &BTreeSet::from([store])).unwrap();
        let counts: Vec<_> =
            survey.stores[&store].iter().map(|(class, sum)| (*class, sum.objects)).collect();
        let expected = [(Class::Log, 2), (Class::Data, 2), (Class::Wal, 2), (Class::Live, 1)];
        assert_eq!(counts, expected);
        assert_eq!((survey.trust.objects, survey.repairs.objects), (1, 1));
        assert_eq!(survey.foreign, Sum { objects: 2, bytes: 8 });
        assert_eq!(survey.foreign_names, [strange, "readme.txt"]);
    }
}
