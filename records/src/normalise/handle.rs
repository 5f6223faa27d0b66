//! Accounts on platforms.

use zeroize::Zeroizing;

use super::text::ascii;
use crate::kind::Platform;
use crate::rejection::Rejection;

/// Other words for a platform before a colon.
const ALIASES: &[(&str, Platform)] = &[
    ("fb", Platform::Facebook),
    ("ig", Platform::Instagram),
    ("insta", Platform::Instagram),
    ("live", Platform::Skype),
    ("snap", Platform::Snapchat),
    ("tg", Platform::Telegram),
    ("threads", Platform::Instagram),
    ("twitter", Platform::X),
    ("vkontakte", Platform::Vk),
];

/// Hosts, without `www.`, `m.` and the like, and whose accounts their paths name.
const HOSTS: &[(&str, Platform)] = &[
    ("discord.com", Platform::Discord),
    ("discordapp.com", Platform::Discord),
    ("facebook.com", Platform::Facebook),
    ("fb.com", Platform::Facebook),
    ("fb.me", Platform::Facebook),
    ("instagram.com", Platform::Instagram),
    ("linkedin.com", Platform::Linkedin),
    ("ok.ru", Platform::Ok),
    ("odnoklassniki.ru", Platform::Ok),
    ("onlyfans.com", Platform::Onlyfans),
    ("reddit.com", Platform::Reddit),
    ("snapchat.com", Platform::Snapchat),
    ("t.me", Platform::Telegram),
    ("telegram.me", Platform::Telegram),
    ("telegram.dog", Platform::Telegram),
    ("threads.net", Platform::Instagram),
    ("threads.com", Platform::Instagram),
    ("tiktok.com", Platform::Tiktok),
    ("twitter.com", Platform::X),
    ("vk.com", Platform::Vk),
    ("vk.ru", Platform::Vk),
    ("x.com", Platform::X),
    ("youtube.com", Platform::Youtube),
];

/// Hosts whose accounts are telephone numbers.
const PHONE_HOSTS: &[&str] = &["wa.me", "whatsapp.com", "viber.com", "viber.click"];

/// First parts of a path that are pages of the platform, posts, groups or invitations, on any platform.
pub(crate) const RESERVED: &[&str] = &[
    "about",
    "accounts",
    "add",
    "addemoji",
    "addlist",
    "addstickers",
    "addtheme",
    "boost",
    "c",
    "channel",
    "channels",
    "company",
    "compose",
    "dialog",
    "direct",
    "discover",
    "download",
    "events",
    "explore",
    "feed",
    "fundraisers",
    "gaming",
    "group",
    "groups",
    "hashtag",
    "help",
    "home",
    "home.php",
    "i",
    "im",
    "in",
    "intent",
    "invite",
    "jobs",
    "joinchat",
    "legal",
    "login",
    "login.php",
    "marketplace",
    "media",
    "messages",
    "music",
    "my",
    "notes",
    "notifications",
    "p",
    "pages",
    "people",
    "permalink.php",
    "photo",
    "photo.php",
    "photos",
    "playlist",
    "posts",
    "privacy",
    "profile",
    "profile.php",
    "proxy",
    "pub",
    "public",
    "r",
    "reel",
    "reels",
    "results",
    "school",
    "search",
    "setlanguage",
    "settings",
    "share",
    "share.php",
    "sharer",
    "sharer.php",
    "shorts",
    "signup",
    "socks",
    "spotlight",
    "stories",
    "story.php",
    "support",
    "tag",
    "terms",
    "tos",
    "tv",
    "u",
    "user",
    "users",
    "video",
    "videos",
    "wall",
    "watch",
];

/// `twitter.com/@JanVries?s=20` -> `x:janvries`; `@JanVries` takes the platform from the hints.
///
/// No platform here tells `Jan` from `jan`, so case is folded; only the id of a YouTube channel keeps it. Dots do not count at Facebook.
///
/// # Errors
///
/// - [`Rejection::HandlePlatformMissing`], [`Rejection::HandlePlatformUnknown`].
/// - [`Rejection::HandleNotValid`]: no name that the platform gives.
/// - [`Rejection::HandleNoAccount`]: a post, group, invitation or page.
/// - [`Rejection::HandleIsPhone`]: a telephone number.
/// - [`Rejection::SeveralValues`]: a list.
pub(crate) fn handle(raw: &str, platform: Option<Platform>) -> Result<Zeroizing<String>, Rejection> {
    let text = ascii(raw)?;
    let text = text.trim();
    let is_list = text.contains(['\n', '\r', '|', ';']) || text.contains(", ");
    if is_list {
        return Err(Rejection::SeveralValues);
    }
    if let Some(link) = link(text) {
        let (platform, name) = link?;
        return named(platform, &name);
    }
    if let Some((word, name)) = text.split_once(':')
        && let Some(named_platform) = platform_of(word.trim())
    {
        // live:name is a whole Skype name
        let name = if word.trim().eq_ignore_ascii_case("live") {
            text
        } else {
            name
        };
        let name = name.trim();
        return match link_within(name) {
            Some(link) => link.and_then(|(platform, name)| named(platform, &name)),
            None => named(named_platform, name),
        };
    }
    match platform {
        Some(platform) => named(platform, text),
        None if text.contains(':') || text.contains('/') => Err(Rejection::HandlePlatformUnknown),
        None => Err(Rejection::HandlePlatformMissing),
    }
}

fn platform_of(word: &str) -> Option<Platform> {
    let word = Zeroizing::new(word.to_ascii_lowercase());
    let alias = ALIASES.iter().find(|(alias, _)| *alias == word.as_str());
    alias.map(|(_, platform)| *platform).or_else(|| word.parse().ok())
}

type Link = Result<(Platform, Zeroizing<String>), Rejection>;

/// A link after `platform:`; a name with a dot and no slash is a name there.
fn link_within(text: &str) -> Option<Link> {
    text.contains('/').then(|| link(text)).flatten()
}

/// Platform and name of a web address; none if the text is no address of a host.
fn link(text: &str) -> Option<Link> {
    let (scheme, rest) = text
        .split_once("://")
        .map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
    if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("tg")) {
        let name = parameter(rest, "domain").or_else(|| parameter(rest, "id"));
        return Some(
            name.map(|name| (Platform::Telegram, owned(name)))
                .ok_or(Rejection::HandleNoAccount),
        );
    }
    let (host, path) = match rest.find(['/', '?', '#']) {
        Some(at) => rest.split_at_checked(at)?,
        None if scheme.is_some() => (rest, ""),
        None => return None,
    };
    if !host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
    {
        return None;
    }
    let host = Zeroizing::new(host.to_ascii_lowercase());
    let is_at = |known: &str| {
        host.strip_suffix(known)
            .is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
    };
    if PHONE_HOSTS.iter().any(|known| is_at(known)) {
        return Some(Err(Rejection::HandleIsPhone));
    }
    let Some((_, platform)) = HOSTS.iter().find(|(known, _)| is_at(known)) else {
        // u/name and the like are names
        let is_host = scheme.is_some() || host.contains('.');
        return is_host.then_some(Err(Rejection::HandlePlatformUnknown));
    };
    Some(
        account(*platform, path)
            .map(|name| (*platform, name))
            .ok_or(Rejection::HandleNoAccount),
    )
}

/// The account that a path on the platform names.
fn account(platform: Platform, path: &str) -> Option<Zeroizing<String>> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = path.split('#').next().unwrap_or(path);
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let first = Zeroizing::new(parts.next()?.to_ascii_lowercase());
    let second = parts.next();
    let name = match (platform, first.as_str()) {
        (Platform::Facebook, "profile.php") => parameter(query, "id"),
        (Platform::Facebook, "people") => parts.next().filter(|id| is_digits(id)),
        (Platform::Instagram, "stories") => second.filter(|name| *name != "highlights"),
        (Platform::Discord, "users") | (Platform::Ok, "profile") | (Platform::Linkedin, "in") => second,
        (Platform::Reddit, "u" | "user") | (Platform::Snapchat, "add") => second,
        (Platform::Telegram, "s") => second,
        (Platform::Youtube, "channel") => second,
        // other first parts are what a server or a site calls its own
        (Platform::Youtube, first) if !first.starts_with('@') => None,
        (Platform::Tiktok, first) if !first.starts_with('@') => None,
        (Platform::Discord | Platform::Linkedin | Platform::Reddit, _) => None,
        (Platform::Telegram, first) if first.starts_with('+') => None,
        (_, first) if RESERVED.contains(&first) => None,
        _ => path.split('/').find(|part| !part.is_empty()),
    };
    name.map(owned)
}

fn owned(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

/// The value of a parameter in a query, or after the `?` of a link.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let query = query.split_once('?').map_or(query, |(_, query)| query);
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        .filter(|value| !value.is_empty())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Puts platform and name together, if the platform gives such names.
fn named(platform: Platform, name: &str) -> Result<Zeroizing<String>, Rejection> {
    let name = name
        .split(['?', '#'])
        .next()
        .filter(|_| platform != Platform::Discord)
        .unwrap_or(name);
    let name = name.trim().trim_end_matches('/').trim_start_matches('@');
    let name = match platform {
        Platform::Reddit => ["/u/", "u/", "/user/"]
            .iter()
            .find_map(|start| name.strip_prefix(start))
            .unwrap_or(name),
        _ => name,
    };
    if name.strip_prefix('+').is_some_and(is_digits) {
        return Err(Rejection::HandleIsPhone);
    }
    let mut folded = owned(name);
    if !is_channel(platform, name) {
        folded.make_ascii_lowercase();
    }
    if platform == Platform::Facebook {
        folded.retain(|c| c != '.');
    }
    if !is_name(platform, &folded) {
        return Err(Rejection::HandleNotValid);
    }
    Ok(Zeroizing::new(format!("{platform}:{}", *folded)))
}

/// The id of a YouTube channel: UC and 22 characters of base64url.
fn is_channel(platform: Platform, name: &str) -> bool {
    platform == Platform::Youtube && name.len() == 24 && name.starts_with("UC")
}

/// Length and characters of names, as each platform states them for new accounts and allowed them before.
fn is_name(platform: Platform, name: &str) -> bool {
    let (lengths, others) = match platform {
        Platform::Telegram => (4..=32, "_"),
        Platform::Instagram => (1..=30, "._"),
        Platform::Facebook => (5..=50, ""),
        Platform::X => (1..=15, "_"),
        Platform::Tiktok => (2..=24, "._"),
        Platform::Snapchat => (3..=15, "._-"),
        Platform::Youtube => (3..=30, "._-"),
        Platform::Linkedin => (3..=100, "-_%"),
        Platform::Vk => (2..=32, "._"),
        Platform::Ok => (2..=32, "._-"),
        Platform::Discord => return is_discord(name),
        Platform::Reddit => (3..=20, "_-"),
        Platform::Onlyfans => (3..=24, "._-"),
        Platform::Signal => return is_signal(name),
        Platform::Wechat => (6..=28, "_-"),
        Platform::Skype => (6..=64, ".,_-:"),
    };
    lengths.contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

/// A name of today, or one of before 2023 with its four digits: `jan#1234`.
fn is_discord(name: &str) -> bool {
    let is_plain = |name: &str| {
        (2..=32).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
    };
    match name.split_once('#') {
        Some((name, tag)) => is_plain(name) && tag.len() == 4 && is_digits(tag),
        None => is_plain(name),
    }
}

/// A nickname and two digits or more: `jan.01`.
fn is_signal(name: &str) -> bool {
    name.split_once('.').is_some_and(|(nick, digits)| {
        (3..=32).contains(&nick.len())
            && nick.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && (2..=9).contains(&digits.len())
            && is_digits(digits)
    })
}
