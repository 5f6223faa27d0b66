//! The log's tree over HTTPS, as any reader of C2SP tlog-tiles reads it.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{fs, sync::Arc};

use http::{Request, StatusCode};
use overlap_integration_tests::World;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tlog_tiles::{Checkpoint, Hash, HashReader, Tile, TileHashReader, TileReader, record_hash};
use tokio::{net::TcpStream, runtime::Handle};
use tokio_rustls::TlsConnector;

fn export(count: u32) -> String {
    let rows = (0..count).map(|n| format!("dossier-{n};06-{:08}", 10_000_000 + n));
    [vec!["ref;phone".to_owned()], rows.collect()].concat().join("\n")
}

async fn get(world: &World, user: &str, path: &str) -> (StatusCode, Vec<u8>) {
    let agency = world.agency("politie");
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(agency.file("users/ca.pem")).unwrap())
        .unwrap();
    let chain = CertificateDer::pem_file_iter(agency.file(&format!("people/{user}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(agency.file(&format!("people/{user}.key"))).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain.collect::<Result<_, _>>().unwrap(), key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(agency.operator).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let (sender, connection) = h2::client::handshake(tls).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(format!("https://{}{path}", agency.operator))
        .body(())
        .unwrap();
    let (response, _) = sender.ready().await.unwrap().send_request(request, true).unwrap();
    let response = response.await.unwrap();
    let status = response.status();
    let (mut body, mut bytes) = (response.into_body(), Vec::new());
    while let Some(chunk) = body.data().await {
        let chunk = chunk.unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        bytes.extend(chunk);
    }
    (status, bytes)
}

/// Reads tiles of the node for the library's reader, which checks each against the root.
struct Remote<'a> {
    world: &'a World,
}

impl TileReader for Remote<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = tiles.iter().map(|tile| {
            // the library has the height in its paths, C2SP has not
            let path = tile.path().replacen("tile/8/", "/log/tile/", 1);
            let (status, bytes) =
                tokio::task::block_in_place(|| Handle::current().block_on(get(self.world, "auditor", &path)));
            assert_eq!(status, StatusCode::OK, "{path}");
            bytes
        });
        Ok(read.collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_tiles_checks_every_leaf() {
    let world = World::of_two(&export(3), &export(3));
    // past a full tile
    for n in 0..130 {
        assert_eq!(world.ask("hits", &["--purpose", &format!("purpose-{n}")]).code, 3);
    }
    let (status, checkpoint) = get(&world, "auditor", "/log/checkpoint").await;
    assert_eq!(status, StatusCode::OK);
    let text = String::from_utf8(checkpoint).unwrap();
    assert_eq!(text, world.status("politie")["log"]["checkpoint"].as_str().unwrap());
    let (body, _) = text.split_once("\n\n").unwrap();
    let head = Checkpoint::from_bytes(format!("{body}\n").as_bytes()).unwrap();
    assert!(head.size() > 256);

    let remote = Remote { world: &world };
    let reader = TileHashReader::new(head.size(), Hash(head.hash().0), &remote);
    for bundle in 0..=head.size() / 256 {
        let width = (head.size() - bundle * 256).min(256);
        let part = if width < 256 {
            format!(".p/{width}")
        } else {
            String::new()
        };
        let (status, entries) = get(&world, "auditor", &format!("/log/tile/entries/{bundle:03}{part}")).await;
        assert_eq!((status, entries.len() as u64), (StatusCode::OK, width * 34));
        for (index, entry) in (bundle * 256..).zip(entries.chunks(34)) {
            assert_eq!(entry[..2], [0, 32]);
            if index % 50 == 0 || index % 256 == 255 {
                let stored = tlog_tiles::stored_hash_index(0, index);
                assert_eq!(
                    reader.read_hashes(&[stored]).unwrap()[0],
                    record_hash(&entry[2..]),
                    "{index}"
                );
            }
        }
    }

    let node = world.agency("politie");
    let whole = fs::read(node.file("node.log")).unwrap();
    assert!(!String::from_utf8_lossy(&whole).contains("cannot be read"));
    for (user, path, expected) in [
        ("auditor", "/log/tile/0/999", StatusCode::NOT_FOUND),
        ("auditor", "/log/tile/0/x000/000", StatusCode::NOT_FOUND),
        ("auditor", "/log/tile/0/../../key", StatusCode::NOT_FOUND),
        ("auditor", "/log/tile/9/000", StatusCode::NOT_FOUND),
        ("auditor", "/log/tile/64/000", StatusCode::NOT_FOUND),
        ("auditor", "/log/tile/0/000.p/0", StatusCode::NOT_FOUND),
        ("auditor", "/log/tile/entries/000.p/0", StatusCode::NOT_FOUND),
        ("analyst", "/log/checkpoint", StatusCode::FORBIDDEN),
        ("stranger", "/log/tile/0/000", StatusCode::FORBIDDEN),
    ] {
        let (status, _) = get(&world, user, path).await;
        assert_eq!(status, expected, "{user} {path}");
    }
}
