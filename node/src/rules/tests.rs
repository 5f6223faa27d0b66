use super::*;

fn user(roles: &[Role]) -> User {
    User {
        id: "spiffe://politie.example/user/a".to_owned(),
        roles: roles.iter().copied().collect(),
        certificate: Digest([0; 32]),
    }
}

fn query() -> Query {
    Query {
        peer: "kmar".into(),
        purpose: "thb-investigation".into(),
        case_reference: "1".into(),
        mode: "hits".into(),
        kinds: vec!["phone".into()],
        roles: vec!["suspect".into()],
        set_size: 5,
        has_order: false,
        is_approved: false,
        on_behalf_of: None,
    }
}

const CASES: Resource<'_> = Resource::Dataset {
    name: "cases",
    orders_only: false,
};

#[test]
fn the_defaults_hold_and_give_the_least() {
    let rules = Rules::parse(DEFAULT, b"").unwrap();
    let now = "2026-11-26T09:00:00Z".parse().unwrap();
    let may = |role, action: &str, resource, query: Option<&Query>| {
        rules.permit(&user(&[role]), action, resource, query, now).is_ok()
    };
    assert!(may(Role::Analyst, "ask", CASES, Some(&query())));
    assert!(!may(Role::Operator, "ask", CASES, Some(&query())));
    assert!(!may(Role::Auditor, "read_hits", Resource::Node("politie"), None));
    assert!(!may(
        Role::Functionary,
        "propose_agreement",
        Resource::Node("politie"),
        None
    ));
    for action in Action::ALL {
        let resource = match action.is_on_dataset() {
            true => CASES,
            false => Resource::Node("politie"),
        };
        let able = Role::ALL
            .into_iter()
            .filter(|role| may(*role, action.name(), resource, None));
        assert!((1..Role::ALL.len() + 1).contains(&able.count()), "{}", action.name());
    }
    let refused = rules.permit(&user(&[Role::Auditor]), "ask", CASES, Some(&query()), now);
    let refused = refused.unwrap_err().to_string();
    assert_eq!(refused, "this needs the role analyst or coordinator");
}

#[test]
fn a_rule_that_forbids_is_named_with_its_advice() {
    let text = format!(
        "{DEFAULT}\n@id(\"office-hours\") @advice(\"ask between 7 and 19\")\n\
        forbid (principal, action in [Action::\"ask\", Action::\"answer\"], resource) when {{ context.hour < 7 || context.hour >= 19 }};"
    );
    let rules = Rules::parse(&text, b"").unwrap();
    let at = |time: &str| {
        let now = time.parse().unwrap();
        rules.permit(
            &user(&[Role::Operator, Role::Analyst]),
            "ask",
            CASES,
            Some(&query()),
            now,
        )
    };
    assert_eq!(at("2026-11-26T09:00:00Z").unwrap(), Role::Analyst);
    let refused = at("2026-11-26T23:00:00Z").unwrap_err().to_string();
    assert_eq!(
        refused,
        "the policy forbids it (rule office-hours): ask between 7 and 19"
    );
    let asker = Asker {
        id: "spiffe://overlap.example/agency/kmar",
        name: "kmar",
        country: "NL",
    };
    let night = "2026-11-26T23:00:00Z".parse().unwrap();
    assert!(!rules.peer(&asker, "answer", CASES, &query(), night).unwrap().is_allowed);
    assert_ne!(rules.hash, Rules::parse(DEFAULT, b"").unwrap().hash);
}

#[test]
fn policies_that_do_not_hold_are_refused() {
    for (text, words) in [
        ("permit (principal, action, resource);", "each rule needs a name"),
        (
            "@id(\"a\") permit (principal, action == Action::\"fly\", resource);",
            "fly",
        ),
        (
            "@id(\"a\") permit (principal, action == Action::\"ask\", resource) when { context.hours < 3 };",
            "hours",
        ),
        ("@id(\"a\") permit (principal, action", "unexpected"),
        (
            "@id(\"a\") permit (principal, action, resource); @id(\"a\") permit (principal, action, resource);",
            "two rules have the name a",
        ),
    ] {
        let error = Rules::parse(text, b"").err().unwrap().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}
