//! `lyceum proxy`: what its command line takes and refuses, its pid file, its signals. The control
//! API itself is tested in `lyceum-proxy`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, Command, Stdio};

use insta::assert_snapshot;
use rustix::process::Signal;

use crate::harness::{Said, Site};

const TOKEN: &str = "secret-of-the-hub";

/// A proxy that runs.
struct Running {
    child: Child,
    lines: BufReader<ChildStderr>,
    log: String,
    public: SocketAddr,
}

impl Running {
    /// Until it says where the control API is.
    fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("runs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped"));
        let mut log = String::new();
        while !log.contains("/api/routes") {
            let read = lines.read_line(&mut log).expect("read");
            assert!(read > 0, "ended early: {log}");
        }
        let public = word_after(&log, "proxying http://")
            .parse()
            .expect("an address");
        Self {
            child,
            lines,
            log,
            public,
        }
    }

    fn api(&self) -> SocketAddr {
        let place = word_after(&self.log, "control API at http://");
        let place = place.trim_end_matches("/api/routes");
        place.parse().expect("an address")
    }

    fn tell(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("told");
    }

    /// The exit code and all that was logged.
    fn end(mut self) -> (Option<i32>, String) {
        self.lines.read_to_string(&mut self.log).expect("read");
        let code = self.child.wait().expect("ends").code();
        (code, std::mem::take(&mut self.log))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn word_after<'a>(log: &'a str, words: &str) -> &'a str {
    let (_, rest) = log.split_once(words).expect(words);
    rest.split_whitespace().next().expect("a word")
}

fn proxy(site: &Site, args: &[&str]) -> Command {
    let own = [
        "proxy",
        "--ip",
        "127.0.0.1",
        "--port",
        "0",
        "--api-port",
        "0",
    ];
    let mut command = site.command(&[&own, args].concat());
    command.env("CONFIGPROXY_AUTH_TOKEN", TOKEN);
    command
}

fn refused(args: &[&str]) -> Said {
    let site = Site::new();
    let output = proxy(&site, args).output().expect("runs");
    site.said(output)
}

fn ask(mut stream: impl Read + Write, method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nAuthorization: token {TOKEN}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).expect("listens")
}

#[test]
fn it_serves_from_all_workers_until_it_is_told_to_stop() {
    for (signal, name) in [(Signal::TERM, "term"), (Signal::INT, "int")] {
        let site = Site::new();
        let pid_file = site.path(name);
        let args = [
            "--workers",
            "3",
            "--pid-file",
            pid_file.to_str().expect("text"),
        ];
        let running = Running::start(proxy(&site, &args));
        assert_eq!(site.read(name), running.child.id().to_string());
        let put = ask(
            connect(running.api()),
            "POST",
            "/api/routes/a",
            r#"{"target":"http://127.0.0.1:1"}"#,
        );
        assert!(put.starts_with("HTTP/1.1 201"), "{put}");
        for _ in 0..20 {
            let health = ask(connect(running.public), "GET", "/_chp_healthz", "");
            assert!(health.ends_with(r#"{"status":"OK"}"#), "{health}");
            let routed = ask(connect(running.public), "GET", "/a", "");
            assert!(routed.starts_with("HTTP/1.1 503"), "{routed}");
        }
        running.tell(signal);
        let (code, log) = running.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(!pid_file.exists(), "{log}");
        assert!(!log.contains(TOKEN), "{log}");
    }
}

#[test]
fn a_second_signal_does_not_wait_for_open_connections() {
    let site = Site::new();
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = format!("http://{}", server.local_addr().expect("an address"));
    let mut running = Running::start(proxy(&site, &["--default-target", &target]));
    let mut client = connect(running.public);
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
        .expect("sent");
    // The server has the request and never answers.
    let (_held, _) = server.accept().expect("asked");
    running.tell(Signal::TERM);
    let mut log = String::new();
    while !log.contains("stopping") {
        assert!(
            running.lines.read_line(&mut log).expect("read") > 0,
            "{log}"
        );
    }
    running.tell(Signal::TERM);
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopping at once"), "{log}");
}

#[test]
fn a_load_balancer_has_time_to_notice_that_it_will_stop() {
    let site = Site::new();
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = format!("http://{}", server.local_addr().expect("an address"));
    let args = ["--default-target", &target, "--limit", "unready=30m"];
    let running = Running::start(proxy(&site, &args));
    let ready = || ask(connect(running.public), "GET", "/_lyceum/ready", "");
    assert!(ready().starts_with("HTTP/1.1 200"), "{}", ready());
    running.tell(Signal::TERM);
    let mut answer = ready();
    while !answer.starts_with("HTTP/1.1 503") {
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer = ready();
    }
    // Those whom it still sends are served meanwhile.
    let public = running.public;
    let client = std::thread::spawn(move || ask(connect(public), "GET", "/", ""));
    let (mut asked, _) = server.accept().expect("asked");
    let mut head = BufReader::new(asked.try_clone().expect("cloned")).lines();
    while !head.next().expect("a line").expect("read").is_empty() {}
    asked
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .expect("sent");
    let answer = client.join().expect("served");
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"),
        "{answer}"
    );
    running.tell(Signal::TERM);
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn a_taken_port_ends_it_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    for (option, workers) in [
        ("--port", "1"),
        ("--port", "2"),
        ("--api-port", "1"),
        ("--metrics-port", "1"),
    ] {
        let said = refused(&[
            "--metrics-ip",
            "127.0.0.1",
            option,
            &port,
            "--workers",
            workers,
        ]);
        assert_eq!(said.code, Some(1), "{option}");
        let expect = format!(
            "lyceum: port {port} is taken by another program\n        choose another with {option}\n"
        );
        assert_eq!(said.err, expect);
    }
}

#[test]
fn a_port_that_another_proxy_shares_among_its_workers_is_taken_too() {
    let site = Site::new();
    let running = Running::start(proxy(&site, &["--workers", "2"]));
    let port = running.public.port().to_string();
    for workers in ["1", "2"] {
        let said = refused(&["--port", &port, "--workers", workers]);
        assert_eq!(said.code, Some(1), "{}", said.err);
        assert!(
            said.err.contains("is taken by another program"),
            "{}",
            said.err
        );
    }
}

#[test]
fn what_it_cannot_do_is_said() {
    let said = refused(&["--ssl-key", "key.pem", "--ssl-cert", "cert.pem"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @"lyceum: cert.pem: can't be read: No such file or directory (os error 2)");
    let said = refused(&["--bind-address", "192.0.2.1"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @"lyceum: --bind-address: 192.0.2.1 is no address of this machine: Cannot assign requested address (os error 99)");
    let said = refused(&["--error-path", "nowhere"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @"lyceum: --error-path nowhere: there is no such folder");
}

#[test]
fn what_does_nothing_here_is_said_and_it_starts() {
    let site = Site::new();
    let args = ["--storage-backend", "configurable-http-proxy-redis-backend"];
    let running = Running::start(proxy(&site, &args));
    let health = ask(connect(running.public), "GET", "/_chp_healthz", "");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    running.tell(Signal::TERM);
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    let note = "--storage-backend configurable-http-proxy-redis-backend does nothing here";
    assert!(log.contains(note), "{log}");
}

#[test]
fn the_log_has_no_secret_however_much_is_told() {
    const SECRET: &str = "S3CRET";
    let site = Site::new();
    let dead = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address")
    };
    let nonsense = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = nonsense.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in nonsense.incoming() {
            let answer = format!("{SECRET} is no HTTP\r\n\r\n");
            let _ = stream.and_then(|mut stream| stream.write_all(answer.as_bytes()));
        }
    });
    let args = ["--log-level", "debug", "--access-log", "full"];
    let running = Running::start(proxy(&site, &args));
    for (path, target) in [("/dead", dead), ("/nonsense", target)] {
        let body = format!(r#"{{"target":"http://{target}"}}"#);
        let put = ask(
            connect(running.api()),
            "POST",
            &format!("/api/routes{path}"),
            &body,
        );
        assert!(put.starts_with("HTTP/1.1 201"), "{put}");
    }
    let headers = format!(
        "Host: lab\r\nAuthorization: token {SECRET}\r\nCookie: session={SECRET}\r\nReferer: http://lab/?token={SECRET}\r\nConnection: close\r\n"
    );
    for (start, status) in [
        ("GET /dead/x?token=S3CRET HTTP/1.1", "503"),
        ("GET /nonsense/x?token=S3CRET HTTP/1.1", "50"),
        ("GET /nowhere?token=S3CRET HTTP/1.1", "404"),
        ("GET /dead/%2e%2e/?token=S3CRET HTTP/1.1", "400"),
        ("GET /dead/ ?token=S3CRET HTTP/1.1", "400"),
        ("GET /dead/?token=S3CRET HTTP/3.1", "400"),
        ("GET http://lab/dead/x?token=S3CRET HTTP/1.1", "503"),
        ("GET http://ada:S3CRET@lab/dead/ HTTP/1.1", "400"),
        ("CONNECT lab:22?token=S3CRET HTTP/1.1", "4"),
    ] {
        let mut client = connect(running.public);
        write!(client, "{start}\r\n{headers}\r\n").expect("sent");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{start}: {answer}"
        );
    }
    let stranger = format!("GET /api/routes?inactive_since={SECRET} HTTP/1.1\r\n{headers}\r\n");
    let mut client = connect(running.api());
    client.write_all(stranger.as_bytes()).expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    running.tell(Signal::TERM);
    let (_, log) = running.end();
    assert!(log.contains("DEBUG") && log.contains("/dead/x"), "{log}");
    assert!(!log.contains(SECRET) && !log.contains(TOKEN), "{log}");
}

#[test]
fn a_wrong_command_line_is_explained() {
    let check = |args: &[&str], words: &str| {
        let said = refused(args);
        assert_eq!(said.code, Some(2), "{args:?}: {}", said.err);
        assert!(said.err.contains(words), "{args:?}: {}", said.err);
    };
    check(
        &["--defalt-target", "http://127.0.0.1:1"],
        "--default-target",
    );
    check(
        &["--error-target", "http://127.0.0.1:1", "--error-path", "."],
        "cannot be used with",
    );
    check(
        &["--error-target", "127.0.0.1:1"],
        "it must begin with http://",
    );
    check(
        &["--custom-header", "no colon"],
        "a header is written NAME:VALUE",
    );
    check(
        &["--custom-header", "Content-Length: 3"],
        "for the proxy alone",
    );
    check(&["--protocol-rewrite", "ftp"], "write http or https");
    check(
        &["--timeout", "0"],
        "write a number of milliseconds above 0",
    );
    check(
        &["--log-level", "loud"],
        "possible values: debug, info, warn, error",
    );
    check(&["--trusted-proxy", "somewhere"], "is not a network");
    check(&["--workers", "0"], "--workers");
}

#[test]
fn without_a_token_the_control_api_is_for_this_machine_only() {
    let site = Site::new();
    let without = |args: &[&str]| {
        let mut command = proxy(&site, args);
        command.env_remove("CONFIGPROXY_AUTH_TOKEN");
        command
    };
    let said = site.said(without(&["--api-ip", "0.0.0.0"]).output().expect("runs"));
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @r"
    lyceum: the control API would be open to everybody who reaches 0.0.0.0, because CONFIGPROXY_AUTH_TOKEN is not set
            set CONFIGPROXY_AUTH_TOKEN to a secret, take --api-ip 127.0.0.1, or say --open-api
    ");
    for args in [&[][..], &["--api-ip", "0.0.0.0", "--open-api"]] {
        let running = Running::start(without(args));
        assert!(
            running.log.contains("CONFIGPROXY_AUTH_TOKEN is not set"),
            "{}",
            running.log
        );
    }
    let running = Running::start(proxy(&site, &["--api-ip", "0.0.0.0"]));
    assert!(
        !running.log.contains("CONFIGPROXY_AUTH_TOKEN"),
        "{}",
        running.log
    );
}

#[test]
fn api_and_metrics_can_be_on_unix_sockets() {
    let site = Site::new();
    let (api, metrics) = (site.path("api.sock"), site.path("metrics.sock"));
    let text = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    let args = [
        "proxy",
        "--ip",
        "127.0.0.1",
        "--port",
        "0",
        "--api-socket",
        &text(&api),
        "--metrics-socket",
        &text(&metrics),
    ];
    let command = || {
        let mut command = site.command(&args);
        command.env("CONFIGPROXY_AUTH_TOKEN", TOKEN);
        command
    };
    let mut running = Running::start(command());
    for path in [&api, &metrics] {
        let mode = std::fs::metadata(path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o660, "{}", path.display());
    }
    let socket = |path| UnixStream::connect(path).expect("listens");
    let routes = ask(socket(&api), "GET", "/api/routes", "");
    assert!(routes.ends_with("\r\n\r\n{}"), "{routes}");
    let page = ask(socket(&metrics), "GET", "/metrics", "");
    assert!(
        page.contains("\nrequests_api{status=\"200\"} 1\n"),
        "{page}"
    );
    let said = site.said(command().output().expect("runs"));
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains(".sock is taken by another program"),
        "{}",
        said.err
    );
    // A killed one leaves its sockets; the next takes their place.
    running.child.kill().expect("killed");
    running.child.wait().expect("waited");
    assert!(api.exists());
    let running = Running::start(command());
    assert!(ask(socket(&api), "GET", "/api/routes", "").starts_with("HTTP/1.1 200"));
    running.tell(Signal::TERM);
    assert_eq!(running.end().0, Some(0));
}

/// As systemd does it; the shell puts the socket where it belongs and gives its process away.
#[test]
fn it_serves_at_a_socket_that_systemd_has_bound() {
    let site = Site::new();
    let bound = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = bound.local_addr().expect("an address");
    let plain = proxy(&site, &[]);
    let mut command = Command::new("/bin/sh");
    command
        .args([
            "-c",
            "exec 3<&0 </dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\"",
        ])
        .arg(plain.get_program())
        .args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(folder) = plain.get_current_dir() {
        command.current_dir(folder);
    }
    command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "web");
    command.stdin(std::os::fd::OwnedFd::from(
        bound.try_clone().expect("a copy"),
    ));
    // It waits in the queue until somebody serves.
    let early = connect(address);
    let running = Running::start(command);
    assert_eq!(running.public, address);
    let answer = ask(early, "GET", "/_chp_healthz", "");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    running.tell(Signal::TERM);
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    // The socket is systemd's: whoever comes now waits for the next one.
    connect(address);
}
