//! The TOML file: flat keys, each the name of a setting.

use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::settings::SETTINGS;
use super::suggest;
use crate::failure::Failure;

/// The file that is read when none is named and it lies in the working directory.
pub(crate) const DEFAULT_FILE: &str = "laminarmq.toml";
/// A settings file is small; more than this is a mistake, not a configuration.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A settings file whose keys are all known.
#[derive(Debug)]
pub(crate) struct SettingsFile {
    pub(crate) path: PathBuf,
    values: Table,
}

impl SettingsFile {
    /// The file named by `path`, or `./laminarmq.toml` if there is one, or none.
    pub(crate) fn find(path: Option<&Path>) -> Result<Option<Self>, Failure> {
        if let Some(path) = path {
            let text = read(path).map_err(|error| cannot_read(path, &error))?;
            return Self::parse(path, &text).map(Some);
        }
        let path = Path::new(DEFAULT_FILE);
        match read(path) {
            Ok(text) => Self::parse(path, &text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot_read(path, &error)),
        }
    }

    /// Parses `text`, which was read from `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, Failure> {
        let shown = path.display();
        let values: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            Failure::usage(format_args!(
                "{shown}:{line}: {}",
                error.message().trim_end()
            ))
        })?;
        for key in values.keys() {
            if SETTINGS.iter().any(|setting| setting.name == key) {
                continue;
            }
            let failure = Failure::usage(format_args!("{shown}: unknown setting `{key}`"));
            let names = SETTINGS.iter().map(|setting| setting.name);
            return Err(match suggest::nearest(key, names) {
                Some(name) => failure.hint(format_args!("did you mean `{name}`?")),
                None => failure.hint("`laminarmq config show` lists every setting"),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            values,
        })
    }

    /// The value of `name` as the text that a flag would carry.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        match self.values.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Integer(number)) => Ok(Some(number.to_string())),
            Some(Value::Boolean(on)) => Ok(Some(on.to_string())),
            Some(other) => Err(Failure::usage(format_args!(
                "{}: `{name}` is a {}",
                self.path.display(),
                other.type_str()
            ))
            .hint("want a string, a whole number, true or false")),
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let length = std::fs::metadata(path)?.len();
    if length > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than 1 MiB, which is no settings file",
        ));
    }
    std::fs::read_to_string(path)
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format_args!("cannot read {}: {error}", path.display()))
        .hint("give a readable TOML file with --config FILE")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SettingsFile, String> {
        SettingsFile::parse(Path::new("x.toml"), text)
            .map_err(|failure| failure.render(false).unwrap_or_default())
    }

    #[test]
    fn strings_numbers_and_switches() {
        let file = parse("listen = '0.0.0.0:1'\nshards = 3\nauto-create-topics = false\n")
            .expect("a good file");
        let text = |name| file.text(name).expect("a plain value");
        assert_eq!(text("listen").as_deref(), Some("0.0.0.0:1"));
        assert_eq!(text("shards").as_deref(), Some("3"));
        assert_eq!(text("auto-create-topics").as_deref(), Some("false"));
        assert_eq!(text("data-dir"), None);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        assert_eq!(
            parse("data_dir = 'x'").expect_err("an unknown key"),
            "error: x.toml: unknown setting `data_dir`: did you mean `data-dir`?"
        );
        assert!(parse("[serve]\nlisten = 'x'").is_err());
    }

    #[test]
    fn a_broken_file_names_its_line() {
        let error = parse("listen = 'a:1'\nshards = = 2\n").expect_err("no TOML");
        assert!(error.starts_with("error: x.toml:2: "), "{error}");
    }

    #[test]
    fn a_list_is_no_value() {
        let file = parse("listen = ['a:1']").expect("the key is known");
        assert!(file.text("listen").is_err());
    }

    #[test]
    fn a_named_file_must_be_there() {
        let missing = Path::new("/nonexistent/laminarmq.toml");
        assert!(SettingsFile::find(Some(missing)).is_err());
    }
}
