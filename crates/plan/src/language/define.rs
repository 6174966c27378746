//! `section!` and `words!`: one definition makes the type, its reader, its schema and its writer.

/// A section of the plan. Every field may be absent; `= "example"` behind one reports it.
///
/// The doc comment of the section and of its fields are the manual: the schema carries them.
macro_rules! section {
    ($(#[doc = $doc:literal])+ pub struct $name:ident, $what:literal {
        $($(#[doc = $field_doc:literal])+ $field:ident : $type:ty $(as $key:literal)? $(= $example:literal)?,)+
    }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct $name {
            $($(#[doc = $field_doc])+ pub $field: $type,)+
        }

        impl $crate::language::value::Value for $name {
            const WHAT: &'static str = $crate::language::reader::SECTION;

            fn read(
                node: &$crate::tree::Node,
                reader: &mut $crate::language::reader::Reader<'_>,
            ) -> Option<Self> {
                const KEYS: &[&str] = &[$($crate::language::define::key!($field $($key)?)),+];
                let entries = reader.entries(node, $what)?;
                let mut section = Self::default();
                let mut seen: Vec<&str> = Vec::new();
                for (key, value) in entries {
                    match key.text.as_str() {
                        $($crate::language::define::key!($field $($key)?) => {
                            let required = $crate::language::define::example!($($example)?);
                            section.$field = reader.under(key, |reader| {
                                reader.not_an_empty_list(value, required);
                                $crate::language::value::Field::read(value, reader)
                            });
                        })+
                        _ => reader.unknown_key(key, $what, KEYS),
                    }
                    seen.push(&key.text);
                }
                $(
                    let key = $crate::language::define::key!($field $($key)?);
                    let example: Option<&str> = $crate::language::define::example!($($example)?);
                    if let Some(example) = example.filter(|_| !seen.contains(&key)) {
                        reader.missing_key(node, $what, key, example);
                    }
                )+
                Some(section)
            }

            fn schema(schemas: &mut $crate::language::schema::Schemas) -> serde_json::Value {
                schemas.section(stringify!($name), &[$($doc),+], |schemas| vec![
                    $($crate::language::schema::Property {
                        key: $crate::language::define::key!($field $($key)?),
                        doc: &[$($field_doc),+],
                        required: $crate::language::define::example!($($example)?).is_some(),
                        schema: <$type as $crate::language::value::Field>::schema(schemas),
                    },)+
                ])
            }

            fn write(&self) -> $crate::language::yaml::Yaml {
                let mut entries = Vec::new();
                $(if let Some(value) = $crate::language::value::Field::write(&self.$field) {
                    let key = $crate::language::define::key!($field $($key)?);
                    entries.push((key.to_owned(), value));
                })+
                $crate::language::yaml::Yaml::Section(entries)
            }
        }
    };
}

/// A choice of words.
macro_rules! words {
    ($(#[doc = $doc:literal])+ pub enum $name:ident, $what:literal {
        $($(#[doc = $word_doc:literal])+ $variant:ident = $word:literal,)+
    }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[doc = $word_doc])+ $variant,)+
        }

        impl $name {
            /// All of them, with the word each is written as.
            pub const ALL: &[(&str, Self)] = &[$(($word, Self::$variant)),+];

            /// The word it is written as.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl $crate::language::value::Value for $name {
            const WHAT: &'static str = $what;

            fn read(
                node: &$crate::tree::Node,
                reader: &mut $crate::language::reader::Reader<'_>,
            ) -> Option<Self> {
                $crate::language::value::read_word(node, reader, $what, Self::ALL)
            }

            fn schema(schemas: &mut $crate::language::schema::Schemas) -> serde_json::Value {
                schemas.words(&[$($doc),+], &[$(($word, &[$($word_doc),+][..])),+])
            }

            fn write(&self) -> $crate::language::yaml::Yaml {
                $crate::language::yaml::Yaml::text(self.word())
            }
        }
    };
}

macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

macro_rules! example {
    () => {
        None::<&str>
    };
    ($example:literal) => {
        Some($example)
    };
}

pub(crate) use {example, key, section, words};
