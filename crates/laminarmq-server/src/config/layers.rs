//! Flag > environment > file > default, and a note of which one it was.

use std::fmt::{self, Display};
use std::path::PathBuf;

use super::file::SettingsFile;
use super::flags::ServeFlags;
use super::settings::{SETTINGS, ServeSettings, Setting};
use super::suggest;
use crate::failure::Failure;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Flag(&'static str),
    Environment(String),
    File(PathBuf),
    Default,
}

impl Source {
    /// One word for programs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Flag(_) => "flag",
            Self::Environment(_) => "environment",
            Self::File(_) => "file",
            Self::Default => "default",
        }
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag --{name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting and where its value came from.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) setting: &'static Setting,
    pub(crate) source: Source,
}

/// Every setting with its value.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) settings: ServeSettings,
    /// In the order of the table.
    pub(crate) entries: Vec<Entry>,
}

impl Resolved {
    /// Reads all layers of this process.
    pub(crate) fn load(flags: &ServeFlags) -> Result<Self, Failure> {
        let file = SettingsFile::find(flags.config.as_deref())?;
        Self::from_layers(flags, &|name| std::env::var(name).ok(), file.as_ref())
    }

    /// Joins the layers; `environment` looks a variable up.
    fn from_layers(
        flags: &ServeFlags,
        environment: &dyn Fn(&str) -> Option<String>,
        file: Option<&SettingsFile>,
    ) -> Result<Self, Failure> {
        let mut settings = ServeSettings::default();
        let mut entries = Vec::with_capacity(SETTINGS.len());
        for setting in SETTINGS {
            let source = match pick(setting, flags, environment, file)? {
                None => Source::Default,
                Some((text, source)) => {
                    setting.store(&mut settings, &text).map_err(|reason| {
                        Failure::usage(format_args!("`{}` from {source}: {reason}", setting.name))
                    })?;
                    source
                }
            };
            entries.push(Entry { setting, source });
        }
        settings.broker.cluster = settings.cluster.assemble().map_err(Failure::usage)?;
        Ok(Self { settings, entries })
    }
}

/// The text of the highest layer that has one.
fn pick(
    setting: &Setting,
    flags: &ServeFlags,
    environment: &dyn Fn(&str) -> Option<String>,
    file: Option<&SettingsFile>,
) -> Result<Option<(String, Source)>, Failure> {
    if let Some(text) = flags.text(setting.name) {
        return Ok(Some((text.to_owned(), Source::Flag(setting.name))));
    }
    let variable = setting.environment();
    // An empty variable is how people unset one in a unit file or a container.
    if let Some(text) = environment(&variable).filter(|text| !text.is_empty()) {
        return Ok(Some((text, Source::Environment(variable))));
    }
    if let Some(file) = file
        && let Some(text) = file.text(setting.name)?
    {
        return Ok(Some((text, Source::File(file.path.clone()))));
    }
    Ok(None)
}

/// Variables that look like a misspelt setting, with the one that was probably meant.
///
/// Not refused, only told: other programs may own such names (an orchestrator sets
/// `LAMINARMQ_SERVICE_HOST` and the like for a service with our name).
pub(crate) fn misspelt_variables(names: impl Iterator<Item = String>) -> Vec<(String, String)> {
    let known: Vec<String> = SETTINGS.iter().map(Setting::environment).collect();
    let others = ["LAMINARMQ_BROKERS", "LAMINARMQ_CONFIG", "LAMINARMQ_COMMIT"];
    names
        .filter(|name| name.starts_with("LAMINARMQ_"))
        .filter(|name| !known.contains(name) && !others.contains(&name.as_str()))
        .filter_map(|name| {
            let meant = suggest::nearest(&name, known.iter().map(String::as_str))?;
            Some((name, meant.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn file(text: &str) -> SettingsFile {
        SettingsFile::parse(Path::new("x.toml"), text).expect("a good file")
    }

    fn source(resolved: &Resolved, name: &str) -> String {
        let entry = resolved.entries.iter().find(|e| e.setting.name == name);
        entry.expect("a known setting").source.to_string()
    }

    #[test]
    fn each_layer_wins_over_the_ones_below() {
        let flags = ServeFlags::from([("listen", "127.0.0.1:1")]);
        let environment = |name: &str| match name {
            "LAMINARMQ_LISTEN" => Some(String::from("127.0.0.1:2")),
            "LAMINARMQ_SHARDS" => Some(String::from("2")),
            "LAMINARMQ_DATA_DIR" => Some(String::new()),
            _ => None,
        };
        let file = file("listen = '127.0.0.1:3'\nshards = 3\ndefault-partitions = 3\n");
        let resolved = Resolved::from_layers(&flags, &environment, Some(&file)).expect("resolves");

        assert_eq!(resolved.settings.broker.listen.port, 1);
        assert_eq!(source(&resolved, "listen"), "flag --listen");
        assert_eq!(resolved.settings.broker.shards, 2);
        assert_eq!(source(&resolved, "shards"), "environment LAMINARMQ_SHARDS");
        assert_eq!(resolved.settings.broker.default_partitions, 3);
        assert_eq!(source(&resolved, "default-partitions"), "file x.toml");
        assert_eq!(
            resolved.settings.broker.data_dir,
            Path::new("./laminarmq-data")
        );
        assert_eq!(source(&resolved, "data-dir"), "default");
    }

    #[test]
    fn a_bad_value_is_blamed_on_its_layer() {
        let environment = |name: &str| (name == "LAMINARMQ_SHARDS").then(|| String::from("lots"));
        let failure = Resolved::from_layers(&ServeFlags::default(), &environment, None)
            .expect_err("no number");
        assert_eq!(
            failure.render(false).as_deref(),
            Some(
                "error: `shards` from environment LAMINARMQ_SHARDS: \
                 `lots` is not a number from 1 to 256"
            )
        );
    }

    #[test]
    fn a_misspelt_variable_is_noticed_and_a_foreign_one_is_not() {
        let names = [
            "LAMINARMQ_LISTN",
            "LAMINARMQ_SERVICE_HOST",
            "LAMINARMQ_LISTEN",
            "PATH",
        ];
        let misspelt = misspelt_variables(names.into_iter().map(String::from));
        assert_eq!(
            misspelt,
            [(
                String::from("LAMINARMQ_LISTN"),
                String::from("LAMINARMQ_LISTEN")
            )]
        );
    }
}
