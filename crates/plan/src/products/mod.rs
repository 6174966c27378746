//! What is known of programs and products: what a command does, how it fails, what a restore needs.
//!
//! The rule it keeps: knowledge is data (`programs/`, `restores/`, `families/`, `products.yaml`, see
//! `README.md` there), each piece with its source, and code here only looks things up. What the data
//! does not say is not known, and nothing may be concluded from silence.

mod data;
mod files;
mod invocation;
mod recognise;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::language::reader::Reader;
use crate::language::value::Value;
use crate::language::{FileId, Sources};
use crate::tree;

pub use data::{
    Fact, FactKind, FactSeverity, Family, FamilyFile, OptionStyle, PointInTime, Product,
    ProductState, ProductsFile, Program, RestoreNeed, RestoresFile, SettingsContent, SettingsFile,
    SettingsFiles, When,
};
pub(crate) use invocation::is_like;
pub use invocation::{Artefacts, Given, Invocation};
pub use recognise::recognise;

/// Everything that the files say.
struct Knowledge {
    programs: Vec<Program>,
    /// Name to index in `programs`.
    by_name: HashMap<String, usize>,
    families: Vec<Family>,
    products: Vec<Product>,
    restores: HashMap<String, Vec<RestoreNeed>>,
    settings: Vec<SettingsFile>,
}

static KNOWLEDGE: LazyLock<Knowledge> = LazyLock::new(|| {
    let programs: Vec<Program> = files::PROGRAMS.iter().map(|(_, text)| read(text)).collect();
    let names = |(at, program): (usize, &Program)| {
        program.names.iter().map(move |name| (name.clone(), at)).collect::<Vec<_>>()
    };
    let by_name = programs.iter().enumerate().flat_map(names).collect();
    let families = files::FAMILIES.iter().flat_map(|(_, text)| read::<FamilyFile>(text).families);
    let mut restores: HashMap<String, Vec<RestoreNeed>> = HashMap::new();
    for (_, text) in files::RESTORES {
        let file: RestoresFile = read(text);
        for product in file.products {
            restores.entry(product).or_default().extend(file.needs.iter().cloned());
        }
    }
    let products = read::<ProductsFile>(files::PRODUCTS).products;
    let settings = read::<SettingsFiles>(files::SETTINGS).settings;
    Knowledge { programs, by_name, families: families.collect(), products, restores, settings }
});

/// Reads a file of data. The tests read each and refuse what is wrong, so nothing is left out here.
fn read<T: Value + Default>(text: &str) -> T {
    read_with_findings(text).0
}

fn read_with_findings<T: Value + Default>(text: &str) -> (T, Vec<String>) {
    let mut sources = Sources::default();
    let file: FileId = sources.add("data", text, &[]);
    let mut reader = Reader::new(file, text);
    let value = match tree::read(text, &mut reader.findings) {
        Ok(root) => T::read(&root, &mut reader).unwrap_or_default(),
        Err(raw) => {
            reader.findings.push(raw);
            T::default()
        }
    };
    let findings = reader.findings.into_iter().map(|raw| raw.title).collect();
    (value, findings)
}

/// What is known of the program with this name.
pub fn program(name: &str) -> Option<&'static Program> {
    KNOWLEDGE.programs.get(*KNOWLEDGE.by_name.get(name)?)
}

/// All programs.
pub fn programs() -> &'static [Program] {
    &KNOWLEDGE.programs
}

/// The family of programs that a name seems to belong to although no such program exists:
/// `pg_wal_replay`.
pub fn invented_member(name: &str) -> Option<&'static Family> {
    if program(name).is_some() {
        return None;
    }
    KNOWLEDGE.families.iter().find(|family| family.lacks(name))
}

/// What a restore of a product needs besides its data; the product as [`Product::name`].
pub fn restore_needs(product: &str) -> &'static [RestoreNeed] {
    KNOWLEDGE.restores.get(product).map_or(&[], Vec::as_slice)
}

/// The products that are known.
pub fn products() -> &'static [Product] {
    &KNOWLEDGE.products
}

/// What is known of a file that somebody writes, by its path.
pub fn settings_file(path: &str) -> Option<&'static SettingsFile> {
    let path = path.to_ascii_lowercase();
    let is_it =
        |file: &&SettingsFile| file.file.as_deref().is_some_and(|like| is_like(&path, like));
    KNOWLEDGE.settings.iter().find(is_it)
}
