//! Waiting until those who take part can be checked.

use std::time::{Duration, Instant};

use overlap_proto::pb::operator as pb;

use crate::{
    client::{self, Failure},
    output::Output,
    settings::Settings,
};

#[derive(clap::Args)]
pub(crate) struct Wait {
    /// While the action runs, seconds to wait at most until all who have joined can be checked; 0: do not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=3600))]
    wait: u16,
}

/// How often is looked.
const AGAIN: Duration = Duration::from_millis(200);

impl Wait {
    /// Waits until the links of an action that runs stand; gives it as it is then.
    pub(super) async fn until_ready(
        self,
        settings: &Settings,
        mut told: pb::Action,
        output: &Output,
    ) -> Result<pb::Action, Failure> {
        let until = Instant::now() + Duration::from_secs(self.wait.into());
        let bar = output.bar("{spinner} {msg}");
        bar.enable_steady_tick(Duration::from_millis(100));
        let mut client = client::actions(settings).await?;
        while told.state == "running" && Instant::now() < until {
            let missing: Vec<&str> = told
                .partners
                .iter()
                .filter(|one| is_awaited(one))
                .map(|one| one.name.as_str())
                .collect();
            if missing.is_empty() {
                break;
            }
            bar.set_message(format!("waiting until {} can be checked", missing.join(", ")));
            tokio::time::sleep(AGAIN).await;
            let wish = pb::ListActionsRequest {
                action: hex::encode(&told.hash),
            };
            let listed = client.list(wish).await?.into_inner();
            let Some(mut now) = listed.actions.into_iter().next() else {
                break;
            };
            // whether each has heard of the step is told once
            for (now, before) in now.partners.iter_mut().zip(&told.partners) {
                now.heard.clone_from(&before.heard);
            }
            told = now;
        }
        bar.finish_and_clear();
        Ok(told)
    }
}

/// Whether a partner takes part, may be checked by this agency, and cannot be yet.
fn is_awaited(partner: &pb::ActionPartner) -> bool {
    let link = partner.link.as_str();
    partner.has_joined && !matches!(link, "own" | "ready") && !link.starts_with("no grant")
}
