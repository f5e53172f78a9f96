//! Bodies in chunks: the same whatever pieces they come in, and the same when written anew.

use crate::http1::chunked::{self, Decoder, SIZE_ROOM, may_trail};

use super::naive::{self, End, Message};

/// The first bytes say in which pieces the rest comes.
pub fn chunked(data: &[u8]) {
    let Some((sizes, input)) = data.split_first_chunk::<4>() else {
        return;
    };
    let model = naive::unchunk(input);
    for sizes in [&sizes[..], &[1], &[]] {
        assert_eq!(read(input, sizes), model, "in pieces of {sizes:?}");
    }
    let (body, trailers, end) = model;
    let mut written = Vec::new();
    for piece in body.chunks(1 + usize::from(sizes[0]) * 16) {
        write(&mut written, piece);
    }
    let is_readable = chunked::write_end(&mut written, &trailers).is_ok();
    if !is_readable {
        assert!(!trailers.is_empty(), "no trailers cannot be wrong");
        return;
    }
    let (again, kept, whole) = naive::unchunk(&written);
    assert_eq!((again, whole), (body.clone(), End::Done(written.len())));
    let (again, _, whole) = read(&written, &sizes[..]);
    assert_eq!((again, whole), (body, End::Done(written.len())));
    if !matches!(end, End::Done(_)) {
        return;
    }
    // The trailers' lines are read as a head's are.
    let came = [b"\r\n", &trailers[..]].concat();
    let kept = [b"\r\n", &kept[..]].concat();
    let ends = |text: &[u8]| text.ends_with(b"\r\n\r\n");
    if !ends(&came) || !ends(&kept) {
        assert!(!ends(&kept), "trailers came from nowhere");
        return;
    }
    let (came, kept) = (Message::strict(&came), Message::strict(&kept));
    super::heads::check_origin(&kept, &came, &[]);
    for (name, _) in &kept.fields {
        assert!(may_trail(&String::from_utf8_lossy(name)));
        let name = super::heads::dashed(name);
        let never = [
            "content-length",
            "transfer-encoding",
            "host",
            "cookie",
            "authorization",
            "connection",
            "set-cookie",
            "x-forwarded",
        ];
        assert!(!never.contains(&name.as_str()) && !name.starts_with("x-forwarded-"));
    }
}

/// As a connection does it: what was not used comes again with the next piece.
pub(super) fn read(input: &[u8], sizes: &[u8]) -> (Vec<u8>, Vec<u8>, End) {
    let mut decoder = Decoder::default();
    let mut bytes = input.to_vec();
    let (mut data, mut used, mut turn) = (Vec::new(), 0, 0);
    while used < bytes.len() {
        let size = match sizes {
            [] => bytes.len(),
            _ => usize::from(sizes[turn % sizes.len()]).max(1),
        };
        turn += 1;
        let end = bytes.len().min(used + size);
        let Ok(got) = decoder.decode(&mut bytes[used..end]) else {
            return (data, Vec::new(), End::Bad);
        };
        assert!(got.data <= got.used && got.used <= end - used);
        assert!(got.used > 0, "it stands still");
        data.extend_from_slice(&bytes[used..used + got.data]);
        used += got.used;
        if got.done {
            return (data, decoder.trailers().to_vec(), End::Done(used));
        }
    }
    (data, Vec::new(), End::More)
}

/// One chunk, written as `link.rs` does.
pub(super) fn write(out: &mut Vec<u8>, data: &[u8]) {
    let mut room = [0; SIZE_ROOM];
    let length = chunked::size_line(&mut room, data.len() as u32);
    out.extend_from_slice(&room[SIZE_ROOM - length..]);
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}
