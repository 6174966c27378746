//! The form of the data, as `README.md` explains it.

use crate::language::define::{section, words};

section! {
    /// A program and what is known of it.
    pub struct Program, "a program" {
        /// Its names: the first is the usual one.
        names: Vec<String> as "program",
        /// What it is, in half a sentence.
        about: Option<String> = "about: the client of …",
        /// Where its documentation is.
        source: Option<String> = "source: https://…",
        /// What must be up for it to work, in words.
        needs: Vec<String>,
        /// Credentials it cannot work without, in words.
        credentials: Vec<String>,
        /// The options that take a value as the next word.
        values: Vec<String>,
        /// How its options are written.
        style: Option<OptionStyle>,
        /// Its subcommands, if all of them stand here.
        subcommands: Vec<String>,
        /// Plugins can add subcommands, so that an unknown one may well exist.
        extensible: Option<bool>,
        /// What it does, when, and how it fails.
        facts: Vec<Fact>,
    }
}

words! {
    /// How the options of a program are written.
    pub enum OptionStyle, "a style of options" {
        /// `-it` is `-i -t`; long options have two dashes.
        Bundled = "bundled",
        /// `-auto-approve` is one option.
        Long = "long",
        /// Words without dashes, `if=/dev/sda`.
        Words = "words",
    }
}

section! {
    /// Something that is true of a program used in a certain way.
    pub struct Fact, "a fact" {
        /// What kind of thing is said.
        kind: Option<FactKind> = "kind: destructive",
        /// The uses it is true of; without it, all.
        when: Option<When>,
        /// Not true if a command of the plan, in small letters, is like one of these.
        unless: Vec<String>,
        /// Only if a command of the plan is like this.
        only_if: Vec<String>,
        /// Not true if a command before it in the same script is like one of these.
        unless_before: Vec<String>,
        /// Not true if a command behind it in the same script is like one of these.
        unless_after: Vec<String>,
        /// What the command does, in a phrase that follows the command: `deletes the pod`.
        what: Option<String>,
        /// Why that fails when it is needed.
        why: Option<String>,
        /// What to write instead.
        instead: Option<String>,
        /// Where this is documented, if not on the program's own page.
        source: Option<String>,
        /// How bad a misuse is.
        severity: Option<FactSeverity>,
        /// Nothing brings back what it removes.
        irreversible: Option<bool>,
        /// The arguments it reads: `1`, `2`, `last`, `rest`, or an option.
        reads: Vec<String>,
        /// The arguments it writes.
        writes: Vec<String>,
    }
}

words! {
    /// The kinds of facts.
    pub enum FactKind, "a kind of fact" {
        /// It makes a copy of data: a dump, a snapshot, a base backup.
        Dumps = "dumps",
        /// It copies files or objects.
        Copies = "copies",
        /// It brings data back.
        Restores = "restores",
        /// It deletes or overwrites something that matters.
        Destructive = "destructive",
        /// It deletes files, which matters if what they were kept for failed.
        Deletes = "deletes",
        /// It changes the state of a system, and can be undone.
        Changes = "changes",
        /// It makes machines or other resources.
        Provisions = "provisions",
        /// It starts something.
        Starts = "starts",
        /// It stops something.
        Stops = "stops",
        /// It fails unless what it looks at is right.
        Verifies = "verifies",
        /// It shows something and succeeds whatever it shows.
        Shows = "shows",
        /// It waits, and gives up after a time.
        Waits = "waits",
        /// It does not end by itself.
        Endless = "endless",
        /// It succeeds although what it was asked for failed.
        NeverFails = "never-fails",
        /// A person must type.
        Interactive = "interactive",
        /// It is written so by mistake.
        Misuse = "misuse",
    }
}

words! {
    /// How bad a misuse is.
    pub enum FactSeverity, "a severity" {
        /// It cannot work.
        Error = "error",
        /// It may fail.
        Warning = "warning",
        /// Worth knowing.
        Note = "note",
    }
}

section! {
    /// Uses of a program: all that is said must hold.
    pub struct When, "a condition" {
        /// It begins with one of these subcommands, `oss cp`.
        subcommand: Vec<String>,
        /// One of these options is there.
        any: Vec<String>,
        /// All of these options are there.
        all: Vec<String>,
        /// None of these options is there.
        none: Vec<String>,
        /// One of the arguments, values of options or lines of input is like one of these; `*` stands
        /// for anything, small and capital letters are the same.
        argument: Vec<String>,
        /// None of them is like these.
        no_argument: Vec<String>,
        /// All of these options are there, and have one value.
        same: Vec<String>,
        /// At least so many words that are no options, behind the subcommand.
        operands_min: Option<u32>,
        /// At most so many.
        operands_max: Option<u32>,
    }
}

section! {
    /// Programs that belong together and share the beginning of their names.
    pub struct Family, "a family of programs" {
        /// What they belong to.
        product: Option<String> = "product: PostgreSQL",
        /// How their names begin.
        prefix: Option<String> = "prefix: pg_",
        /// All programs that the product has or had.
        programs: Vec<String>,
        /// Programs of others with such names.
        others: Vec<String>,
        /// Where the list is from.
        source: Option<String> = "source: https://…",
    }
}

section! {
    /// A file of families.
    pub struct FamilyFile, "a file of families" {
        /// The families.
        families: Vec<Family>,
    }
}

impl Family {
    /// Whether a name looks like one of the family and is none.
    pub(super) fn lacks(&self, name: &str) -> bool {
        let prefix = self.prefix.as_deref().unwrap_or("\0");
        let is_known = self.programs.iter().chain(&self.others).any(|known| known == name);
        // `pg_dump-16`, `pg_ctl.sh`: somebody's own.
        let is_plain = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        name.starts_with(prefix) && is_plain && !is_known
    }
}

words! {
    /// What a product keeps.
    pub enum ProductState, "a kind of state" {
        /// Data that is nowhere else.
        Stateful = "stateful",
        /// Data that can be had again from elsewhere.
        Cache = "cache",
        /// Nothing.
        Stateless = "stateless",
    }
}

words! {
    /// How a product can be brought to a moment in the past.
    pub enum PointInTime, "a kind of recovery to a moment" {
        /// A physical copy and the log of changes (WAL, binlog, oplog).
        Log = "log",
        /// Versions of single objects.
        Versions = "versions",
        /// Only to the moments of its snapshots.
        Snapshots = "snapshots",
        /// Not at all.
        None = "none",
    }
}

section! {
    /// A product that keeps or serves data.
    pub struct Product, "a product" {
        /// Its name here.
        name: Option<String> = "name: postgres",
        /// Its name for people.
        title: Option<String> = "title: PostgreSQL",
        /// Words by which it is recognised, in small letters.
        words: Vec<String>,
        /// What it keeps, as it is commonly used.
        state: Option<ProductState> = "state: stateful",
        /// Only one copy at a time may be written to.
        single_writer: Option<bool>,
        /// How it can be brought to a moment in the past.
        point_in_time: Option<PointInTime>,
        /// Where this is documented.
        source: Option<String> = "source: https://…",
    }
}

section! {
    /// The products.
    pub struct ProductsFile, "a file of products" {
        /// The products; the first whose words are found is taken.
        products: Vec<Product>,
    }
}

section! {
    /// Something a restore needs besides the data.
    pub struct RestoreNeed, "a need of a restore" {
        /// What.
        what: Option<String> = "what: the token of the server",
        /// Words by which a copy of it would be recognised, in small letters.
        names: Vec<String>,
        /// Why it fails without.
        why: Option<String> = "why: …",
        /// Where this is documented.
        source: Option<String> = "source: https://…",
    }
}

section! {
    /// What restores of some products need.
    pub struct RestoresFile, "a file of needs" {
        /// The products.
        products: Vec<String> as "product",
        /// What a restore of them needs besides the data.
        needs: Vec<RestoreNeed>,
    }
}

words! {
    /// What a product does with the lines of a file.
    pub enum SettingsContent, "what is done with the content" {
        /// It does not read them.
        Ignored = "ignored",
        /// It does not start while the file is there.
        Refused = "refused",
    }
}

section! {
    /// A file that people write settings into by mistake.
    pub struct SettingsFile, "a file of settings" {
        /// Its path, with `*` for anything.
        file: Option<String> = "file: recovery.conf",
        /// What is done with what stands in it.
        content: Option<SettingsContent> = "content: ignored",
        /// The mistake, in one line.
        title: Option<String> = "title: …",
        /// Why it fails.
        why: Option<String> = "why: …",
        /// What to do instead.
        instead: Option<String> = "instead: …",
        /// Where this is documented.
        source: Option<String> = "source: https://…",
    }
}

section! {
    /// The files of settings.
    pub struct SettingsFiles, "a list of files of settings" {
        /// The files.
        settings: Vec<SettingsFile>,
    }
}
