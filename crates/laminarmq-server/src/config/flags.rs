//! The flags of `serve`, made from the table of settings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};

use super::settings::{Kind, SETTINGS, ServeSettings, Setting};

const CONFIG: &str = "config";
const CONFIG_ENVIRONMENT: &str = "LAMINARMQ_CONFIG";

/// The settings that were given as flags: checked texts by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServeFlags {
    /// The settings file named by `--config` or `LAMINARMQ_CONFIG`.
    pub(crate) config: Option<PathBuf>,
    texts: BTreeMap<&'static str, String>,
}

impl ServeFlags {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&'static str, &str); N]> for ServeFlags {
    fn from(texts: [(&'static str, &str); N]) -> Self {
        Self {
            config: None,
            texts: texts.map(|(name, text)| (name, text.to_owned())).into(),
        }
    }
}

fn argument(setting: &'static Setting) -> Arg {
    let check = move |text: &str| {
        let mut scratch = ServeSettings::default();
        setting.store(&mut scratch, text).map(|()| text.to_owned())
    };
    // The number of cores is the machine's, not a default to write into a manual.
    let default = match setting.text(&ServeSettings::default()) {
        Some(text) if setting.name != "shards" => format!(" [default: {text}]"),
        _ => String::new(),
    };
    let argument = Arg::new(setting.name)
        .long(setting.name)
        .value_name(setting.value_name())
        .value_parser(ValueParser::new(check))
        .help(format!("{}{default}", setting.help));
    match setting.kind {
        Kind::Switch(_) => argument.num_args(0..=1).default_missing_value("true"),
        _ => argument,
    }
}

impl Args for ServeFlags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .env(CONFIG_ENVIRONMENT)
            .hide_env(true)
            .value_parser(clap::value_parser!(PathBuf))
            .help("Settings file (TOML); unset: ./laminarmq.toml if it is there");
        SETTINGS
            .iter()
            .fold(command.arg(config), |command, setting| {
                command.arg(argument(setting))
            })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let texts = SETTINGS.iter().filter_map(|setting| {
            let text = matches.get_one::<String>(setting.name)?;
            Some((setting.name, text.clone()))
        });
        Ok(Self {
            config: matches.get_one::<PathBuf>(CONFIG).cloned(),
            texts: texts.collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<ServeFlags, Error> {
        let command = ServeFlags::augment_args(Command::new("serve"));
        let words = std::iter::once("serve").chain(arguments.iter().copied());
        ServeFlags::from_arg_matches(&command.try_get_matches_from(words)?)
    }

    #[test]
    fn a_flag_is_found_by_its_name() {
        let flags = parse(&["--listen", "127.0.0.1:0", "--auto-create-topics", "false"]);
        let flags = flags.expect("good flags");
        assert_eq!(flags.text("listen"), Some("127.0.0.1:0"));
        assert_eq!(flags.text("auto-create-topics"), Some("false"));
        assert_eq!(flags.text("data-dir"), None);
    }

    #[test]
    fn a_switch_alone_means_true() {
        let flags = parse(&["--auto-create-topics"]).expect("good flags");
        assert_eq!(flags.text("auto-create-topics"), Some("true"));
    }

    #[test]
    fn a_bad_value_is_refused_with_the_reason() {
        let error = parse(&["--shards", "many"]).expect_err("a bad number");
        let text = error.to_string();
        assert!(
            text.contains("`many` is not a number from 1 to 256"),
            "{text}"
        );
        assert!(parse(&["--sharts", "1"]).is_err());
    }
}
