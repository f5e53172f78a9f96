//! Header fields as an index over the text they came in, each with what it is known to mean.
//!
//! One pass over a head lowers the names and classifies them, so that every later step asks for a
//! [`Known`] instead of comparing names. No protocol is spoken here: `http1` fills the index from a
//! connection's bytes, HTTP/2 fills it through [`Fields::push`].

/// A range of bytes in [`Fields::text`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    /// Heads are bounded far below 4 GiB, so positions fit.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
        }
    }
}

/// What a header is known to mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Accept,
    AcceptLanguage,
    Authorization,
    Connection,
    ContentLength,
    Cookie,
    Expect,
    ForwardedFor,
    ForwardedHost,
    ForwardedPort,
    ForwardedProto,
    /// Any other by which a proxy speaks for a client.
    Forwarding,
    Host,
    Http2Settings,
    KeepAlive,
    Location,
    /// Reads like one that only a proxy may set, for servers that take `_` for `-`.
    Lookalike,
    /// Reads like a length, for servers that take `_` for `-`.
    LookalikeLength,
    Other,
    /// Nobody outside may use these.
    Ours,
    ProxyConnection,
    SecFetchMode,
    SetCookie,
    /// By which an answer speaks for the whole site and not for its own path. A server that
    /// belongs to one person has no say there: a service worker let in by it would see everybody's
    /// passwords.
    SiteWide,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    XRequestedWith,
}

impl Known {
    /// Concerns one hop only (RFC 9110, section 7.6.1), or says a length, which the sender of the
    /// next message says anew.
    pub(crate) fn is_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::ContentLength
                | Self::Http2Settings
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }

    pub(crate) fn is_forwarding(self) -> bool {
        matches!(
            self,
            Self::ForwardedFor
                | Self::ForwardedHost
                | Self::ForwardedPort
                | Self::ForwardedProto
                | Self::Forwarding
        )
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) known: Known,
    pub(crate) name: Span,
    pub(crate) value: Span,
    /// Named by `Connection`: not for the next hop.
    pub(crate) is_named: bool,
}

/// The text of a head and its fields.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) text: Vec<u8>,
    pub(crate) list: Vec<Field>,
}

impl Fields {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.list.clear();
    }

    pub(crate) fn at(&self, span: Span) -> &[u8] {
        &self.text[span.start as usize..span.end as usize]
    }

    /// Adds bytes to the text.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        Span::new(start, self.text.len())
    }

    /// Adds a field whose name is already in lower case.
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        let known = classify(name);
        let name = self.append(name);
        let value = self.append(value);
        self.list.push(Field {
            known,
            name,
            value,
            is_named: false,
        });
    }

    /// Enters a field that stands in the text already; [`Fields::know`] looks at it later.
    pub(crate) fn enter(&mut self, name: Span, value: Span) {
        self.list.push(Field {
            known: Known::Other,
            name,
            value,
            is_named: false,
        });
    }

    /// Lowers the names of all entered fields and finds out what they mean.
    pub(crate) fn know(&mut self) {
        for field in &mut self.list {
            let name = &mut self.text[field.name.start as usize..field.name.end as usize];
            name.make_ascii_lowercase();
            field.known = classify(name);
        }
    }

    pub(crate) fn all(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.list
            .iter()
            .filter(move |field| field.known == known)
            .map(|field| self.at(field.value))
    }

    pub(crate) fn first(&self, known: Known) -> Option<&[u8]> {
        self.all(known).next()
    }

    pub(crate) fn has(&self, known: Known) -> bool {
        self.list.iter().any(|field| field.known == known)
    }

    /// The elements of a field that is a list, over all its lines.
    pub(crate) fn tokens(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.all(known).flat_map(tokens)
    }

    /// Marks what `Connection` names. Host and lengths are never dropped on anyone's word. None if
    /// it names more than anybody needs.
    pub(crate) fn mark_named(&mut self) -> Option<()> {
        let mut seen = 0;
        for index in 0..self.list.len() {
            let line = self.list[index];
            if line.known != Known::Connection {
                continue;
            }
            let (start, end) = (line.value.start as usize, line.value.end as usize);
            let mut from = start;
            while from < end {
                let to = memchr::memchr(b',', &self.text[from..end]).map_or(end, |at| from + at);
                let token = self.text[from..to].trim_ascii();
                from = to + 1;
                if token.is_empty() || is_usual(token) {
                    continue;
                }
                seen += 1;
                if seen > MOST_NAMED {
                    return None;
                }
                for field in &mut self.list {
                    let name = &self.text[field.name.start as usize..field.name.end as usize];
                    if name.eq_ignore_ascii_case(token)
                        && !matches!(field.known, Known::Host | Known::ContentLength)
                    {
                        field.is_named = true;
                    }
                }
            }
        }
        Some(())
    }

    /// Gives memory back that an idle connection need not hold.
    pub(crate) fn release(&mut self) {
        self.text = Vec::new();
        self.list = Vec::new();
    }
}

/// More names in `Connection` than this are refused: each is compared with each header.
const MOST_NAMED: usize = 32;

/// The elements of one line of a list.
pub(crate) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn is_usual(token: &[u8]) -> bool {
    [&b"keep-alive"[..], b"close", b"upgrade"]
        .iter()
        .any(|usual| token.eq_ignore_ascii_case(usual))
}

/// `name` is in lower case.
fn classify(name: &[u8]) -> Known {
    match name {
        b"accept" => Known::Accept,
        b"accept-language" => Known::AcceptLanguage,
        b"authorization" => Known::Authorization,
        b"connection" => Known::Connection,
        b"content-length" => Known::ContentLength,
        b"cookie" => Known::Cookie,
        b"expect" => Known::Expect,
        b"forwarded" | b"x-forwarded" | b"x-real-ip" | b"x-scheme" => Known::Forwarding,
        b"host" => Known::Host,
        b"http2-settings" => Known::Http2Settings,
        b"keep-alive" => Known::KeepAlive,
        b"location" => Known::Location,
        b"proxy-connection" => Known::ProxyConnection,
        b"sec-fetch-mode" => Known::SecFetchMode,
        b"set-cookie" => Known::SetCookie,
        b"service-worker-allowed"
        | b"clear-site-data"
        | b"strict-transport-security"
        | b"alt-svc"
        | b"nel"
        | b"report-to"
        | b"reporting-endpoints" => Known::SiteWide,
        b"te" => Known::Te,
        b"trailer" => Known::Trailer,
        b"transfer-encoding" => Known::TransferEncoding,
        b"upgrade" => Known::Upgrade,
        b"x-forwarded-for" => Known::ForwardedFor,
        b"x-forwarded-host" => Known::ForwardedHost,
        b"x-forwarded-port" => Known::ForwardedPort,
        b"x-forwarded-proto" => Known::ForwardedProto,
        b"x-request-id" => Known::Ours,
        b"x-requested-with" => Known::XRequestedWith,
        // Before the others: even a trusted proxy may pass on a name that it did not look through.
        _ if memchr::memchr(b'_', name).is_some() => lookalike(name),
        _ if name.starts_with(b"x-forwarded-") => Known::Forwarding,
        _ if name.starts_with(b"x-lyceum-") => Known::Ours,
        _ => Known::Other,
    }
}

fn lookalike(name: &[u8]) -> Known {
    let dashed: Vec<u8> = name
        .iter()
        .map(|byte| if *byte == b'_' { b'-' } else { *byte })
        .collect();
    match classify(&dashed) {
        Known::ContentLength | Known::TransferEncoding | Known::Host => Known::LookalikeLength,
        known if known == Known::Ours || known.is_forwarding() => Known::Lookalike,
        _ => Known::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_every_spelling() {
        let check = |name: &str, expect: Known| {
            assert_eq!(classify(name.as_bytes()), expect, "{name}");
        };
        check("x-lyceum-user", Known::Ours);
        check("x_lyceum_user", Known::Lookalike);
        check("x_forwarded-for", Known::Lookalike);
        check("x-forwarded-prefix", Known::Forwarding);
        check("x-forwarded-client_cert", Known::Lookalike);
        check("content_length", Known::LookalikeLength);
        check("transfer_encoding", Known::LookalikeLength);
        check("x_custom", Known::Other);
        check("alt-svc", Known::SiteWide);
        check("clear-site-data", Known::SiteWide);
        check("service-worker-allowed", Known::SiteWide);
        check("content-security-policy", Known::Other);
        check("set-cookie", Known::SetCookie);
    }

    #[test]
    fn connection_names_what_stays_here() {
        let mut fields = Fields::default();
        fields.push(b"connection", b"keep-alive, X-Secret, Host ,content-length");
        fields.push(b"x-secret", b"1");
        fields.push(b"host", b"lab");
        fields.push(b"content-length", b"1");
        fields.push(b"x-other", b"2");
        assert!(fields.mark_named().is_some());
        let named: Vec<bool> = fields.list.iter().map(|field| field.is_named).collect();
        assert_eq!(named, [false, true, false, false, false]);

        let mut many = Fields::default();
        many.push(b"connection", "x,".repeat(100).as_bytes());
        assert!(many.mark_named().is_none());
    }
}
