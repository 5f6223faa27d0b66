//! What operators rely on: checks before the start, health, reflection for those who may, and nothing personal where it does not belong.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

use overlap_integration_tests::{Agreement, Ran, World};
use tokio_stream::StreamExt;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

/// Values that must turn up nowhere but in answers to the agency's own users.
const CANARIES: [&str; 6] = [
    "06-31827364",
    "+31631827364",
    "canary@example.org",
    "kanarie",
    "Kanarie",
    "DOSSIER-CANARY",
];
const CSV: &str = "ref;phone;email;given;family;born\n\
    DOSSIER-CANARY;06-31827364;canary@example.org;Piet;Kanarie;1980-02-01\n\
    b;geen;niemand;;;\n";

async fn channel(world: &World, user: &str) -> Channel {
    let agency = world.agency("politie");
    let read = |name: &str| fs::read(agency.file(name)).unwrap();
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read("users/ca.pem")))
        .identity(Identity::from_pem(
            read(&format!("people/{user}.pem")),
            read(&format!("people/{user}.key")),
        ));
    let endpoint = Endpoint::from_shared(format!("https://{}", agency.operator)).unwrap();
    endpoint.tls_config(tls).unwrap().connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection() {
    let world = World::of_two("ref;phone\na;06-10000001\n", "ref;phone\na;06-10000001\n");
    let mut health = HealthClient::new(channel(&world, "auditor").await);
    let service = "overlap.operator.v1.OperatorService".to_owned();
    let status = health
        .check(HealthCheckRequest { service })
        .await
        .unwrap()
        .into_inner()
        .status;
    assert_eq!(status, ServingStatus::Serving as i32);

    let list = || {
        let message_request = Some(MessageRequest::ListServices(String::new()));
        tokio_stream::once(ServerReflectionRequest {
            host: String::new(),
            message_request,
        })
    };
    let mut allowed = ServerReflectionClient::new(channel(&world, "operator").await);
    let mut answers = allowed.server_reflection_info(list()).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(listed)) = answers.next().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services")
    };
    assert!(
        listed
            .service
            .iter()
            .any(|service| service.name == "overlap.operator.v1.OperatorService")
    );
    for user in ["analyst", "stranger"] {
        let mut refused = ServerReflectionClient::new(channel(&world, user).await);
        let status = refused.server_reflection_info(list()).await.unwrap_err();
        assert!(
            matches!(
                status.code(),
                tonic::Code::PermissionDenied | tonic::Code::Unauthenticated
            ),
            "{status:?}"
        );
    }
}

fn assert_no_canary(what: &str, bytes: &[u8]) {
    for canary in CANARIES {
        assert!(
            !bytes.windows(canary.len()).any(|window| window == canary.as_bytes()),
            "{what} holds {canary}"
        );
    }
}

fn assert_no_canary_in_files(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => assert_no_canary_in_files(&path),
            false => assert_no_canary(path.to_str().unwrap(), &fs::read(&path).unwrap()),
        }
    }
}

#[test]
fn nothing_personal_in_traces_errors_or_on_disk() {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement::between("politie", "kmar"));
    world.configure();
    for name in ["politie", "kmar"] {
        world.start(name);
        let (file, mapping) = world.write_export(name, CSV);
        let rejects = world.agency(name).file("rejects.csv");
        let ran = world.import_file(
            name,
            "operator",
            &file,
            &mapping,
            &["--rejects", rejects.to_str().unwrap()],
        );
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_no_canary("import", format!("{}{}", ran.stdout, ran.stderr).as_bytes());
        assert_no_canary("rejects", &fs::read(&rejects).unwrap());
        assert!(fs::read_to_string(&rejects).unwrap().lines().count() > 1);
    }
    let hits = world.ask("hits", &[]).json();
    assert_eq!(hits["count"], 2);
    assert_eq!(hits["candidates"].as_array().unwrap().len(), 1);
    assert_eq!(
        hits["hits"][0]["reference"], "DOSSIER-CANARY",
        "the own analyst sees the own record"
    );
    for name in ["politie", "kmar"] {
        assert_no_canary(
            "log entries",
            world.run(name, "auditor", &["--json", "log", "list"]).stdout.as_bytes(),
        );
        world.agency_mut(name).stop();
        assert_no_canary("traces", world.agency(name).log().as_bytes());
        assert_no_canary_in_files(&world.agency(name).file("state"));
    }
}

#[test]
fn a_configuration_is_checked_before_it_runs() {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement::between("politie", "kmar"));
    world.configure();
    let config = world.agency("politie").file("node.toml");
    let check = || Ran::overlap_node(&["--config", config.to_str().unwrap(), "--check"]);
    let ran = check();
    assert_eq!(ran.code, 0, "{ran:?}");
    for words in [
        "politie is spiffe://overlap.example/agency/politie",
        "peer kmar",
        "agreements pin its key",
    ] {
        assert!(ran.stdout.contains(words), "{ran:?}");
    }
    let good = fs::read_to_string(&config).unwrap();
    let cases = [
        (good.replace("state = ", "sate = "), "unknown field `sate`"),
        (
            good.replace("agency/politie\"\ncountry", "agency/iszw\"\ncountry"),
            "must be the URI in the node's certificate",
        ),
        (good.replace("node.key", "operator.key"), "node.pem"),
        (good.replace("\"data.key\"", "\"nothing.key\""), "nothing.key"),
        (good.replace("federation-ca.crl", "data.key"), "data.key"),
        (
            good.replace("[log]", "[limits]\nsessions_per_peer = 0\n[log]"),
            "limits.sessions_per_peer must be 1 to 1000000",
        ),
        ("name = \"a\"".to_owned(), "missing field"),
    ];
    for (text, words) in cases {
        fs::write(&config, text).unwrap();
        let ran = check();
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    }
    fs::write(&config, &good).unwrap();
    let secret = world.agency("politie").file("data.key");
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(check().stderr.contains("chmod 600"));
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    // what agreements have to pin is told
    let told = check().stdout;
    for thumbprint in [
        world.agency("politie").thumbprint(),
        world.agency("politie").signing_thumbprint(),
    ] {
        assert!(told.contains(&thumbprint), "{told}");
    }
    let _ = &mut world;
}

#[test]
fn usage_errors_teach() {
    let no_node = Ran::overlap(&["dataset", "list"]);
    assert_eq!(no_node.code, 2);
    assert!(
        no_node.stderr.contains("--node is not given") && no_node.stderr.contains("cli.toml"),
        "{no_node:?}"
    );
    assert_eq!(Ran::overlap(&["match"]).code, 2);
    assert_eq!(Ran::overlap(&["--help"]).code, 0);
    assert!(Ran::overlap(&["--help"]).stdout.contains("Exit codes"));
    assert!(Ran::overlap(&["completions", "bash"]).stdout.contains("_overlap"));

    let world = World::new(&["politie", "kmar"]);
    world.configure();
    let ran = world.run("politie", "operator", &["--json", "status"]);
    assert_eq!(ran.code, 4, "nobody listens: {ran:?}");
    assert_eq!(ran.failure()["error"], "unreachable");
}

#[test]
fn a_user_whose_certificate_is_refused_is_told_so() {
    let world = World::of_two("ref;phone\na;06-10000001\n", "ref;phone\na;06-10000001\n");
    let (own, other) = (world.agency("politie"), world.agency("kmar"));
    let status = |directory: &Path, user: &str| {
        let file = |name: String| directory.join(name).to_str().unwrap().to_owned();
        let ca = own.file("users/ca.pem");
        let (certificate, key) = (file(format!("people/{user}.pem")), file(format!("people/{user}.key")));
        let node = own.operator.to_string();
        let connection = [
            "--json",
            "--node",
            &node,
            "--ca",
            ca.to_str().unwrap(),
            "--certificate",
            &certificate,
            "--key",
            &key,
        ];
        Ran::overlap(&[&connection[..], &["status"]].concat())
    };
    assert_eq!(status(&own.directory, "analyst").code, 0);
    let foreign = status(&other.directory, "analyst");
    assert_eq!(foreign.code, 3, "{foreign:?}");
    assert!(foreign.stderr.contains("refused your certificate"), "{foreign:?}");
    let certificate = own.file("people/analyst.pem");
    world.pki(&[
        "revoke",
        "--ca",
        own.file("users").to_str().unwrap(),
        certificate.to_str().unwrap(),
    ]);
    own.signal(rustix::process::Signal::HUP);
    while !own.log().contains("were read again") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let revoked = status(&own.directory, "analyst");
    assert_eq!(revoked.code, 3, "{revoked:?}");
    assert!(revoked.stderr.contains("CertificateRevoked"), "{revoked:?}");
}

#[test]
fn one_file_holds_what_daily_commands_need() {
    let world = World::of_two("ref;phone\na;06-10000001\n", "ref;phone\na;06-10000001\n");
    let agency = world.agency("politie");
    let file = agency.file("cli.toml");
    let toml = format!(
        "node = \"{}\"\nca = \"users/ca.pem\"\ncertificate = \"people/analyst.pem\"\nkey = \"people/analyst.key\"\n",
        agency.operator
    );
    fs::write(&file, toml).unwrap();
    let status = Ran::overlap(&["--json", "--config", file.to_str().unwrap(), "status"]).json();
    assert_eq!(status["you"], "spiffe://politie.example/user/analyst");
    assert_eq!(status["roles"][0], "analyst");
    assert_eq!(status["peers"][0]["agreements"][0], "thb-2026");
}

#[test]
fn what_is_wrong_with_an_export_is_told_by_file_row_and_column() {
    let world = World::of_two("ref;phone\na;06-10000001\n", "ref;phone\na;06-10000001\n");
    let imported = world.import(
        "politie",
        "ref;phone;email\na;06-10000001;ok@example.org\nb;geen;niet goed\n;06-10000002;\n",
    );
    let summary = &imported["summary"];
    assert_eq!((&summary["rows"], &summary["records"]), (&3.into(), &1.into()));
    let rejects = imported["first_rejects"].as_array().unwrap();
    assert!(
        rejects[0]
            .as_str()
            .unwrap()
            .contains("export.csv row 3, column \"phone\""),
        "{rejects:?}"
    );

    let (file, mapping) = world.write_export("politie", "ref;phone\na;06-10000001\n");
    let import = |file: &Path, mapping: &Path| world.import_file("politie", "operator", file, mapping, &[]);
    fs::write(
        &mapping,
        "[record]\nreference = \"zaak\"\n[[identifier]]\nkind = \"phone\"\ncolumns = [\"phone\"]\n",
    )
    .unwrap();
    let ran = import(&file, &mapping);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("zaak") && ran.stderr.contains("export.csv"),
        "{ran:?}"
    );
    fs::write(&mapping, "[[identifier]]\nkind = \"fax\"\n").unwrap();
    assert_eq!(import(&file, &mapping).code, 2);
    assert_eq!(import(Path::new("/nonexistent.csv"), &mapping).code, 2);
}

#[test]
fn a_benchmark_prints_one_object() {
    for mode in ["hits", "count"] {
        let arguments = [
            "--json",
            "bench",
            "match",
            "--size",
            "1500",
            "--holder-size",
            "600",
            "--overlap",
            "0.2",
            "--mode",
            mode,
        ];
        let measured = Ran::overlap(&arguments).json();
        assert_eq!(
            (&measured["items"], &measured["holder_items"], &measured["common"]),
            (&1500.into(), &600.into(), &300.into())
        );
        assert!(measured["wall_seconds"].as_f64().unwrap() > 0.0);
        for cost in ["multiply", "hash_to_group", "encode", "decode"] {
            assert!(measured["unit_costs_us"][cost].as_f64().unwrap() > 0.0, "{cost}");
        }
        for party in measured["parties"].as_array().unwrap() {
            assert!(party["cpu_seconds"].is_f64() && party["peak_memory_bytes"].as_u64().unwrap() > 0);
            assert!(party["bytes_sent"].as_u64().unwrap() > 16 * 600, "{party}");
        }
    }
}
