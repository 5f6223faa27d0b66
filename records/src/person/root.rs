//! Names that stand for each other: short forms, one name in several languages, and West African names as French, English and
//! Portuguese write them.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use zeroize::Zeroizing;

use super::sound::sound;

/// Each line is one name; the first spelling stands for all. Common knowledge, kept short on purpose: a name belongs here if people
/// with it are registered under either form.
pub(crate) const NAMESAKES: &[&str] = &[
    "johannes jan john johan hans johann jean juan ivan giovanni ioan ion jon johnny jack yan",
    "willem william bill billy will willy willie wilhelm wim guillaume guillermo",
    "jacob jacobus james jim jimmy jacques jakob jaap sjaak jaime yakub yakov",
    "robert bob bobby rob robbie roberto bert",
    "richard dick rich rick ricardo rik",
    "charles karel carl karl charlie carlos carlo",
    "thomas tom tommy tomas tomasz",
    "edward ed eddie ted teddy ned eduard edvard",
    "frederick fred freddie frederic frederik friedrich fritz freek frits",
    "henry harry hendrik henk heinrich henri hank enrique",
    "joseph joe jozef josef jos joey jose yosef yusuf youssef",
    "michael mike mick michel michal mikhail mykhailo michiel miguel mihai misha",
    "samuel sam sammy",
    "benjamin ben benny",
    "daniel dan danny",
    "david dave davey dawud dawood daoud daud davud",
    "arthur art arturo",
    "albert al bertie alberto",
    "anton anthony tony antonius toon antonio anatoly",
    "nicholas nick nicolaas klaas nikolai mykola nicolas nicolae mikolaj",
    "peter piet pieter pete petrus pierre pedro petro pyotr piotr petr petar",
    "paul paulus pavel pavlo pablo paolo pawel",
    "cornelis kees cees cornelius cor",
    "gerard gerrit gerhard gerardus",
    "george georg joris georgios jorge jerzy heorhii georgy yurii yuri iurii jurij",
    "gregory greg hryhorii grigory",
    "alexander alex aleksandr oleksandr alexandru sasha alexandre alejandro sander",
    "andrew andreas andries andrei andrii andriy andrzej andre drew andy",
    "stephen steven steve stefan stepan stephan",
    "matthew matthijs matt matthias mateusz matthieu",
    "christopher chris christoffel christophe",
    "vladimir volodymyr vladimirs wladimir",
    "dmitry dmytro dimitri dmitrii dymitr dima",
    "sergey serhii sergei serhiy sergiu",
    "eugene yevhen yevgen ievgen ievhen evgen evgeny yevgeny evgenii evgeni yevgeni yevheniy eugen",
    "mohammed mhmd muhammad mehmet mohamed",
    "elizabeth elisabeth liz lizzie betty beth bess els elsje eliza jelizaveta yelyzaveta",
    "catharina katherine catherine kate kathy katie kaat trijntje katarzyna kateryna ekaterina katja",
    "margaretha margaret maggie peggy meg greta margriet malgorzata margarita",
    "mary maria marie marija mariia mariya molly polly",
    "anna ann anne hanna hannah ganna annie nancy anneke",
    "helena helen ellen elena olena yelena nelly",
    "dorothy dora dorothea dolly",
    "sarah sally sara sadie",
    "susanna susan suzanne sue susie",
    "johanna joanna jane joan jeanne giovanna hansje",
    "theodore theo theodor fedor fedir",
    "victoria viktoriia vicky viktoria",
    "julia yulia yuliia iuliia juliya yuliya iuliya julija julie",
    "natalia nataliia natalya natasha natalie",
    "xenia kseniia ksenia oksana",
    "abraham abe bram ibrahim ebrahim ibrahima brahim",
    "lawrence larry laurens laurentius",
    "leonard leo len lennard",
    "philip phil philippe filip",
    "patrick pat paddy patricius",
    "alfred alf fred",
    "walter wouter wally wat",
    "jamal gamal djamel jamel djamal cemal",
    "jamila gamila djamila cemile",
    "khadija hadija khadidja hatice kadija khadijah",
    "aisha aicha aysha ayse aissatou aissata",
    "fatima fatma fatimah fatoumata fatou fatimata",
    "omar umar oumar omer",
    "osman uthman othman ousmane usman othmane",
    "chukwuemeka emeka",
    "chukwuebuka ebuka",
    "ikechukwu ike",
    "oluwaseun seun",
    "oluwatobi tobi",
    "olufemi oluwafemi femi",
    "olusegun segun",
    "babatunde tunde",
    "ifeoma ify",
    "cheikh sheikh cheick shaykh shekh cheikhou",
    // family names
    "gaddafi qaddafi kadhafi khadafi qadhafi gadhafi kaddafi",
    "diallo jallow jalloh djalo jalo dialo",
    "ouattara watara wattara",
    "ouedraogo wedraogo",
    "traore trawally",
    "toure touray turay",
    "cisse ceesay sesay sissay",
    "camara kamara",
    "conte conteh konte konteh",
    "ndiaye njie njay",
    "diop jobe diob",
    "diarra jarra jara",
    "dieng jeng",
    "diatta jatta",
    "gueye gaye geye",
    "drame darame drammeh",
    "sane sanneh saneh",
    "diabate jabateh diabateh",
    "barry barrie bari",
    "sow so",
    "ba bah",
];

struct Roots {
    /// What the first name of a name's line sounds like.
    by_name: HashMap<&'static str, Zeroizing<String>>,
    /// The same by the name's own sound, where that tells it from the names of other lines.
    by_sound: HashMap<String, Zeroizing<String>>,
}

static ROOTS: LazyLock<Roots> = LazyLock::new(|| {
    let (mut by_name, mut by_sound) = (HashMap::new(), HashMap::<String, BTreeSet<String>>::new());
    for names in NAMESAKES {
        let root = sound(names.split(' ').next().unwrap_or_default());
        for name in names.split(' ') {
            by_name.entry(name).or_insert_with(|| root.clone());
            let own = sound(name);
            if consonants(&own) >= TELLING {
                by_sound.entry(own.to_string()).or_default().insert(root.to_string());
            }
        }
    }
    let telling = by_sound.into_iter().filter(|(_, roots)| roots.len() == 1);
    let telling = telling.filter_map(|(own, roots)| Some((own, Zeroizing::new(roots.into_iter().next()?))));
    Roots {
        by_name,
        by_sound: telling.collect(),
    }
});

/// Fewest consonants that tell one name from another.
const TELLING: usize = 4;

fn consonants(sound: &str) -> usize {
    sound.trim_start_matches('a').len()
}

/// A name as it sounds, or, where another stands for it, as that one does. A spelling that is in no list counts as the listed one that it
/// sounds like. An article that was written to a name (`Elamrani`, `Abdulrahman`) counts no more than one that was not (`El Amrani`).
pub(crate) fn root_sound(name: &str) -> Zeroizing<String> {
    if let Some(root) = ROOTS.by_name.get(name) {
        return root.clone();
    }
    let own = match name.strip_prefix("abd") {
        // apart, since dj and dh are one sound each
        Some(rest) => Zeroizing::new([sound("abd").as_str(), sound(behind_abd(rest)).as_str()].concat()),
        None => sound(behind_article(name)),
    };
    ROOTS.by_sound.get(own.as_str()).cloned().unwrap_or(own)
}

/// Shortest name that is taken to stand behind an article, in letters.
const BEHIND_ARTICLE: usize = 5;

/// A name without the article that was written to it.
fn behind_article(name: &str) -> &str {
    let rest = ["al", "el", "il", "ul"]
        .iter()
        .find_map(|article| name.strip_prefix(article));
    rest.filter(|rest| rest.len() >= BEHIND_ARTICLE).unwrap_or(name)
}

/// What `Abd` goes on with, without the article: `ulrahman`, `urrahman` and `rahman` are one.
fn behind_abd(rest: &str) -> &str {
    let open = rest.trim_start_matches(['a', 'e', 'i', 'o', 'u']);
    if open.len() == rest.len() {
        return rest;
    }
    // the article's l, or the letter that it takes from the name behind it
    let doubled = open.chars().next().filter(|first| open.chars().nth(1) == Some(*first));
    open.strip_prefix('l')
        .or_else(|| open.strip_prefix(doubled?))
        .unwrap_or(rest)
}
