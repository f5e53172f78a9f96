//! The words of the error pages, in the languages that Lyceum has, and the choice between them.
//!
//! The proxy runs without the hub and knows none of its texts, so these few stand here. To add a
//! language: a variant of [`Lang`], its tag, and what the compiler then misses.

use super::{Failure, Unclear};
use crate::path::BadPath;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lang {
    #[default]
    En,
    De,
}

impl Lang {
    pub(super) const ALL: [Self; 2] = [Self::En, Self::De];

    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
        }
    }

    /// By `Accept-Language` (RFC 9110, section 12.5.4), as the hub chooses: the highest weight
    /// wins, the first of equals, English when nothing fits.
    pub(crate) fn wanted(accepted: &[u8]) -> Self {
        let accepted = std::str::from_utf8(accepted);
        let mut best: Option<(f32, Self)> = None;
        for range in accepted.unwrap_or("").split(',').take(20) {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let own = tag.split('-').next().unwrap_or_default();
            let lang = match own {
                "*" => Some(Self::default()),
                own => Self::ALL.into_iter().find(|lang| lang.tag() == own),
            };
            let Some(lang) = lang else { continue };
            let weight = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(Some(1.0), |text| text.parse().ok())
                .unwrap_or(0.0);
            if weight > 0.0 && best.is_none_or(|(highest, _)| weight > highest) {
                best = Some((weight, lang));
            }
        }
        best.map(|(_, lang)| lang).unwrap_or_default()
    }
}

pub(super) struct Words {
    pub(super) title: &'static str,
    pub(super) meaning: &'static str,
    pub(super) remedy: &'static str,
}

/// What every page says; `{}` is filled in.
pub(super) struct Frame {
    pub(super) refused: &'static str,
    pub(super) home: &'static str,
    /// Before and behind the code.
    pub(super) code: (&'static str, &'static str),
}

pub(super) fn frame(lang: Lang) -> Frame {
    match lang {
        Lang::En => Frame {
            refused: "The request was refused",
            home: "Go to your home page",
            code: ("If you ask for help, give this code:", "error"),
        },
        Lang::De => Frame {
            refused: "Die Anfrage wurde abgelehnt",
            home: "Zur Startseite",
            code: (
                "Wenn Sie um Hilfe bitten, nennen Sie diese Kennung:",
                "Fehler",
            ),
        },
    }
}

pub(super) fn words(failure: &Failure, lang: Lang) -> Words {
    match lang {
        Lang::En => english(failure),
        Lang::De => german(failure),
    }
}

fn english(failure: &Failure) -> Words {
    match failure {
        Failure::BadRequest(_) => Words {
            title: "This address cannot be opened",
            meaning: "Nothing was changed, and your files are safe.",
            remedy: "Check the address for a typing mistake, or start again from your home page.",
        },
        Failure::HeadersTooLarge => Words {
            title: "Your browser sent too much at once",
            meaning: "This is nearly always caused by too many stored cookies. Your files are safe.",
            remedy: "Delete the cookies of this site in your browser, then log in again.",
        },
        Failure::BodyTooLarge => Words {
            title: "This is more than may be sent here at once",
            meaning: "The request was larger than this site allows. Your files are safe, but what you sent was not stored.",
            remedy: "Send it in smaller parts, or ask the people who run this site to raise the limit.",
        },
        Failure::MethodNotAllowed | Failure::Unknown(_) => Words {
            title: "This kind of request is not served here",
            meaning: "Nothing was changed, and your files are safe.",
            remedy: "Start again from your home page.",
        },
        Failure::Denied => Words {
            title: "You may not open this",
            meaning: "You are not logged in, or this belongs to somebody else.",
            remedy: "Log in from your home page, or ask the owner to share it with you.",
        },
        Failure::AccessUnavailable => Words {
            title: "We cannot check who you are right now",
            meaning: "The log-in service does not answer. Your server keeps running and your files are safe.",
            remedy: "Wait a moment and reload this page.",
        },
        Failure::NoServer => Words {
            title: "The server does not answer",
            meaning: "It may be starting, stopping, or have run out of memory. Your files are safe: saved work is still there.",
            remedy: "Wait a moment and reload this page. If that does not help, stop and start the server from your home page.",
        },
        Failure::BadAnswer => Words {
            title: "The server gave an answer we could not read",
            meaning: "It may be overloaded or misconfigured. Your files are safe: saved work is still there.",
            remedy: "Reload this page. If that does not help, restart the server from your home page.",
        },
        Failure::TooSlow => Words {
            title: "The server took too long to answer",
            meaning: "It is running but busy. Your files are safe, and what it is computing may still finish.",
            remedy: "Wait and reload this page. If that does not help, restart the server from your home page.",
        },
        Failure::NoHub => Words {
            title: "This site does not answer right now",
            meaning: "It may just be starting again. Servers that run go on, and your files are safe.",
            remedy: "Wait a moment and reload this page.",
        },
        Failure::NoService => Words {
            title: "This service does not answer",
            meaning: "It may be starting again, or be switched off. Servers that run go on, and your files are safe.",
            remedy: "Wait a moment and reload this page. If that does not help, tell the people who run this site.",
        },
        Failure::NoRoute => Words {
            title: "There is nothing at this address",
            meaning: "The server that was here may have been stopped. Your files are safe.",
            remedy: "Check the address for a typing mistake, or start again from your home page.",
        },
    }
}

fn german(failure: &Failure) -> Words {
    match failure {
        Failure::BadRequest(_) => Words {
            title: "Diese Adresse lässt sich nicht öffnen",
            meaning: "Es wurde nichts geändert, und Ihre Dateien sind sicher.",
            remedy: "Prüfen Sie, ob die Adresse einen Tippfehler enthält, oder beginnen Sie noch einmal auf der Startseite.",
        },
        Failure::HeadersTooLarge => Words {
            title: "Ihr Browser hat zu viel auf einmal geschickt",
            meaning: "Das liegt fast immer an zu vielen gespeicherten Cookies. Ihre Dateien sind sicher.",
            remedy: "Löschen Sie in Ihrem Browser die Cookies dieser Seite und melden Sie sich dann neu an.",
        },
        Failure::BodyTooLarge => Words {
            title: "Das ist mehr, als hier auf einmal geschickt werden darf",
            meaning: "Die Anfrage war größer, als diese Website erlaubt. Ihre Dateien sind sicher, aber was Sie geschickt haben, wurde nicht gespeichert.",
            remedy: "Schicken Sie es in kleineren Teilen, oder bitten Sie die Betreiber dieser Website, die Grenze anzuheben.",
        },
        Failure::MethodNotAllowed | Failure::Unknown(_) => Words {
            title: "Solche Anfragen werden hier nicht beantwortet",
            meaning: "Es wurde nichts geändert, und Ihre Dateien sind sicher.",
            remedy: "Beginnen Sie noch einmal auf der Startseite.",
        },
        Failure::Denied => Words {
            title: "Das dürfen Sie nicht öffnen",
            meaning: "Sie sind nicht angemeldet, oder das hier gehört jemand anderem.",
            remedy: "Melden Sie sich auf der Startseite an, oder bitten Sie die Besitzerin oder den Besitzer, es mit Ihnen zu teilen.",
        },
        Failure::AccessUnavailable => Words {
            title: "Gerade lässt sich nicht prüfen, wer Sie sind",
            meaning: "Der Anmeldedienst antwortet nicht. Ihr Server läuft weiter, und Ihre Dateien sind sicher.",
            remedy: "Warten Sie einen Augenblick und laden Sie diese Seite neu.",
        },
        Failure::NoServer => Words {
            title: "Der Server antwortet nicht",
            meaning: "Vielleicht startet er gerade, hält an, oder der Arbeitsspeicher hat nicht gereicht. Ihre Dateien sind sicher: Was gespeichert war, ist noch da.",
            remedy: "Warten Sie einen Augenblick und laden Sie diese Seite neu. Hilft das nicht, halten Sie den Server auf der Startseite an und starten Sie ihn neu.",
        },
        Failure::BadAnswer => Words {
            title: "Die Antwort des Servers war nicht zu verstehen",
            meaning: "Vielleicht ist er überlastet oder falsch eingerichtet. Ihre Dateien sind sicher: Was gespeichert war, ist noch da.",
            remedy: "Laden Sie diese Seite neu. Hilft das nicht, starten Sie den Server auf der Startseite neu.",
        },
        Failure::TooSlow => Words {
            title: "Der Server hat zu lange für eine Antwort gebraucht",
            meaning: "Er läuft, ist aber beschäftigt. Ihre Dateien sind sicher, und was er gerade rechnet, wird vielleicht noch fertig.",
            remedy: "Warten Sie und laden Sie diese Seite neu. Hilft das nicht, starten Sie den Server auf der Startseite neu.",
        },
        Failure::NoHub => Words {
            title: "Diese Website antwortet gerade nicht",
            meaning: "Vielleicht wird sie gerade neu gestartet. Laufende Server laufen weiter, und Ihre Dateien sind sicher.",
            remedy: "Warten Sie einen Augenblick und laden Sie diese Seite neu.",
        },
        Failure::NoService => Words {
            title: "Dieser Dienst antwortet nicht",
            meaning: "Vielleicht wird er gerade neu gestartet oder ist abgeschaltet. Laufende Server laufen weiter, und Ihre Dateien sind sicher.",
            remedy: "Warten Sie einen Augenblick und laden Sie diese Seite neu. Hilft das nicht, sagen Sie es den Betreibern dieser Website.",
        },
        Failure::NoRoute => Words {
            title: "Unter dieser Adresse gibt es nichts",
            meaning: "Der Server, der hier war, ist vielleicht beendet. Ihre Dateien sind sicher.",
            remedy: "Prüfen Sie die Adresse auf Tippfehler, oder beginnen Sie auf Ihrer Startseite neu.",
        },
    }
}

/// What could be understood in two ways.
pub(super) fn why(unclear: Unclear, lang: Lang) -> &'static str {
    match (unclear, lang) {
        (Unclear::TwoHosts, Lang::En) => "it names more than one host",
        (Unclear::TwoHosts, Lang::De) => "Sie nennt mehr als einen Host",
        (Unclear::NoHost, Lang::En) => "it names no host",
        (Unclear::NoHost, Lang::De) => "Sie nennt keinen Host",
        (Unclear::HostsDiffer, Lang::En) => "its address and its host differ",
        (Unclear::HostsDiffer, Lang::De) => "Ihre Adresse und ihr Host sind verschieden",
        (Unclear::Unreadable, Lang::En) => "its path is unreadable",
        (Unclear::Unreadable, Lang::De) => "Ihr Pfad ist nicht lesbar",
        (Unclear::Ambiguous(what), Lang::En) => what,
        (Unclear::Ambiguous(_), Lang::De) => "Ihr Text ist kein eindeutiges HTTP",
        (Unclear::Path(BadPath::NotAbsolute), Lang::En) => "the path must begin with a slash",
        (Unclear::Path(BadPath::NotAbsolute), Lang::De) => {
            "Der Pfad muss mit einem Schrägstrich beginnen"
        }
        (Unclear::Path(BadPath::Nul), Lang::En) => "the path has a NUL character in it",
        (Unclear::Path(BadPath::Nul), Lang::De) => "Der Pfad enthält ein NUL-Zeichen",
        (Unclear::Path(BadPath::Backslash), Lang::En) => "the path has a backslash in it",
        (Unclear::Path(BadPath::Backslash), Lang::De) => {
            "Der Pfad enthält einen umgekehrten Schrägstrich"
        }
        (Unclear::Path(BadPath::DotSegment), Lang::En) => {
            "the path has a segment that is only one or two dots"
        }
        (Unclear::Path(BadPath::DotSegment), Lang::De) => {
            "Ein Abschnitt des Pfades besteht nur aus einem oder zwei Punkten"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_a_browser_asks_for() {
        let check = |header: &[u8], expect: Lang| {
            assert_eq!(Lang::wanted(header), expect, "{header:?}");
        };
        assert_eq!(Lang::wanted(b""), Lang::En);
        check(b"de-AT,de;q=0.9,en;q=0.8", Lang::De);
        check(b"en-GB,en;q=0.9,de;q=0.8", Lang::En);
        check(b"fr,DE ; q=0.5,en;q=0.4", Lang::De);
        check(b"*,de;q=0.5", Lang::En);
        check(b"de;q=0,fr", Lang::En);
        check(b"de;q=much", Lang::En);
        check(b"\xff", Lang::En);
        check("x,".repeat(10_000).as_bytes(), Lang::En);
    }
}
