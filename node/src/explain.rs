//! Which rules of the local policy decide on what.

use std::collections::BTreeSet;

use overlap_proto::pb::operator as pb;

use crate::{
    agreements::invalid,
    config::Role,
    error::NodeError,
    node::{Node, now},
    policy::User,
    rules::{Action, Asker, Query, Resource, Verdict},
};

/// Which rules decide on a request that is made up.
pub(crate) fn explain_policy(
    node: &Node,
    user: &User,
    wish: pb::ExplainPolicyRequest,
) -> Result<pb::ExplainPolicyResponse, NodeError> {
    node.permit(user, Action::ExplainPolicy)?;
    let at = match wish.at.as_str() {
        "" => now(),
        text => text.parse().map_err(|_| invalid(&"at: must be a time in RFC 3339"))?,
    };
    let query = Query {
        peer: if wish.as_peer.is_empty() {
            wish.peer
        } else {
            wish.as_peer.clone()
        },
        purpose: wish.purpose,
        case_reference: "(made up)".to_owned(),
        mode: wish.mode,
        kinds: wish.kinds,
        roles: wish.roles,
        set_size: wish.set_size.min(i64::MAX.unsigned_abs()),
        has_order: wish.with_order,
        is_approved: wish.approved,
        on_behalf_of: (!wish.on_behalf_of.is_empty()).then_some(wish.on_behalf_of),
    };
    let dataset = Resource::Dataset {
        name: &wish.dataset,
        orders_only: node.config.is_orders_only(&wish.dataset),
    };
    let rules = node.rules.load();
    let verdict: Verdict = if !wish.as_peer.is_empty() {
        let peer = node.config.peers.iter().find(|peer| peer.name == wish.as_peer);
        let peer = peer.ok_or_else(|| invalid(&"as_peer: must be the name of a peer"))?;
        let agreements = node.agreements.in_force(at);
        let country = agreements
            .iter()
            .find_map(|held| held.agreement().party(&peer.id).map(|party| party.country.clone()));
        let peer_action = match wish.action.as_str() {
            "" | "ask" | "answer" => "answer",
            "disclose" => "disclose",
            _ => return Err(invalid(&"action: of a peer must be answer or disclose")),
        };
        let asker = Asker {
            id: &peer.id,
            name: &peer.name,
            country: country.as_deref().unwrap_or_default(),
        };
        rules.peer(&asker, peer_action, dataset, &query, at)?
    } else {
        let roles = wish.as_roles.iter().map(|name| {
            let role = Role::ALL.into_iter().find(|role| role.name() == name);
            role.ok_or_else(|| invalid(&"as_roles: must be roles"))
        });
        let roles: BTreeSet<Role> = roles.collect::<Result<_, _>>()?;
        let user = User {
            roles: if roles.is_empty() { user.roles.clone() } else { roles },
            ..user.clone()
        };
        match wish.action.as_str() {
            "" => rules.user(&user, "ask", dataset, Some(&query), at)?,
            action @ ("ask" | "follow_up") => rules.user(&user, action, dataset, Some(&query), at)?,
            "lead" => {
                let resource = Resource::Node(&node.config.name);
                rules.user(&user, "lead", resource, Some(&query), at)?
            }
            name => {
                let action =
                    Action::named(name).ok_or_else(|| invalid(&"action: must be one of the policy's schema"))?;
                let resource = match action.is_on_dataset() {
                    true => dataset,
                    false => Resource::Node(&node.config.name),
                };
                rules.user(&user, action.name(), resource, None, at)?
            }
        }
    };
    Ok(pb::ExplainPolicyResponse {
        is_allowed: verdict.is_allowed,
        rules: verdict
            .rules
            .into_iter()
            .map(|rule| pb::PolicyRule {
                id: rule.id,
                effect: if rule.is_forbid { "forbid" } else { "permit" }.to_owned(),
                advice: rule.advice,
                text: rule.text,
            })
            .collect(),
        policy_hash: rules.hash.0.to_vec().into(),
    })
}
