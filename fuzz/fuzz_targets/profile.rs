//! Profile files, and scores under what they say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlap_records::{Agreed, Hints, Identifier, Kind, Profile, Sizes};

fuzz_target!(|text: &str| {
    let Ok(profile) = Profile::parse(text) else { return };
    assert_eq!(Profile::parse(text).map(|again| again.hash()), Ok(profile.hash()));
    let Ok(person) = Identifier::normalise(Kind::Person, "Jan van den Berg|1985-02-23", &Hints::default()) else {
        return;
    };
    let agreed: Vec<Agreed> = person
        .match_keys(&profile)
        .iter()
        .map(|key| Agreed {
            key: key.key(),
            own: 1,
            peer: 1,
        })
        .collect();
    let score = profile.score(&person, &agreed, Sizes { own: 1000, peer: 1000 });
    assert!(!score.is_nan());
});
