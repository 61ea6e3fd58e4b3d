//! The language in which messages are written down.
//!
//! ```text
//! schema! {
//!     /// Documentation.
//!     Name {
//!         /// Documentation.
//!         field: Type = default, in 3..=7, nullable 5.., tag 0;
//!     }
//! }
//! ```
//!
//! Fields stand in the order of the wire. After `in` come the versions that have the field; encoding a value
//! other than the default in a version without it is an error. `ignorable` in place of `in` lets it be
//! dropped. `= default`, `nullable` (for `Option`s: versions that allow null) and `tag` (a tagged field;
//! ascending within a structure) may be left out. The type decides the form on the wire, see `Wire`.

macro_rules! schema {
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
    (@tag) => { None::<u32> };
    (@tag $tag:literal) => { Some::<u32>($tag) };
    (@contains $version:expr,) => { false };
    (@contains $version:expr, $range:expr) => { ($range).contains(&$version) };
    (@absent ignorable $name:ident $field:ident $version:expr, $value:expr, $ty:ty, $default:expr) => {};
    (@absent in $name:ident $field:ident $version:expr, $value:expr, $ty:ty, $default:expr) => {
        let default: $ty = $default;
        if $value != default {
            let reason = $crate::EncodeReason::NotInVersion($version);
            return Err($crate::EncodeError::new(reason)
                .or_at(stringify!($name), stringify!($field)));
        }
    };

    ($(
        $(#[$meta:meta])*
        $name:ident {
            $(
                $(#[$field_meta:meta])*
                $field:ident : $ty:ty $(= $default:expr)?,
                $mode:ident $present:expr
                $(, nullable $nullable:expr)?
                $(, tag $tag:literal)? ;
            )*
        }
    )+) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $ty, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $crate::schema::schema!(@default $($default)?), )* }
            }
        }

        #[cfg(feature = "test-util")]
        impl $crate::generate::Generate for $name {
            fn generate(
                source: &mut $crate::generate::Source<'_>,
                layout: $crate::schema::Layout,
            ) -> Self {
                let mut value = Self::default();
                $(
                    if ($present).contains(&layout.version) {
                        let layout = layout.nullable(
                            $crate::schema::schema!(@contains layout.version, $($nullable)?),
                        );
                        value.$field = $crate::generate::Generate::generate(source, layout);
                    }
                )*
                value
            }
        }

        impl $crate::schema::Wire for $name {
            fn min_len(layout: $crate::schema::Layout) -> usize {
                let mut len = usize::from(layout.flexible);
                $(
                    if $crate::schema::schema!(@tag $($tag)?).is_none() && ($present).contains(&layout.version) {
                        len += <$ty as $crate::schema::Wire>::min_len(layout);
                    }
                )*
                len
            }

            fn read(
                r: &mut $crate::Reader,
                layout: $crate::schema::Layout,
            ) -> Result<Self, $crate::DecodeError> {
                let mut value = Self::default();
                $(
                    if $crate::schema::schema!(@tag $($tag)?).is_none() && ($present).contains(&layout.version) {
                        let layout = layout.nullable(
                            $crate::schema::schema!(@contains layout.version, $($nullable)?),
                        );
                        value.$field = $crate::schema::Wire::read(r, layout)
                            .map_err(|e| e.or_at(stringify!($name), stringify!($field)))?;
                    }
                )*
                if layout.flexible {
                    r.tagged(|r, tag| {
                        // Structures without tagged fields of their own skip all they meet.
                        let _ = (&r, tag);
                        $(
                            if $crate::schema::schema!(@tag $($tag)?) == Some(tag)
                                && ($present).contains(&layout.version)
                            {
                                let layout = layout.nullable(
                                    $crate::schema::schema!(@contains layout.version, $($nullable)?),
                                );
                                value.$field = $crate::schema::Wire::read(r, layout)
                                    .map_err(|e| e.or_at(stringify!($name), stringify!($field)))?;
                                return Ok(true);
                            }
                        )*
                        Ok(false)
                    })
                    .map_err(|e| e.or_at(stringify!($name), "tagged fields"))?;
                }
                Ok(value)
            }

            fn write(
                &self,
                w: &mut $crate::Writer,
                layout: $crate::schema::Layout,
            ) -> Result<(), $crate::EncodeError> {
                $(
                    if !($present).contains(&layout.version) {
                        $crate::schema::schema!(
                            @absent $mode $name $field layout.version, self.$field, $ty,
                            $crate::schema::schema!(@default $($default)?)
                        );
                    } else if $crate::schema::schema!(@tag $($tag)?).is_none() {
                        let layout = layout.nullable(
                            $crate::schema::schema!(@contains layout.version, $($nullable)?),
                        );
                        $crate::schema::Wire::write(&self.$field, w, layout)
                            .map_err(|e| e.or_at(stringify!($name), stringify!($field)))?;
                    }
                )*
                if layout.flexible {
                    let mut tags = $crate::primitives::writer::Tags::default();
                    $(
                        let default: $ty = $crate::schema::schema!(@default $($default)?);
                        if let Some(tag) = $crate::schema::schema!(@tag $($tag)?)
                            && ($present).contains(&layout.version)
                            && self.$field != default
                        {
                            let layout = layout.nullable(
                                $crate::schema::schema!(@contains layout.version, $($nullable)?),
                            );
                            tags.put(tag, |w| $crate::schema::Wire::write(&self.$field, w, layout))
                                .map_err(|e| e.or_at(stringify!($name), stringify!($field)))?;
                        }
                    )*
                    w.tags(tags);
                }
                Ok(())
            }

            fn error_codes(&self, found: &mut dyn FnMut($crate::ErrorCode)) {
                let _ = &found;
                $( $crate::schema::Wire::error_codes(&self.$field, found); )*
            }
        }
    )+ };
}

pub(crate) use schema;
