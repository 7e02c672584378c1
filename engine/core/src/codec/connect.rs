//! CONNECT, as far as the engine may settle it: plain wishes of an anonymous client (reference: wire protocol 1.5).
//!
//! `read` says `None` for everything else: credentials, unusual members or types, what the rules forbid. The control plane
//! judges those. So a mistake here can only cost time, never let somebody in.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserializer as _, IgnoredAny, MapAccess, Visitor};

use crate::conn::Wishes;

/// What an anonymous client asks for.
#[derive(Debug, PartialEq)]
pub struct Connect<'a> {
    /// The flags.
    pub wishes: Wishes,
    /// 0 or 1.
    pub protocol: u8,
    /// What the client calls itself.
    pub name: Cow<'a, str>,
    /// Its language.
    pub lang: Cow<'a, str>,
    /// Its version.
    pub version: Cow<'a, str>,
}

/// Reads a CONNECT that asks for nothing unusual.
pub fn read(json: &[u8], headers_supported: bool) -> Option<Connect<'_>> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let connect = reader.deserialize_map(Members).ok()?;
    reader.end().ok()?;
    let headers = connect.wishes.headers && headers_supported;
    if connect.wishes.no_responders && !headers {
        return None;
    }
    Some(Connect { wishes: Wishes { headers, ..connect.wishes }, ..connect })
}

struct Members;

/// Members that change who somebody is. Empty, as clients like to send them, they change nothing.
const CREDENTIALS: [&str; 8] = ["user", "pass", "auth_token", "jwt", "sig", "nkey", "proxy_sig", "account"];

impl<'de> Visitor<'de> for Members {
    type Value = Connect<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the members of CONNECT")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Connect<'de>, M::Error> {
        let mut connect = Connect {
            wishes: Wishes::default(),
            protocol: 0,
            name: Cow::default(),
            lang: Cow::default(),
            version: Cow::default(),
        };
        while let Some(Text(key)) = members.next_key()? {
            let wishes = &mut connect.wishes;
            match &*key {
                "verbose" => wishes.verbose = members.next_value()?,
                "pedantic" => wishes.pedantic = members.next_value()?,
                "echo" => wishes.echo = members.next_value()?,
                "headers" => wishes.headers = members.next_value()?,
                "no_responders" => wishes.no_responders = members.next_value()?,
                "tls_required" => drop(members.next_value::<bool>()?),
                "protocol" => match members.next_value()? {
                    protocol @ (0 | 1) => connect.protocol = protocol,
                    _ => return Err(de::Error::custom("unusual protocol")),
                },
                "name" => connect.name = members.next_value::<Text<'_>>()?.0,
                "lang" => connect.lang = members.next_value::<Text<'_>>()?.0,
                "version" => connect.version = members.next_value::<Text<'_>>()?.0,
                known if CREDENTIALS.contains(&known) => {
                    if !members.next_value::<Text<'_>>()?.0.is_empty() {
                        return Err(de::Error::custom("credentials"));
                    }
                }
                other if is_other_spelling(other) => return Err(de::Error::custom("unusual spelling")),
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(connect)
    }
}

/// Members count in any case (reference: wire protocol 0.3), and some letters fold into others.
fn is_other_spelling(key: &str) -> bool {
    const KNOWN: [&str; 11] = [
        "verbose",
        "pedantic",
        "echo",
        "headers",
        "no_responders",
        "tls_required",
        "protocol",
        "name",
        "lang",
        "version",
        "new_account",
    ];
    !key.is_ascii() || KNOWN.iter().chain(&CREDENTIALS).any(|known| known.eq_ignore_ascii_case(key))
}

/// A string, borrowed where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> de::Deserialize<'de> for Text<'de> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Appends a JSON string.
pub fn push_json_string(out: &mut Vec<u8>, text: &str) {
    // Writing a string to memory cannot fail.
    drop(serde_json::to_writer(out, text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_usually_send_is_understood() {
        let json = br#"{"verbose":false,"pedantic":false,"tls_required":false,"user":"","name":"a\"b","lang":"go",
            "version":"1.2","protocol":1,"echo":true,"headers":true,"no_responders":true,"extra":{"a":[1]}}"#;
        let connect = read(json, true).unwrap();
        assert_eq!((&*connect.name, &*connect.lang, connect.protocol), ("a\"b", "go", 1));
        assert!(!connect.wishes.verbose && connect.wishes.headers && connect.wishes.no_responders);
        let nothing = read(b"{}", true).unwrap();
        assert!(nothing.wishes.verbose && nothing.wishes.pedantic && nothing.wishes.echo && !nothing.wishes.headers);
    }

    #[test]
    fn everything_unusual_goes_up() {
        let unusual: [&[u8]; 14] = [
            br#"{"user":"a"}"#,
            br#"{"auth_token":"x"}"#,
            br#"{"protocol":2}"#,
            br#"{"Verbose":true}"#,
            br#"{"no_responders":true}"#,
            br#"{"verbose":1}"#,
            br#"{"name":null}"#,
            b"{",
            b"",
            b"null",
            b"[]",
            br#"{"new_account":true}"#,
            br#"{"account":"x"}"#,
            br#"{} x"#,
        ];
        for json in unusual {
            assert_eq!(read(json, true), None, "{}", String::from_utf8_lossy(json));
        }
        assert_eq!(read(br#"{"no_responders":true,"headers":true}"#, false), None);
        assert!(!read(br#"{"headers":true}"#, false).unwrap().wishes.headers);
    }
}
