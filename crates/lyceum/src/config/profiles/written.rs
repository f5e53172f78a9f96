//! How profiles are written; the comments are the manual. What must be true of them is checked in
//! [`super`].

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawProfile {
    /// What people read.
    pub title: Option<String>,
    /// KubeSpawner's word for `title`.
    pub display_name: Option<String>,
    /// What programs call it. Left out: made of the title, as KubeSpawner does.
    pub slug: Option<String>,
    /// A line or two below the title; plain text.
    pub description: Option<String>,
    /// `true`: chosen already when somebody comes for the first time. Left out everywhere: the first.
    #[serde(rename = "default")]
    pub is_default: bool,
    /// The environment it is made of. Left out: what `servers` says.
    #[serde(rename = "use")]
    pub environment: Option<String>,
    /// Who may use it: `ada`, `group:NAME`, `course:ID`, `course:ID/ROLE`, `role:NAME`. Left out:
    /// everybody.
    #[serde(rename = "for", deserialize_with = "a_list")]
    pub audience: Option<Vec<String>>,
    /// Settings of KubeSpawner that differ, with its meaning: `mem_limit: 2G` are powers of 1024.
    pub kubespawner_override: Overrides,
    /// What can be chosen within it, each by its name.
    pub profile_options: Ordered<RawOption>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawOption {
    /// Left out: its name.
    pub display_name: Option<String>,
    /// The choices, each by its name.
    pub choices: Ordered<RawChoice>,
    /// A value of one's own.
    pub unlisted_choice: RawUnlisted,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawChoice {
    /// Left out: its name.
    pub display_name: Option<String>,
    /// `true`: chosen already. Left out everywhere: the first.
    #[serde(rename = "default")]
    pub is_default: bool,
    /// Who of those who may use the profile may choose it. Left out: everybody.
    #[serde(rename = "for", deserialize_with = "a_list")]
    pub audience: Option<Vec<String>>,
    /// As of the profile; goes over it.
    pub kubespawner_override: Overrides,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawUnlisted {
    /// `true`: it is offered.
    pub enabled: bool,
    /// What the field is called.
    pub display_name: Option<String>,
    /// What it is called among the choices.
    pub display_name_in_choices: Option<String>,
    /// A regular expression that a value must match from its beginning, as in KubeSpawner; end it with
    /// `$` to say all of it.
    pub validation_regex: Option<String>,
    /// What a value looks like, in words.
    pub validation_message: Option<String>,
    /// As of a choice; `{value}` stands for the value.
    pub kubespawner_override: Overrides,
}

/// Names and values of settings, as they are written.
pub(in crate::config) type Overrides = serde_json::Map<String, serde_json::Value>;

/// Keys and values in the order in which they are written.
#[derive(Debug, Clone, PartialEq)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Keys<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Keys<T> {
            type Value = Ordered<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keys and values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut keys: A) -> Result<Ordered<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = keys.next_entry()? {
                    all.push(entry);
                }
                Ok(Ordered(all))
            }
        }
        from.deserialize_any(Keys(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Ordered<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        BTreeMap::<String, T>::schema_name()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}

/// Where a list is begun and nothing stands in it, nobody was meant, or a mistake was made; certainly
/// not everybody.
/// KubeSpawner also takes a mapping, whose keys are slugs; here they are in their order.
pub(in crate::config) fn a_list_of_profiles<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<RawProfile>, D::Error> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<RawProfile>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(
                "a list such as `- title: Python` (where KubeSpawner's `profile_list` has keys, \
                 write `- slug: KEY`)",
            )
        }
        fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(items))
        }
    }
    from.deserialize_any(List)
}

fn a_list<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    Vec::deserialize(from).map(Some)
}
