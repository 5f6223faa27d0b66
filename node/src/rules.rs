//! The local policy: rules in Cedar, read from a file or the defaults, checked against the schema that ships with the node.

mod action;

pub(crate) use action::Action;

use std::{collections::BTreeSet, fmt, str::FromStr as _};

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Effect, Entities, EntityUid, Policy, PolicyId, PolicySet,
    Request, Schema, ValidationMode, Validator,
};
use jiff::{Timestamp, tz::TimeZone};
use overlap_audit::Digest;
use overlap_proto::fault::Reason;
use serde_json::{Value, json};

use crate::{config::Role, error::NodeError, identity::sha256, policy::User};

/// The policy that a node has unless its configuration names another.
pub(crate) const DEFAULT: &str = include_str!("../policy/default.cedar");
const SCHEMA: &str = include_str!("../policy/schema.cedarschema");

/// Longest text of a policy.
const MOST_BYTES: usize = 64 << 10;
/// Stack for reading one; taken from the system only as far as it is used.
const STACK: usize = 1 << 30;

/// A checked policy.
pub(crate) struct Rules {
    set: PolicySet,
    schema: Schema,
    /// SHA-256 over the policy, the users with their roles, the datasets' marks and the limits: part of every entry.
    pub(crate) hash: Digest,
}

/// What an action is on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Resource<'a> {
    Node(&'a str),
    Dataset { name: &'a str, orders_only: bool },
}

/// What rules can know of a query.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) peer: String,
    pub(crate) purpose: String,
    pub(crate) case_reference: String,
    pub(crate) mode: String,
    pub(crate) kinds: Vec<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) set_size: u64,
    pub(crate) has_order: bool,
    /// Whether another user of this node has approved it.
    pub(crate) is_approved: bool,
    pub(crate) on_behalf_of: Option<String>,
}

/// Another agency, as a principal.
pub(crate) struct Asker<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) country: &'a str,
}

/// What the rules say.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) is_allowed: bool,
    /// The role that it was judged in, of an own user.
    pub(crate) role: Option<Role>,
    /// Those that decided; none with a refusal: no rule allows it.
    pub(crate) rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) is_forbid: bool,
    pub(crate) advice: String,
    pub(crate) text: String,
}

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RulesError(String);

impl Rules {
    /// Reads a policy. `rest` is what else makes up the policy in force.
    pub(crate) fn parse(text: &str, rest: &[u8]) -> Result<Self, RulesError> {
        // the parser goes as deep as the text does, and an overflow of the stack would end the node: so the text is short, and the stack long
        if text.len() > MOST_BYTES {
            return Err(RulesError(format!("a policy has {MOST_BYTES} bytes at most")));
        }
        std::thread::scope(|scope| {
            let parsing = std::thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, || Self::parse_here(text, rest));
            let parsed =
                parsing.map_err(|error| RulesError(format!("the system gave no thread to read it: {error}")))?;
            parsed
                .join()
                .unwrap_or_else(|_| Err(RulesError("it cannot be read".to_owned())))
        })
    }

    fn parse_here(text: &str, rest: &[u8]) -> Result<Self, RulesError> {
        let wrong = |error: &dyn fmt::Display| RulesError(error.to_string());
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA).map_err(|error| wrong(&error))?;
        let parsed = PolicySet::from_str(text).map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            RulesError(errors.join("; "))
        })?;
        if parsed.templates().next().is_some() {
            return Err(RulesError(
                "templates are not used here: write the rules out".to_owned(),
            ));
        }
        let mut set = PolicySet::new();
        for policy in parsed.policies() {
            let id = policy
                .annotation("id")
                .filter(|id| !id.trim().is_empty())
                .ok_or_else(|| {
                    let words: Vec<_> = policy
                        .to_cedar()
                        .unwrap_or_default()
                        .split_whitespace()
                        .map(str::to_owned)
                        .collect();
                    let start: String = words.join(" ").chars().take(60).collect();
                    RulesError(format!(
                        "each rule needs a name, @id(\"...\"); one has none: {start} ..."
                    ))
                })?;
            set.add(policy.new_id(PolicyId::new(id)))
                .map_err(|_| RulesError(format!("two rules have the name {id}")))?;
        }
        let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        if !result.validation_passed() {
            let errors: Vec<_> = result.validation_errors().map(ToString::to_string).collect();
            return Err(RulesError(errors.join("; ")));
        }
        let hash = sha256(&[sha256(text.as_bytes()).0.as_slice(), rest].concat());
        Ok(Self { set, schema, hash })
    }

    /// How many rules there are.
    pub(crate) fn len(&self) -> usize {
        self.set.policies().count()
    }

    /// Judges an own user, in each of the user's roles until one may.
    pub(crate) fn user(
        &self,
        user: &User,
        action: &str,
        resource: Resource<'_>,
        query: Option<&Query>,
        now: Timestamp,
    ) -> Result<Verdict, NodeError> {
        let mut last = None;
        for role in &user.roles {
            let verdict = self.in_role(&user.id, *role, action, resource, query, now)?;
            if verdict.is_allowed {
                return Ok(verdict);
            }
            // a rule that forbids says more than that none allows
            if last.as_ref().is_none_or(|last: &Verdict| last.rules.is_empty()) {
                last = Some(verdict);
            }
        }
        Ok(last.unwrap_or(Verdict {
            is_allowed: false,
            role: None,
            rules: Vec::new(),
        }))
    }

    /// The role in which a user may; otherwise the refusal, with the name of the rule.
    pub(crate) fn permit(
        &self,
        user: &User,
        action: &str,
        resource: Resource<'_>,
        query: Option<&Query>,
        now: Timestamp,
    ) -> Result<Role, NodeError> {
        let verdict = self.user(user, action, resource, query, now)?;
        if let (true, Some(role)) = (verdict.is_allowed, verdict.role) {
            return Ok(role);
        }
        if !verdict.rules.is_empty() {
            return Err(refusal(&verdict));
        }
        let mut able = Vec::new();
        for role in Role::ALL {
            if self.in_role(&user.id, role, action, resource, query, now)?.is_allowed {
                able.push(role.name());
            }
        }
        Err(match able.as_slice() {
            [] => NodeError::refused(
                Reason::PolicyDenied,
                format!("no rule of the policy allows {action} to anybody"),
            ),
            able => NodeError::refused(Reason::RoleDenied, format!("this needs the role {}", able.join(" or "))),
        })
    }

    /// Judges a peer that asks about an own dataset.
    pub(crate) fn peer(
        &self,
        asker: &Asker<'_>,
        action: &str,
        resource: Resource<'_>,
        query: &Query,
        now: Timestamp,
    ) -> Result<Verdict, NodeError> {
        let principal = json!({
            "uid": { "type": "Agency", "id": asker.id },
            "attrs": { "name": asker.name, "country": asker.country },
            "parents": [],
        });
        self.decide(
            ("Agency", asker.id),
            vec![principal],
            action,
            resource,
            Some(query),
            now,
        )
    }

    fn in_role(
        &self,
        id: &str,
        role: Role,
        action: &str,
        resource: Resource<'_>,
        query: Option<&Query>,
        now: Timestamp,
    ) -> Result<Verdict, NodeError> {
        let parent = json!({ "type": "Role", "id": role.name() });
        let principal = vec![
            json!({ "uid": { "type": "User", "id": id }, "attrs": {}, "parents": [parent] }),
            json!({ "uid": parent, "attrs": {}, "parents": [] }),
        ];
        let verdict = self.decide(("User", id), principal, action, resource, query, now)?;
        Ok(Verdict {
            role: Some(role),
            ..verdict
        })
    }

    fn decide(
        &self,
        principal: (&str, &str),
        mut entities: Vec<Value>,
        action: &str,
        resource: Resource<'_>,
        query: Option<&Query>,
        now: Timestamp,
    ) -> Result<Verdict, NodeError> {
        // values that no schema foresees would be a fault of this code: nothing is allowed then
        const BROKEN: NodeError = NodeError::Broken("a request does not fit the schema of policies");
        let uid = |kind: &str, id: &str| {
            EntityUid::from_json(json!({ "__entity": { "type": kind, "id": id } })).map_err(|_| BROKEN)
        };
        let (kind, name, attributes) = match resource {
            Resource::Node(name) => ("Node", name, json!({})),
            Resource::Dataset { name, orders_only } => ("Dataset", name, json!({ "orders_only": orders_only })),
        };
        entities.push(json!({ "uid": { "type": kind, "id": name }, "attrs": attributes, "parents": [] }));
        let entities = Entities::from_json_value(Value::Array(entities), Some(&self.schema)).map_err(|_| BROKEN)?;
        let action = uid("Action", action)?;
        let context =
            Context::from_json_value(context(query, now), Some((&self.schema, &action))).map_err(|_| BROKEN)?;
        let request = Request::new(
            uid(principal.0, principal.1)?,
            action,
            uid(kind, name)?,
            context,
            Some(&self.schema),
        );
        let request = request.map_err(|_| BROKEN)?;
        let response = Authorizer::new().is_authorized(&request, &self.set, &entities);
        // a rule that cannot be evaluated might have forbidden it
        let failed: Vec<PolicyId> = response
            .diagnostics()
            .errors()
            .map(|error| match error {
                AuthorizationError::PolicyEvaluationError(error) => error.policy_id().clone(),
            })
            .collect();
        let is_allowed = response.decision() == Decision::Allow && failed.is_empty();
        let decided: Vec<PolicyId> = match failed.is_empty() {
            true => response.diagnostics().reason().cloned().collect(),
            false => failed,
        };
        let rules = decided.iter().filter_map(|id| self.set.policy(id)).map(rule).collect();
        Ok(Verdict {
            is_allowed,
            role: None,
            rules,
        })
    }
}

/// The refusal that a verdict is, with the names of its rules.
pub(crate) fn refusal(verdict: &Verdict) -> NodeError {
    let ids: BTreeSet<&str> = verdict.rules.iter().map(|rule| rule.id.as_str()).collect();
    let message = match verdict.rules.first() {
        None => "no rule of the policy allows it".to_owned(),
        Some(first) => {
            let ids = ids.into_iter().collect::<Vec<_>>().join(", ");
            let advice = match first.advice.as_str() {
                "" => String::new(),
                advice => format!(": {advice}"),
            };
            format!("the policy forbids it (rule {ids}){advice}")
        }
    };
    NodeError::refused(Reason::PolicyDenied, message)
}

fn rule(policy: &Policy) -> Rule {
    Rule {
        id: policy.id().to_string(),
        is_forbid: policy.effect() == Effect::Forbid,
        advice: policy.annotation("advice").unwrap_or_default().to_owned(),
        text: policy.to_string(),
    }
}

fn context(query: Option<&Query>, now: Timestamp) -> Value {
    let utc = TimeZone::UTC.to_datetime(now);
    let weekday = utc.strftime("%A").to_string().to_lowercase();
    // Cedar takes milliseconds and no more
    let time = utc.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
    let mut context = json!({
        "time": { "__extn": { "fn": "datetime", "arg": time } },
        "hour": utc.hour(),
        "weekday": weekday,
    });
    if let (Some(query), Some(fields)) = (query, context.as_object_mut()) {
        let words = [
            ("peer", &query.peer),
            ("purpose", &query.purpose),
            ("case_reference", &query.case_reference),
            ("mode", &query.mode),
        ];
        fields.extend(words.map(|(name, value)| (name.to_owned(), json!(value))));
        fields.insert("kinds".to_owned(), json!(query.kinds));
        fields.insert("roles".to_owned(), json!(query.roles));
        fields.insert("set_size".to_owned(), json!(query.set_size));
        fields.insert("has_order".to_owned(), json!(query.has_order));
        fields.insert("is_approved".to_owned(), json!(query.is_approved));
        fields.insert(
            "on_behalf_of".to_owned(),
            json!(query.on_behalf_of.as_deref().unwrap_or_default()),
        );
    }
    context
}

#[cfg(test)]
mod tests;
