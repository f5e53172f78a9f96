//! A certificate authority that speaks ACME (RFC 8555) and takes nothing on trust: nonces once,
//! signatures, addresses and forms checked, questions really put over HTTP and TLS.

use std::{
    collections::{HashMap, HashSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
};

use aws_lc_rs::{
    digest,
    signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey},
};
use data_encoding::BASE64URL_NOPAD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa,
    KeyPair, SanType,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::soon;

/// The extension that answers a question by TLS (RFC 8737, section 3).
const ACME_IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";

pub(super) struct Authority {
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl std::ops::Deref for Authority {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

pub(super) struct Shared {
    address: SocketAddr,
    issuer: CertifiedIssuer<'static, KeyPair>,
    book: Mutex<Book>,
    /// Where every name leads.
    pub(super) http: Mutex<Option<SocketAddr>>,
    pub(super) tls: Mutex<Option<SocketAddr>>,
    /// So many more requests are answered `badNonce`.
    pub(super) bad_nonces: AtomicUsize,
    /// So many more orders are answered `rateLimited`.
    pub(super) too_often: AtomicUsize,
    pub(super) issued: AtomicUsize,
    /// Of a certificate, in seconds.
    pub(super) life: AtomicI64,
}

#[derive(Default)]
struct Book {
    last: u64,
    nonces: HashSet<String>,
    /// Keys by account address.
    accounts: HashMap<String, Value>,
    orders: Vec<Order>,
}

struct Order {
    account: String,
    names: Vec<String>,
    questions: Vec<Question>,
    certificate: Option<String>,
}

struct Question {
    token: String,
    status: &'static str,
    problem: Option<String>,
    /// Which of the two challenges was taken.
    kind: &'static str,
}

impl Order {
    fn status(&self) -> &'static str {
        if self.certificate.is_some() {
            "valid"
        } else if self.questions.iter().any(|one| one.status == "invalid") {
            "invalid"
        } else if self.questions.iter().all(|one| one.status == "valid") {
            "ready"
        } else {
            "pending"
        }
    }
}

/// Status, further headers, body.
struct Reply(u16, Vec<(&'static str, String)>, Vec<u8>);

impl Reply {
    fn json(status: u16, value: &Value) -> Self {
        Self(status, Vec::new(), value.to_string().into_bytes())
    }

    fn problem(status: u16, kind: &str, detail: &str) -> Self {
        Self::json(
            status,
            &json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail, "status": status}),
        )
    }

    fn at(mut self, address: String) -> Self {
        self.1.push(("Location", address));
        self
    }
}

fn malformed(detail: &str) -> Reply {
    Reply::problem(400, "malformed", detail)
}

/// A checked request.
struct Signed {
    account: String,
    key: Value,
    payload: Vec<u8>,
    is_new: bool,
}

impl Authority {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let own = own.signed_by(&key, &issuer).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![own.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let shared = Arc::new(Shared {
            address: listener.local_addr().unwrap(),
            issuer,
            book: Mutex::default(),
            http: Mutex::default(),
            tls: Mutex::default(),
            bad_nonces: AtomicUsize::new(0),
            too_often: AtomicUsize::new(0),
            issued: AtomicUsize::new(0),
            life: AtomicI64::new(90 * 86_400),
        });
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let accepting = tokio::spawn({
            let shared = shared.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (shared, acceptor) = (shared.clone(), acceptor.clone());
                    tokio::spawn(async move {
                        if let Ok(mut stream) = acceptor.accept(stream).await {
                            while shared.serve_one(&mut stream).await.is_some() {}
                        }
                    });
                }
            }
        });
        Self { shared, accepting }
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The head without its end.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

impl Shared {
    pub(super) fn directory(&self) -> String {
        self.url("/directory")
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    pub(super) fn root(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    pub(super) fn write_root(&self, folder: &Path) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join("authority.pem");
        fs::write(&path, self.issuer.pem()).unwrap();
        path
    }

    pub(super) fn accounts(&self) -> usize {
        self.book.lock().unwrap().accounts.len()
    }

    fn new_nonce(&self) -> String {
        let mut book = self.book.lock().unwrap();
        book.last += 1;
        let nonce = format!("nonce-{}", book.last);
        book.nonces.insert(nonce.clone());
        nonce
    }

    async fn serve_one(
        self: &Arc<Self>,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> Option<()> {
        let head = read_head(stream).await?;
        let mut words = head.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let length = crate::support::header(&head, "content-length");
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).await.ok()?;
        let Reply(status, headers, body) = match (method.as_str(), path.as_str()) {
            ("GET", "/directory") => Reply::json(
                200,
                &json!({
                    "newNonce": self.url("/nonce"),
                    "newAccount": self.url("/account"),
                    "newOrder": self.url("/order"),
                    "revokeCert": self.url("/revoke"),
                    "keyChange": self.url("/key"),
                }),
            ),
            ("HEAD", "/nonce") => Reply(200, Vec::new(), Vec::new()),
            ("POST", _) => {
                let kind = crate::support::header(&head, "content-type");
                if kind.as_deref() == Some("application/jose+json") {
                    match self.check(&path, &body) {
                        Ok(signed) => self.answer(&path, &signed).await,
                        Err(reply) => reply,
                    }
                } else {
                    Reply::problem(415, "malformed", "not application/jose+json")
                }
            }
            _ => malformed("no such resource"),
        };
        let mut answer = format!(
            "HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\nReplay-Nonce: {}\r\nCache-Control: no-store\r\n",
            body.len(),
            self.new_nonce(),
        );
        for (name, value) in headers {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        answer.push_str("\r\n");
        stream.write_all(answer.as_bytes()).await.ok()?;
        stream.write_all(&body).await.ok()?;
        stream.flush().await.ok()
    }

    /// RFC 8555, section 6.
    fn check(&self, path: &str, body: &[u8]) -> Result<Signed, Reply> {
        let outer: Value = serde_json::from_slice(body).map_err(|_| malformed("not JSON"))?;
        let part = |name: &str| outer[name].as_str().unwrap_or_default().to_owned();
        let (protected, payload, signature) =
            (part("protected"), part("payload"), part("signature"));
        let decode = |text: &str| {
            BASE64URL_NOPAD
                .decode(text.as_bytes())
                .map_err(|_| malformed("not base64url"))
        };
        let head: Value =
            serde_json::from_slice(&decode(&protected)?).map_err(|_| malformed("the header"))?;
        if head["alg"] != "ES256" {
            return Err(Reply::problem(400, "badSignatureAlgorithm", "only ES256"));
        }
        if head["url"].as_str() != Some(&self.url(path)) {
            return Err(Reply::problem(
                403,
                "unauthorized",
                "signed for another address",
            ));
        }
        let is_new = path == "/account";
        let (account, key) = match (head.get("jwk"), head["kid"].as_str()) {
            (Some(key), None) if is_new => (String::new(), key.clone()),
            (None, Some(account)) if !is_new => {
                let book = self.book.lock().unwrap();
                let key = book.accounts.get(account).cloned();
                let unknown = Reply::problem(400, "accountDoesNotExist", "who?");
                (account.to_owned(), key.ok_or(unknown)?)
            }
            _ => return Err(malformed("`jwk` for new accounts, `kid` for all else")),
        };
        let mut point = vec![4];
        for part in ["x", "y"] {
            point.extend(decode(key[part].as_str().unwrap_or_default())?);
        }
        let message = format!("{protected}.{payload}");
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(message.as_bytes(), &decode(&signature)?)
            .map_err(|_| malformed("the signature is wrong"))?;
        let nonce = head["nonce"].as_str().unwrap_or_default();
        let is_known = self.book.lock().unwrap().nonces.remove(nonce);
        let take = |left: usize| left.checked_sub(1);
        if !is_known || self.bad_nonces.fetch_update(SeqCst, SeqCst, take).is_ok() {
            return Err(Reply::problem(400, "badNonce", "used or never given"));
        }
        Ok(Signed {
            account,
            key,
            payload: decode(&payload)?,
            is_new,
        })
    }

    async fn answer(self: &Arc<Self>, path: &str, signed: &Signed) -> Reply {
        let mut steps = path.trim_start_matches('/').split('/');
        let what = steps.next().unwrap_or_default();
        let number = |step: Option<&str>| step.and_then(|step| step.parse::<usize>().ok());
        let (order, question) = (number(steps.next()), number(steps.next()));
        let payload: Option<Value> = serde_json::from_slice(&signed.payload).ok();
        let is_read = signed.payload.is_empty();
        if signed.is_new {
            return self.new_account(&payload.unwrap_or_default(), &signed.key);
        }
        if what == "order" {
            return self.new_order(&payload.unwrap_or_default(), &signed.account);
        }
        let Some(order) = order else {
            return malformed("no such resource");
        };
        {
            let book = self.book.lock().unwrap();
            let known = book.orders.get(order);
            if known.is_none_or(|known| known.account != signed.account) {
                return Reply::problem(403, "unauthorized", "not yours");
            }
        }
        match (what, question) {
            ("orders", None) if is_read => Reply::json(200, &self.show_order(order)),
            ("authz", Some(question)) if is_read => {
                Reply::json(200, &self.show_authorization(order, question))
            }
            ("challenge", Some(question)) if payload == Some(json!({})) => {
                self.ask(order, question, steps.next() == Some("tls"), &signed.key);
                let shown = self.show_authorization(order, question);
                Reply::json(200, &shown["challenges"][0])
            }
            ("finalize", None) if !is_read => self.finalize(order, &payload.unwrap_or_default()),
            ("certificate", None) if is_read => {
                let book = self.book.lock().unwrap();
                match &book.orders[order].certificate {
                    Some(chain) => Reply(200, Vec::new(), chain.clone().into_bytes()),
                    None => malformed("there is none yet"),
                }
            }
            _ => malformed("no such resource, or not asked for rightly"),
        }
    }

    fn new_account(&self, payload: &Value, key: &Value) -> Reply {
        if payload["termsOfServiceAgreed"] != true {
            return Reply::problem(403, "userActionRequired", "agree first");
        }
        if payload["contact"] != json!(["mailto:it@example.edu"]) {
            return Reply::problem(400, "invalidContact", "whom to write to?");
        }
        let mut book = self.book.lock().unwrap();
        let url = self.url(&format!("/accounts/{}", book.accounts.len()));
        book.accounts.insert(url.clone(), key.clone());
        Reply::json(201, &json!({"status": "valid"})).at(url)
    }

    fn new_order(&self, payload: &Value, account: &str) -> Reply {
        if self
            .too_often
            .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
            .is_ok()
        {
            return Reply::problem(429, "rateLimited", "too many orders");
        }
        let names: Vec<String> = payload["identifiers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|one| one["type"] == "dns")
            .filter_map(|one| one["value"].as_str().map(str::to_owned))
            .collect();
        if names.is_empty() {
            return malformed("an order for nothing");
        }
        let mut book = self.book.lock().unwrap();
        let number = book.orders.len();
        let questions = names.iter().enumerate().map(|(index, _)| Question {
            token: format!("token-{number}_{index}"),
            status: "pending",
            problem: None,
            kind: "http-01",
        });
        let order = Order {
            account: account.to_owned(),
            questions: questions.collect(),
            names,
            certificate: None,
        };
        book.orders.push(order);
        drop(book);
        let url = self.url(&format!("/orders/{number}"));
        Reply::json(201, &self.show_order(number)).at(url)
    }

    fn show_order(&self, number: usize) -> Value {
        let book = self.book.lock().unwrap();
        let order = &book.orders[number];
        let authorizations: Vec<_> = (0..order.names.len())
            .map(|index| self.url(&format!("/authz/{number}/{index}")))
            .collect();
        let mut shown = json!({
            "status": order.status(),
            "identifiers": order.names.iter().map(|name| json!({"type": "dns", "value": name})).collect::<Vec<_>>(),
            "authorizations": authorizations,
            "finalize": self.url(&format!("/finalize/{number}")),
        });
        if order.certificate.is_some() {
            shown["certificate"] = self.url(&format!("/certificate/{number}")).into();
        }
        shown
    }

    fn show_authorization(&self, order: usize, question: usize) -> Value {
        let book = self.book.lock().unwrap();
        let (name, one) = (
            &book.orders[order].names[question],
            &book.orders[order].questions[question],
        );
        let challenge = |kind: &str, path: &str| {
            let mut shown = json!({
                "type": kind,
                "url": self.url(&format!("/challenge/{order}/{question}/{path}")),
                "token": one.token,
                "status": if one.kind == kind { one.status } else { "pending" },
            });
            if let Some(problem) = one.problem.as_ref().filter(|_| one.kind == kind) {
                shown["error"] = json!({"type": "urn:ietf:params:acme:error:incorrectResponse", "detail": problem});
            }
            shown
        };
        json!({
            "status": one.status,
            "identifier": {"type": "dns", "value": name},
            "challenges": [challenge("http-01", "http"), challenge("tls-alpn-01", "tls")],
        })
    }

    /// Puts the question, later, as a real authority does.
    fn ask(self: &Arc<Self>, order: usize, question: usize, by_tls: bool, key: &Value) {
        let canonical = format!(
            r#"{{"crv":{},"kty":{},"x":{},"y":{}}}"#,
            key["crv"], key["kty"], key["x"], key["y"]
        );
        let thumb = digest::digest(&digest::SHA256, canonical.as_bytes());
        let (name, token) = {
            let mut book = self.book.lock().unwrap();
            let order = &mut book.orders[order];
            let one = &mut order.questions[question];
            one.status = "pending";
            one.kind = if by_tls { "tls-alpn-01" } else { "http-01" };
            (order.names[question].clone(), one.token.clone())
        };
        let expect = format!("{token}.{}", BASE64URL_NOPAD.encode(thumb.as_ref()));
        let this = self.clone();
        tokio::spawn(async move {
            let answer = if by_tls {
                this.ask_by_tls(&name, &expect).await
            } else {
                this.ask_by_http(&name, &token, &expect).await
            };
            let mut book = this.book.lock().unwrap();
            let one = &mut book.orders[order].questions[question];
            match answer {
                Ok(()) => one.status = "valid",
                Err(problem) => {
                    one.status = "invalid";
                    one.problem = Some(problem);
                }
            }
        });
    }

    async fn ask_by_http(&self, name: &str, token: &str, expect: &str) -> Result<(), String> {
        let address = self.http.lock().unwrap().ok_or("the name leads nowhere")?;
        let mut stream = TcpStream::connect(address)
            .await
            .map_err(|e| e.to_string())?;
        let request = format!(
            "GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
        );
        stream
            .write_all(request.as_bytes())
            .await
            .map_err(|e| e.to_string())?;
        let head = soon("the answer's head", read_head(&mut stream))
            .await
            .ok_or("no answer")?;
        let length: usize = crate::support::header(&head, "content-length")
            .and_then(|length| length.parse().ok())
            .ok_or("no length")?;
        let mut body = vec![0; length];
        stream
            .read_exact(&mut body)
            .await
            .map_err(|e| e.to_string())?;
        if head.starts_with("HTTP/1.1 200") && body == expect.as_bytes() {
            Ok(())
        } else {
            Err(format!("wrong answer: {head}"))
        }
    }

    async fn ask_by_tls(&self, name: &str, expect: &str) -> Result<(), String> {
        let address = self.tls.lock().unwrap().ok_or("the name leads nowhere")?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
        let stream = TcpStream::connect(address)
            .await
            .map_err(|e| e.to_string())?;
        let server = ServerName::try_from(name.to_owned()).unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = soon("the handshake", connector.connect(server, stream))
            .await
            .map_err(|e| e.to_string())?;
        let session = stream.get_ref().1;
        if session.alpn_protocol() != Some(b"acme-tls/1") {
            return Err("another protocol".into());
        }
        let shown = session.peer_certificates().ok_or("no certificate")?;
        let (_, leaf) = X509Certificate::from_der(&shown[0]).map_err(|e| e.to_string())?;
        let names = leaf
            .subject_alternative_name()
            .ok()
            .flatten()
            .ok_or("no name")?;
        let names = format!("{:?}", names.value.general_names);
        if names != format!("[DNSName({name:?})]") {
            return Err(format!("for other names: {names}"));
        }
        let answer = leaf
            .extensions()
            .iter()
            .find(|one| one.oid.to_id_string() == ACME_IDENTIFIER)
            .ok_or("no answer in it")?;
        let digest = digest::digest(&digest::SHA256, expect.as_bytes());
        // An octet string of 32 bytes.
        if answer.critical && answer.value == [&[4, 32], digest.as_ref()].concat() {
            Ok(())
        } else {
            Err("wrong answer".into())
        }
    }

    fn finalize(&self, number: usize, payload: &Value) -> Reply {
        let request = payload["csr"].as_str().unwrap_or_default();
        let Ok(request) = BASE64URL_NOPAD.decode(request.as_bytes()) else {
            return malformed("the request");
        };
        // Its signature is checked here, too.
        let Ok(mut request) = CertificateSigningRequestParams::from_der(&request.into()) else {
            return Reply::problem(400, "badCSR", "not a request that holds");
        };
        let mut book = self.book.lock().unwrap();
        let order = &mut book.orders[number];
        if order.status() != "ready" {
            return Reply::problem(403, "orderNotReady", "prove first");
        }
        let asked: HashSet<_> = request
            .params
            .subject_alt_names
            .iter()
            .map(|name| match name {
                SanType::DnsName(name) => name.as_str().to_owned(),
                other => format!("{other:?}"),
            })
            .collect();
        if asked != order.names.iter().cloned().collect() {
            return Reply::problem(400, "badCSR", "other names than ordered");
        }
        let now = time_now();
        request.params.not_before = now;
        request.params.not_after =
            now + std::time::Duration::from_secs(self.life.load(SeqCst) as u64);
        let certificate = request.signed_by(&self.issuer).unwrap();
        order.certificate = Some(format!("{}{}", certificate.pem(), self.issuer.pem()));
        self.issued.fetch_add(1, SeqCst);
        drop(book);
        let url = self.url(&format!("/orders/{number}"));
        Reply::json(200, &self.show_order(number)).at(url)
    }
}

fn time_now() -> time::OffsetDateTime {
    std::time::SystemTime::now().into()
}

/// What is in it is looked at afterwards.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// By hand: rustls refuses certificates with critical extensions that it does not know.
fn verify(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let wrong = |what: &str| rustls::Error::General(what.to_owned());
    let (_, leaf) =
        X509Certificate::from_der(certificate).map_err(|_| wrong("not a certificate"))?;
    UnparsedPublicKey::new(
        &ECDSA_P256_SHA256_ASN1,
        &leaf.public_key().subject_public_key.data,
    )
    .verify(message, signed.signature())
    .map(|()| HandshakeSignatureValid::assertion())
    .map_err(|_| wrong("the signature is wrong"))
}
