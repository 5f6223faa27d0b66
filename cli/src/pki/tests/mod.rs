//! Authorities and certificates, checked with the verifiers that nodes use.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

use super::*;
use crate::files::write_data_key;

mod commands;

const NODE: &str = "spiffe://overlap.example/agency/politie";
const USER: &str = "spiffe://politie.example/user/a.visser";

#[test]
fn certificates_verify_as_what_they_are_for() {
    let (dir, authority) = authority();
    let node = issue(&authority, dir.path(), "node", node_subject(), NODE);
    let user = issue(&authority, dir.path(), "user", Subject::User, USER);

    assert_eq!(as_client(&authority, &node), Ok(()));
    assert_eq!(as_client(&authority, &user), Ok(()));
    for host in ["node.politie.example", "127.0.0.1", "::1"] {
        assert_eq!(as_server(&authority, &node, host), Ok(()), "{host}");
    }
    assert!(as_server(&authority, &node, "node.kmar.example").is_err());
    assert!(as_server(&authority, &user, "node.politie.example").is_err());
    let details = Details::read(&node.certificate).unwrap();
    assert_eq!(details.uri.as_deref(), Some(NODE));
}

#[test]
fn another_authority_is_not_believed() {
    let (dir, ours) = authority();
    let theirs = Authority::create(&dir.path().join("theirs"), "theirs", 3650).unwrap();
    let node = issue(&theirs, dir.path(), "node", node_subject(), NODE);
    assert!(as_client(&ours, &node).is_err());
    let error = ours.revoke(&node.certificate).unwrap_err();
    assert!(format!("{error:#}").contains("did not issue it"), "{error:#}");
}

#[test]
fn a_revoked_certificate_is_refused_and_stays_refused() {
    let (dir, authority) = authority();
    let leaves = issue(&authority, dir.path(), "leaves", Subject::User, USER);
    let stays = issue(&authority, dir.path(), "stays", node_subject(), NODE);
    let gone = issue(&authority, dir.path(), "gone", node_subject(), NODE);

    authority.revoke(&leaves.certificate).unwrap();
    authority.revoke(&leaves.certificate).unwrap();
    // the certificate itself is lost: the authority's copy does
    let copy = fs::read_dir(dir.path().join("ca/issued"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|copy| fs::read(copy).unwrap() == fs::read(&gone.certificate).unwrap())
        .unwrap();
    authority.revoke(&copy).unwrap();

    let again = Authority::open(&dir.path().join("ca")).unwrap();
    again.refresh_crl(7).unwrap();
    let (revoked, until) = again.crl_state().unwrap();
    assert_eq!(revoked, 2);
    assert!((until - OffsetDateTime::now_utc() - Duration::days(7)).abs() < Duration::minutes(1));
    assert!(as_client(&again, &leaves).unwrap_err().contains("Revoked"));
    assert!(as_server(&again, &gone, "127.0.0.1").unwrap_err().contains("Revoked"));
    assert_eq!(as_client(&again, &stays), Ok(()));
    assert_eq!(as_server(&again, &stays, "127.0.0.1"), Ok(()));

    // the next revocation keeps the seven days
    again.revoke(&stays.certificate).unwrap();
    let (revoked, until) = again.crl_state().unwrap();
    assert_eq!(revoked, 3);
    assert!((until - OffsetDateTime::now_utc() - Duration::days(7)).abs() < Duration::minutes(1));
    assert_eq!(mode(&again.crl()) & 0o400, 0o400);
}

#[test]
fn validity_of_certificates_and_lists_counts() {
    let (dir, authority) = authority();
    let now = OffsetDateTime::now_utc();
    let request = |from: Duration, to: Duration| Issue {
        not_before: now + from,
        not_after: now + to,
        ..Issue::for_days(Subject::User, USER, 1).unwrap()
    };
    let expired = authority
        .issue(&request(-Duration::days(3), -Duration::days(1)), dir.path(), "expired")
        .unwrap();
    let future = authority
        .issue(&request(Duration::days(1), Duration::days(3)), dir.path(), "future")
        .unwrap();
    assert!(as_client(&authority, &expired).unwrap_err().contains("Expired"));
    assert!(as_client(&authority, &future).unwrap_err().contains("NotValidYet"));

    let reversed = authority.issue(&request(Duration::days(3), Duration::days(1)), dir.path(), "reversed");
    assert!(reversed.unwrap_err().to_string().contains("before it begins"));
    let long = authority.issue(&request(Duration::ZERO, Duration::days(4000)), dir.path(), "long");
    assert!(long.unwrap_err().to_string().contains("outlive its authority"));

    let user = issue(&authority, dir.path(), "user", Subject::User, USER);
    authority
        .refresh_crl_between(now - Duration::days(3), now - Duration::days(1))
        .unwrap();
    assert!(
        as_client(&authority, &user)
            .unwrap_err()
            .contains("ExpiredRevocationList")
    );
    assert!(authority.refresh_crl_between(now, now).is_err());
    assert!(authority.refresh_crl(0).is_err());
}

#[test]
fn renewal_with_the_same_key_keeps_the_thumbprint() {
    let (dir, authority) = authority();
    let first = issue(&authority, dir.path(), "node", node_subject(), NODE);
    let request = |renew_key| Issue {
        renew_key,
        ..Issue::for_days(node_subject(), NODE, 30).unwrap()
    };
    let renewed = authority
        .issue(&request(Some(first.key.clone())), dir.path(), "node-2")
        .unwrap();
    assert_eq!((&renewed.key, &renewed.thumbprint), (&first.key, &first.thumbprint));
    assert!(!dir.path().join("node-2.key").exists());
    assert_ne!(
        fs::read(&renewed.certificate).unwrap(),
        fs::read(&first.certificate).unwrap()
    );

    // revoking the old one leaves the new one good
    authority.revoke(&first.certificate).unwrap();
    assert_eq!(as_client(&authority, &renewed), Ok(()));

    let fresh = authority.issue(&request(None), dir.path(), "node-3").unwrap();
    assert_ne!(fresh.thumbprint, first.thumbprint);
    assert_eq!(thumbprint(&fresh.certificate).unwrap(), fresh.thumbprint);

    fs::set_permissions(&first.key, fs::Permissions::from_mode(0o640)).unwrap();
    let error = authority
        .issue(&request(Some(first.key)), dir.path(), "node-4")
        .unwrap_err();
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn secrets_are_for_their_owner_and_nothing_is_overwritten() {
    let (dir, authority) = authority();
    let user = issue(&authority, dir.path(), "user", Subject::User, USER);
    let data_key = dir.path().join("new/data.key");
    write_data_key(&data_key).unwrap();
    let other_key = dir.path().join("other.key");
    write_data_key(&other_key).unwrap();

    for secret in [&dir.path().join("ca/ca.key"), &user.key, &data_key] {
        assert_eq!(mode(secret), 0o600, "{}", secret.display());
    }
    for made in ["ca", "ca/issued", "new"] {
        assert_eq!(mode(&dir.path().join(made)), 0o700, "{made}");
    }
    let line = fs::read_to_string(&data_key).unwrap();
    assert_eq!(line.len(), 65);
    assert_eq!(hex::decode(line.trim_end()).unwrap().len(), 32);
    assert_ne!(line, fs::read_to_string(&other_key).unwrap());

    let before = fs::read(&user.key).unwrap();
    let request = Issue::for_days(Subject::User, USER, 1).unwrap();
    for refused in [
        authority.issue(&request, dir.path(), "user").unwrap_err(),
        write_data_key(&data_key).unwrap_err(),
        Authority::create(&dir.path().join("ca"), "again", 1).err().unwrap(),
    ] {
        assert!(refused.to_string().contains("exists already"), "{refused}");
    }
    assert_eq!(fs::read(&user.key).unwrap(), before);

    // a certificate in the way leaves no key without one
    fs::write(dir.path().join("half.pem"), "").unwrap();
    authority.issue(&request, dir.path(), "half").unwrap_err();
    assert!(!dir.path().join("half.key").exists());
}

#[test]
fn bad_requests_say_what_is_wrong() {
    let (dir, authority) = authority();
    let node = |host: &str| Subject::Node {
        hosts: vec![host.to_owned()],
    };
    let long = format!("spiffe://{}/x", "a".repeat(256));
    for (subject, uri, why) in [
        (
            Subject::User,
            "https://politie.example/user/a",
            "does not start with spiffe://",
        ),
        (Subject::User, "spiffe://politie.example", "has no path"),
        (Subject::User, "spiffe://politie.example/", "empty"),
        (Subject::User, "spiffe://politie.example/user//a", "empty"),
        (Subject::User, "spiffe://politie.example/user/../a", "dots"),
        (Subject::User, "spiffe://politie.example/user/a b", "something else"),
        (Subject::User, "spiffe://Politie.example/user/a", "trust domain"),
        (Subject::User, "spiffe:///user/a", "trust domain"),
        (Subject::User, &long, "trust domain"),
        (Subject::Node { hosts: vec![] }, NODE, "at least one host"),
        (node("node.example:7700"), NODE, "without port"),
        (node("*.example"), NODE, "not a host"),
        (node("node.example."), NODE, "not a host"),
        (node(""), NODE, "not a host"),
    ] {
        let error = authority
            .issue(&Issue::for_days(subject, uri, 1).unwrap(), dir.path(), "bad")
            .unwrap_err();
        assert!(error.to_string().contains(why), "{uri}: {error}");
    }
    let request = Issue::for_days(Subject::User, USER, 1).unwrap();
    for stem in ["", "../up", ".hidden"] {
        authority.issue(&request, dir.path(), stem).unwrap_err();
    }
    Authority::create(&dir.path().join("unnamed"), " ", 1).err().unwrap();
    Authority::create(&dir.path().join("endless"), "endless", u32::MAX)
        .err()
        .unwrap();

    let error = Authority::open(&dir.path().join("nowhere")).err().unwrap();
    assert!(error.to_string().contains("overlap pki ca --dir"), "{error}");
    let error = thumbprint(&dir.path().join("ca/ca.key")).unwrap_err();
    assert!(format!("{error:#}").contains("no PEM certificate"), "{error:#}");
}

#[test]
fn an_authority_with_foreign_or_damaged_files_does_not_open_or_sign() {
    let (dir, ours) = authority();
    Authority::create(&dir.path().join("theirs"), "theirs", 30).unwrap();
    let user = issue(&ours, dir.path(), "user", Subject::User, USER);

    let our_crl = fs::read(ours.crl()).unwrap();
    fs::copy(dir.path().join("theirs/ca.crl"), ours.crl()).unwrap();
    let error = ours.revoke(&user.certificate).unwrap_err();
    assert!(format!("{error:#}").contains("was not signed by"), "{error:#}");
    fs::write(ours.crl(), our_crl).unwrap();
    ours.revoke(&user.certificate).unwrap();
    assert!(ours.revoke(&ours.certificate()).is_err());

    fs::copy(dir.path().join("theirs/ca.key"), dir.path().join("ca/ca.key")).unwrap();
    let error = Authority::open(&dir.path().join("ca")).err().unwrap();
    assert!(error.to_string().contains("is not the key of"), "{error}");
}

fn authority() -> (TempDir, Authority) {
    let dir = TempDir::new().unwrap();
    let authority = Authority::create(&dir.path().join("ca"), "Overlap test", 3650).unwrap();
    (dir, authority)
}

fn node_subject() -> Subject {
    Subject::Node {
        hosts: ["node.politie.example", "127.0.0.1", "::1"].map(str::to_owned).to_vec(),
    }
}

fn issue(authority: &Authority, out: &Path, stem: &str, subject: Subject, uri: &str) -> Issued {
    authority
        .issue(&Issue::for_days(subject, uri, 397).unwrap(), out, stem)
        .unwrap()
}

/// Verifies as a node does: CRL required and not expired.
fn as_client(authority: &Authority, issued: &Issued) -> Result<(), String> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(authority), Arc::new(ring::default_provider()))
        .with_crls([crl(authority)])
        .enforce_revocation_expiration()
        .build()
        .unwrap();
    let leaf = CertificateDer::from_pem_file(&issued.certificate).unwrap();
    verifier
        .verify_client_cert(&leaf, &[], UnixTime::now())
        .map(|_| ())
        .map_err(|error| format!("{error:?}"))
}

fn as_server(authority: &Authority, issued: &Issued, host: &'static str) -> Result<(), String> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(authority), Arc::new(ring::default_provider()))
        .with_crls([crl(authority)])
        .enforce_revocation_expiration()
        .build()
        .unwrap();
    let leaf = CertificateDer::from_pem_file(&issued.certificate).unwrap();
    let name = ServerName::try_from(host).unwrap();
    verifier
        .verify_server_cert(&leaf, &[], &name, &[], UnixTime::now())
        .map(|_| ())
        .map_err(|error| format!("{error:?}"))
}

fn roots(authority: &Authority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(authority.certificate()).unwrap())
        .unwrap();
    Arc::new(roots)
}

fn crl(authority: &Authority) -> CertificateRevocationListDer<'static> {
    CertificateRevocationListDer::from_pem_file(authority.crl()).unwrap()
}

fn mode(path: &PathBuf) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
