//! Pictures that own users lead: run, listed, shown and followed up.

mod follow_up;
mod service;
mod told;

pub(crate) use service::OwnPictures;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use jiff::Timestamp;
use overlap_audit::{Operation, Outcome};
use overlap_proto::{
    operator,
    pb::operator::{self as pb, run_picture_response::Message},
    picture::{AboutPicture, Run},
};
use overlap_report::{Form, Picture};
use overlap_store::{KeptPicture, StoreError};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use uuid::Uuid;

use crate::{
    dataset_service::dataset_entry,
    error::{NodeError, one_of},
    node::{Node, now},
    policy::{self, Denial, LeadTerms, Permit, User},
    pool::blocking,
    retention,
    rules::Action,
    session::{
        committed,
        picture::{Lead, Step},
    },
    spine::{self, Finding, Opened},
    trace::TraceContext,
};

/// Bytes of a picture in one message.
const PIECE: usize = 256 << 10;

/// Messages that wait for the user's side.
const QUEUE: usize = 64;

/// Items done from which on it is told how quickly, where sizes are not.
const LARGE: u64 = 1000;

/// The pictures that this node leads now.
#[derive(Default)]
pub(crate) struct Running(Mutex<BTreeMap<Uuid, UnderWay>>);

/// A picture under way.
struct UnderWay {
    summary: pb::PictureSummary,
    /// When each participant began with the phase that it is in.
    began: BTreeMap<String, (&'static str, Instant)>,
}

type Out = mpsc::Sender<Result<pb::RunPictureResponse, Status>>;

/// Leads a picture and streams what the user sees. It goes on when the user hangs up.
pub(crate) fn run(
    node: &Arc<Node>,
    user: User,
    wish: Run,
    trace: Option<TraceContext>,
) -> impl tokio_stream::Stream<Item = Result<pb::RunPictureResponse, Status>> + Send + use<> {
    let (out, stream) = mpsc::channel(QUEUE);
    let running = Arc::clone(node);
    node.queries.spawn(async move {
        let idle = running.config.limits.idle_stream;
        let told = lead(&running, &user, &wish, trace, out.clone()).await;
        match told {
            Err(error) => drop(timeout(idle, out.send(Err(error.to_status()))).await),
            Ok(json) => {
                for piece in pieces(&json) {
                    let message = Message::Told(piece);
                    let sent = timeout(idle, out.send(Ok(response(message)))).await;
                    if !matches!(sent, Ok(Ok(()))) {
                        return;
                    }
                }
            }
        }
    });
    ReceiverStream::new(stream)
}

fn response(message: Message) -> pb::RunPictureResponse {
    pb::RunPictureResponse { message: Some(message) }
}

fn pieces(json: &str) -> impl Iterator<Item = Bytes> + '_ {
    json.as_bytes().chunks(PIECE).map(Bytes::copy_from_slice)
}

/// Leads a picture to its end, and gives what it tells, as it is kept.
async fn lead(
    node: &Arc<Node>,
    user: &User,
    wish: &Run,
    trace: Option<TraceContext>,
    out: Out,
) -> Result<String, NodeError> {
    let judging = (Arc::clone(node), user.clone(), wish.clone());
    let decision = blocking(move || {
        let (node, user, wish) = judging;
        policy::authorise_lead(&node, &user, &wish, trace, now())
    })
    .await?;
    let (decision, _sessions) = match decision.and_then(|permit| places(node, permit)) {
        Ok((permit, sessions)) => (committed(node, permit, Permit::<LeadTerms>::commit).await?, sessions),
        Err(denial) => (Err(denial), Vec::new()),
    };
    // what the report is made of is needed after the session has ended
    let about = decision.as_ref().ok().map(|permit| told::About::of(permit, now()));
    let id = decision.as_ref().ok().map(|permit| permit.entry().transaction);
    let _listed = id.map(|id| Listed { node, id });
    let progress = {
        let node = Arc::clone(node);
        // a user that reads slowly, or no more, misses steps of progress and holds up nothing
        move |opened: &Opened<LeadTerms>, step: Step<'_>| tell(&node, opened, &step, &out)
    };
    let mut made = spine::run(node, decision, Lead { progress }).await?;
    let about = about.ok_or(NodeError::Broken("a picture that nobody permitted was made"))?;
    let own = made.own.take();
    // which small counts can be told may take a while to find out
    let (about, picture) = blocking(move || {
        let picture = about.picture(&made);
        (about, picture)
    })
    .await?;
    let json = serde_json::to_string(&picture).map_err(|_| NodeError::Broken("a picture cannot be written"))?;
    let row = KeptPicture {
        told: Some(json.clone()),
        ..about.row
    };
    let store = Arc::clone(&node.store);
    blocking(move || {
        if let Some(own) = own {
            own.keep(&store)?;
        }
        store.pictures().put(&row)
    })
    .await??;
    Ok(json)
}

/// One of the sessions that each peer may have under way.
#[allow(clippy::type_complexity)]
fn places(
    node: &Node,
    permit: Permit<LeadTerms>,
) -> Result<(Permit<LeadTerms>, Vec<tokio::sync::OwnedSemaphorePermit>), Box<Denial>> {
    let invited = permit.terms().invited.iter();
    let sessions: Result<Vec<_>, _> = invited.map(|one| node.session_with(&one.peer.id)).collect();
    match sessions {
        Ok(sessions) => Ok((permit, sessions)),
        Err(error) => Err(permit.deny(error)),
    }
}

/// Takes a picture off the list of those under way.
struct Listed<'a> {
    node: &'a Node,
    id: Uuid,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.node.running.change(|running| drop(running.remove(&self.id)));
    }
}

impl Running {
    fn change(&self, change: impl FnOnce(&mut BTreeMap<Uuid, UnderWay>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn all(&self) -> Vec<pb::PictureSummary> {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.values().map(|one| one.summary.clone()).collect()
    }
}

fn tell(node: &Node, opened: &Opened<LeadTerms>, step: &Step<'_>, out: &Out) {
    let (terms, entry) = (opened.terms(), opened.entry());
    let id = entry.transaction;
    let message = match step {
        Step::Admitted => {
            let summary = pb::PictureSummary {
                id: operator::id(id),
                state: "running".to_owned(),
                as_holder: false,
                led_by: node.config.name.clone(),
                agreement: terms.open.query.agreement.clone(),
                purpose: terms.open.query.purpose.clone(),
                case_reference: terms.open.query.case_reference.clone(),
                form: terms.open.query.word().to_owned(),
                made: entry.started.to_string(),
                expires: terms.open.expires.to_string(),
                progress: Vec::new(),
            };
            let began = BTreeMap::new();
            node.running
                .change(|running| drop(running.insert(id, UnderWay { summary, began })));
            Message::Admitted(pb::PictureAdmitted {
                transaction: operator::id(id),
                entry: operator::id(entry.id),
                agreement: terms.open.query.agreement.clone(),
                kinds: entry.kinds.clone(),
            })
        }
        Step::Round(round, names) => {
            let opening = |name: &&str| pb::PictureProgress {
                participant: (*name).to_owned(),
                phase: "opening".to_owned(),
                ..pb::PictureProgress::default()
            };
            let progress: Vec<_> = names.iter().map(opening).collect();
            node.running.change(|running| {
                if let Some(under_way) = running.get_mut(&id) {
                    under_way.summary.progress = progress;
                    under_way.began.clear();
                }
            });
            Message::Round(pb::PictureRound {
                round: *round,
                participants: names.iter().map(|name| (*name).to_owned()).collect(),
            })
        }
        Step::Progress(name, phase, done, whole) => {
            let items = (*done, *whole);
            let permille = (done * 1000).checked_div(*whole).unwrap_or(1000);
            // steps that are too fine would tell the size by how many there are
            let (permille, done, total) = match terms.min_count {
                0 | 1 => (permille, *done, *whole),
                _ => (permille / 100 * 100, 0, 0),
            };
            let mut progress = pb::PictureProgress {
                participant: (*name).to_owned(),
                phase: (*phase).to_owned(),
                permille: u32::try_from(permille).unwrap_or(1000),
                done,
                total,
                ..pb::PictureProgress::default()
            };
            node.running.change(|running| {
                let Some(under_way) = running.get_mut(&id) else {
                    return;
                };
                let rate = under_way.rate(name, phase, items.0);
                // of a small set it would be the size
                if terms.min_count <= 1 || items.0 >= LARGE {
                    progress.items_per_second = two_digits(rate);
                    progress.seconds_left = two_digits((items.1 - items.0.min(items.1)) as f64 / rate.max(1.0));
                }
                let known = under_way.summary.progress.iter_mut();
                if let Some(known) = known.into_iter().find(|one| one.participant == *name) {
                    known.clone_from(&progress);
                }
            });
            Message::Progress(progress)
        }
        Step::Dropped(name, error) => Message::Dropped(pb::PictureDropped {
            participant: (*name).to_owned(),
            why: error.to_string(),
        }),
    };
    let _ = out.try_send(Ok(response(message)));
}

impl UnderWay {
    /// Items per second of the phase that a participant is in.
    fn rate(&mut self, name: &str, phase: &'static str, done: u64) -> f64 {
        // the last message ends the phase that it is counted in
        let phase = if phase == "done" { "sending" } else { phase };
        let began = self.began.entry(name.to_owned());
        let began = began.or_insert_with(|| (phase, Instant::now()));
        if began.0 != phase {
            *began = (phase, Instant::now());
        }
        // the first of a phase comes as it begins
        done as f64 / began.1.elapsed().as_secs_f64().max(0.5)
    }
}

/// Rounded to two significant digits.
fn two_digits(value: f64) -> u64 {
    let unit = 10f64.powf((value.max(1.0).log10().floor() - 1.0).max(0.0));
    ((value / unit).round() * unit) as u64
}

/// Pictures under way, and those that are kept.
pub(crate) async fn list(node: &Arc<Node>, user: &User) -> Result<pb::ListPicturesResponse, NodeError> {
    node.permit(user, Action::ReadPictures)?;
    let running = Arc::clone(node);
    let kept = blocking(move || {
        let gone = retention::Gone::at(&running, now());
        let rows = running.store.pictures().iter()?;
        let rows: Vec<KeptPicture> = rows.collect::<Result<_, _>>()?;
        let kept = rows.into_iter().filter(|row| !gone.is_picture(row));
        kept.map(|row| summary(&running, &row))
            .collect::<Result<Vec<_>, StoreError>>()
    });
    let mut pictures = node.running.all();
    pictures.extend(kept.await??);
    pictures.sort_by(|one, other| other.made.cmp(&one.made));
    Ok(pb::ListPicturesResponse { pictures })
}

fn summary(node: &Node, row: &KeptPicture) -> Result<pb::PictureSummary, StoreError> {
    let side = match row.as_holder {
        true => overlap_audit::Side::Holder,
        false => overlap_audit::Side::Asker,
    };
    // an entry that was shredded says no more than that there was a picture
    let entry = match node.store.log().entry_of(side, row.id)? {
        Some(id) => match node.store.log().entry(id) {
            Ok(logged) => logged.map(|logged| logged.entry),
            Err(StoreError::Shredded) => None,
            Err(error) => return Err(error),
        },
        None => None,
    };
    let led_by = entry.as_ref().and_then(|entry| entry.asker.clone()).unwrap_or_default();
    let peer = node.config.peers.iter().find(|peer| peer.id == led_by);
    let text =
        |read: fn(&overlap_audit::Entry) -> Option<&String>| entry.as_ref().and_then(read).cloned().unwrap_or_default();
    Ok(pb::PictureSummary {
        id: operator::id(row.id),
        state: "kept".to_owned(),
        as_holder: row.as_holder,
        led_by: match (row.as_holder, peer) {
            (false, _) => node.config.name.clone(),
            (true, Some(peer)) => peer.name.clone(),
            (true, None) => led_by,
        },
        agreement: text(|entry| entry.agreement.as_ref()),
        purpose: text(|entry| entry.purpose.as_ref()),
        case_reference: text(|entry| entry.case_reference.as_ref()),
        form: text(|entry| entry.mode.as_ref()),
        made: row.made.to_string(),
        expires: row.expires.to_string(),
        progress: Vec::new(),
    })
}

/// A picture that this node led, by the first digits of its id.
fn find(node: &Node, digits: &str, now: Timestamp) -> Result<KeptPicture, NodeError> {
    let gone = retention::Gone::at(node, now);
    let mut meant = Vec::new();
    for row in node.store.pictures().iter()? {
        let row = row?;
        if row.told.is_some() && row.id.simple().to_string().starts_with(digits) && !gone.is_picture(&row) {
            meant.push(row);
        }
    }
    one_of(meant, "picture", "overlap picture status")
}

/// What a kept picture told; an entry.
pub(crate) async fn show(
    node: &Arc<Node>,
    user: &User,
    wish: AboutPicture,
) -> Result<Vec<Result<pb::ShowPictureResponse, Status>>, NodeError> {
    let (looking, digits) = (Arc::clone(node), wish.picture);
    let row = blocking(move || find(&looking, &digits, now())).await?;
    let mut entry = dataset_entry(node, user, Operation::Consultation, "");
    entry.dataset = None;
    entry.reason = Some(wish.reason);
    entry.about = row.as_ref().ok().map(|row| row.id);
    let permitted = node.permit(user, Action::ReadPictures);
    let row = match permitted.and_then(|role| row.map(|row| (role, row))) {
        Ok((role, row)) => {
            entry.role = Some(role.name().to_owned());
            row
        }
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    };
    spine::logged(node, entry, async move {
        let json = row.told.unwrap_or_default();
        let told = pieces(&json).map(|told| Ok(pb::ShowPictureResponse { told })).collect();
        Ok((Outcome::Done, Finding::default(), told))
    })
    .await
}

/// What a picture told, read again.
fn parse(row: &KeptPicture) -> Result<Picture, NodeError> {
    let told = row.told.as_deref().unwrap_or_default();
    serde_json::from_str(told).map_err(|_| NodeError::Store(StoreError::Damaged("a kept picture cannot be read")))
}

fn is_operational(picture: &Picture) -> bool {
    picture.form == Form::Operational
}
