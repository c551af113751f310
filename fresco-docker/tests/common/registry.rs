//! A registry on loopback that serves one image, made from one that is here. Docker speaks plain
//! HTTP with loopback.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use bollard::Docker;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the registry serves: path → type and content.
type Content = HashMap<String, (&'static str, Vec<u8>)>;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// A registry; it ends when it is dropped.
pub struct Registry {
    pub port: u16,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Registry {
    /// A registry without any image.
    pub async fn empty() -> Self {
        Self::serve(Content::new()).await
    }

    /// A registry that serves this local image as `<name>:1`, with a label that makes it another.
    pub async fn with(docker: &Docker, image: &str, name: &str) -> Self {
        Self::serve(content(docker, image, name).await).await
    }

    async fn serve(content: Content) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let content = Arc::new(content);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&content)));
            }
        });
        Self { port, server }
    }
}

async fn answer(stream: TcpStream, content: Arc<Content>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    // Docker tries TLS first; that is no text, and the connection ends.
    stream.read_line(&mut first).await.ok()?;
    let mut parts = first.split(' ');
    let (method, path) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut line = String::from("x");
    while !line.trim().is_empty() {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
    }
    let unknown = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
    let (status, kind, body) = match content.get(&path) {
        Some((kind, body)) => (200, *kind, body.as_slice()),
        None if path == "/v2/" => (200, "application/json", &b"{}"[..]),
        None => (404, "application/json", &unknown[..]),
    };
    let digest = digest(body);
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nDocker-Content-Digest: {digest}\r\nDocker-Distribution-Api-Version: registry/2.0\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    if method != "HEAD" {
        stream.write_all(body).await.ok()?;
    }
    stream.shutdown().await.ok()
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    format!("sha256:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

async fn content(docker: &Docker, image: &str, name: &str) -> Content {
    let chunks: Vec<_> = docker.export_image(image).try_collect().await.unwrap();
    let saved = chunks.concat();
    let mut files = HashMap::new();
    for entry in tar::Archive::new(saved.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(path, bytes);
    }
    let index: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let mut config: serde_json::Value =
        serde_json::from_slice(&files[index[0]["Config"].as_str().unwrap()]).unwrap();
    // A layer of its own makes it an image that is not there, to the last byte.
    let mut layers: Vec<Vec<u8>> = index[0]["Layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| files[path.as_str().unwrap()].clone())
        .collect();
    let extra = extra_layer(name);
    config["rootfs"]["diff_ids"].as_array_mut().unwrap().push(digest(&extra).into());
    config["history"].as_array_mut().unwrap().push(serde_json::json!({"created_by": name}));
    layers.push(extra);
    let config = serde_json::to_vec(&config).unwrap();

    let mut content = Content::new();
    let mut blob = |kind: &'static str, bytes: Vec<u8>| {
        let (digest, size) = (digest(&bytes), bytes.len());
        content.insert(format!("/v2/{name}/blobs/{digest}"), (kind, bytes));
        serde_json::json!({"mediaType": kind, "size": size, "digest": digest})
    };
    let layers: Vec<_> = layers.into_iter().map(|layer| blob(LAYER, layer)).collect();
    let config = blob(CONFIG, config);
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let by_digest = format!("/v2/{name}/manifests/{}", digest(&manifest));
    content.insert(by_digest, (MANIFEST, manifest.clone()));
    content.insert(format!("/v2/{name}/manifests/1"), (MANIFEST, manifest));
    content
}

/// A layer with one file that no other image has, large enough that its bytes are told of.
fn extra_layer(name: &str) -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    let bytes: Vec<u8> = name.bytes().cycle().take(4 << 20).collect();
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    layer.append_data(&mut header, "extra", bytes.as_slice()).unwrap();
    layer.into_inner().unwrap()
}
