//! Names that stand for each other: short forms, one name in several languages, and West African names as French, English and
//! Portuguese write them.

use std::collections::HashMap;
use std::sync::LazyLock;

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
    "eugene yevhen evgeny yevgeny evgenii evgeni yevgeni yevheniy eugen",
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
    // family names
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
    /// The place of a name's line.
    by_name: HashMap<&'static str, usize>,
    /// The same by the name's sound; none where names of two lines sound alike.
    by_sound: HashMap<String, Option<usize>>,
    /// What the first name of each line sounds like.
    sounds: Vec<String>,
}

static ROOTS: LazyLock<Roots> = LazyLock::new(|| {
    let mut roots = Roots {
        by_name: HashMap::new(),
        by_sound: HashMap::new(),
        sounds: Vec::with_capacity(NAMESAKES.len()),
    };
    for (line, names) in NAMESAKES.iter().enumerate() {
        for (index, name) in names.split(' ').enumerate() {
            let sound = sound(name);
            if index == 0 {
                roots.sounds.push(sound.clone());
            }
            roots.by_name.entry(name).or_insert(line);
            roots
                .by_sound
                .entry(sound)
                .and_modify(|known| *known = known.filter(|known| *known == line))
                .or_insert(Some(line));
        }
    }
    roots
});

/// Shortest sound that tells one name from another.
const TELLING: usize = 3;

/// A name as it sounds, or, where another stands for it, as that one does. A spelling that is in no list counts as the listed one that it
/// sounds like.
pub(crate) fn root_sound(name: &str) -> String {
    let line = ROOTS.by_name.get(name).copied();
    let own = sound(name);
    let line = line.or_else(|| {
        ROOTS
            .by_sound
            .get(&own)
            .copied()
            .flatten()
            .filter(|_| own.len() >= TELLING)
    });
    line.and_then(|line| ROOTS.sounds.get(line).cloned()).unwrap_or(own)
}
