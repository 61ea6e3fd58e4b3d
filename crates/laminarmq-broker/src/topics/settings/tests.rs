use super::*;

fn resolve(pairs: &[(&str, &str)]) -> Result<TopicSettings, SettingError> {
    let pairs = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned())));
    TopicSettings::resolve(&collect_pairs(pairs)?, TopicDefaults::default())
}

#[test]
fn settings_override_the_defaults() {
    let settings = resolve(&[
        ("flush", "os"),
        ("segment.bytes", "1048576"),
        ("max.message.bytes", "2000000"),
        ("message.timestamp.type", "LogAppendTime"),
        ("cleanup.policy", "delete"),
        ("compression.type", "producer"),
        ("min.insync.replicas", "2"),
        ("retention.ms", "5000"),
        ("retention.bytes", "-1"),
        ("segment.ms", "7000"),
    ]);
    let want = TopicSettings {
        flush: FlushMode::Os,
        segment_bytes: 1 << 20,
        max_message_bytes: 2_000_000,
        timestamp_type: TimestampType::LogAppend,
        min_insync_replicas: 2,
        retention: Retention {
            age_ms: Some(5000),
            bytes: None,
            segment_age_ms: Some(7000),
        },
    };
    assert_eq!(settings, Ok(want));
    let default = TopicSettings::of_defaults(TopicDefaults {
        flush: FlushMode::Os,
        min_insync_replicas: 3,
    });
    let map = BTreeMap::new();
    let resolved = TopicSettings::resolve(
        &map,
        TopicDefaults {
            flush: FlushMode::Os,
            min_insync_replicas: 3,
        },
    );
    assert_eq!(resolved, Ok(default));
}

#[test]
fn what_is_described_can_be_given_back() {
    let given = [("flush", "os"), ("message.timestamp.type", "LogAppendTime")];
    let settings = resolve(&given).unwrap();
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let described: BTreeMap<_, _> = settings
        .describe(&given.into(), TopicDefaults::default())
        .into_iter()
        .map(|described| (described.name.to_owned(), described.value))
        .collect();
    assert_eq!(
        TopicSettings::resolve(&described, TopicDefaults::default()),
        Ok(settings)
    );
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (name, value, part) in [
        ("retention.ms", "-2", "-1, or a number from 0"),
        ("retention.bytes", "1.5", "-1, or a number from 0"),
        ("segment.ms", "0", "a number from 1"),
        ("cleanup.policy", "compact", "compaction is not there yet"),
        ("segment.bytes", "10", "a number from 1024"),
        ("segment.bytes", "many", "a number from 1024"),
        ("max.message.bytes", "4294967296", "a number from 61"),
        ("min.insync.replicas", "0", "a number from 1 to 32"),
        ("min.insync.replicas", "33", "a number from 1 to 32"),
        ("flush", "never", "\"sync\" or \"os\""),
        ("message.timestamp.type", "now", "CreateTime"),
        ("unclean.thing", "1", "unknown topic setting"),
    ] {
        let error = resolve(&[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains(name), "{error}");
    }
}

#[test]
fn a_setting_comes_once_and_with_a_value() {
    assert_eq!(
        resolve(&[("flush", "os"), ("flush", "os")]),
        Err(SettingError::Twice("flush".to_owned()))
    );
    let none = [("flush".to_owned(), None)];
    let error = collect_pairs(none.into_iter()).unwrap_err();
    assert_eq!(
        error,
        SettingError::NoValue {
            name: "flush".to_owned()
        }
    );
    let many: Vec<_> = (0..65)
        .map(|n| (format!("k{n}"), Some(String::new())))
        .collect();
    assert_eq!(
        collect_pairs(many.into_iter()),
        Err(SettingError::TooMany(65))
    );
}

#[test]
fn the_table_is_ascending_by_name_and_explains_everything() {
    assert!(SETTINGS.is_sorted_by(|a, b| a.name < b.name));
    for setting in SETTINGS {
        assert!(setting.documentation.ends_with('.'), "{}", setting.name);
        assert!(setting.documentation.len() > 20, "{}", setting.name);
    }
}

#[test]
fn spaces_around_a_value_do_not_count() {
    let settings = resolve(&[("segment.bytes", " 4096\t"), ("preallocate", "False ")]).unwrap();
    assert_eq!(settings.segment_bytes, 4096);
}

#[test]
fn a_value_is_told_with_all_places_that_have_one() {
    let defaults = TopicDefaults {
        flush: FlushMode::Os,
        ..TopicDefaults::default()
    };
    let given = BTreeMap::from([("max.message.bytes".to_owned(), "2000".to_owned())]);
    let settings = TopicSettings::resolve(&given, defaults).unwrap();
    let described = settings.describe(&given, defaults);
    let find = |name: &str| described.iter().find(|d| d.name == name).unwrap();
    let places = |name: &str| {
        let synonyms = find(name).synonyms.iter();
        synonyms
            .map(|s| (s.name, s.value.as_str(), s.source))
            .collect::<Vec<_>>()
    };
    let default = limits::BATCH_BYTES_DEFAULT.to_string();
    assert_eq!(
        places("max.message.bytes"),
        [
            ("max.message.bytes", "2000", Source::Topic),
            ("message.max.bytes", default.as_str(), Source::Default)
        ]
    );
    assert_eq!(find("max.message.bytes").source, Source::Topic);
    assert_eq!(find("max.message.bytes").value, "2000");
    assert_eq!(
        places("flush"),
        [
            ("flush", "os", Source::Node),
            ("flush", "sync", Source::Default)
        ]
    );
    assert_eq!(find("flush").source, Source::Node);
    assert_eq!(
        places("segment.bytes"),
        [("log.segment.bytes", "1073741824", Source::Default)]
    );
    assert_eq!(find("segment.bytes").source, Source::Default);
}

#[test]
fn a_topic_asks_for_no_more_replicas_than_it_has_and_a_default_may() {
    let defaults = TopicDefaults {
        min_insync_replicas: 3,
        ..TopicDefaults::default()
    };
    let check = |given: &[(&str, &str)], replicas| {
        let given = given
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let pairs: BTreeMap<_, _> = given.collect();
        let settings = TopicSettings::resolve(&pairs, defaults).unwrap();
        TopicSettings::check_replicas(&pairs, &settings, replicas)
            .map(|()| settings.min_in_sync(replicas))
            .map_err(|error| error.to_string())
    };
    let two = [("min.insync.replicas", "2")];
    assert_eq!(check(&two, 3), Ok(2));
    assert_eq!(check(&two, 2), Ok(2));
    let error = check(&two, 1).unwrap_err();
    assert!(
        error.contains("at most 1, the number of the topic's"),
        "{error}"
    );
    assert_eq!([1, 2, 3, 4].map(|n| check(&[], n)), [1, 2, 3, 3].map(Ok));
}
