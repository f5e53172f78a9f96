//! `lyceum language …`: pages in a language that a site adds.

use clap::Subcommand;
use lyceum_hub::languages::{english, files};
use lyceum_model::lang::Lang;
use lyceum_model::language::{is_tag, template};

use super::{Outcome, print};
use crate::failure::Failure;

/// Add a language to the pages.
#[derive(Debug, Subcommand)]
pub enum LanguageCommand {
    /// Print a file to fill in: all texts with the English ones as comments.
    #[command(
        after_help = "Put it into the folder that `languages` in the configuration names.\n\n\
                      Example:\n  lyceum language template fr > languages/fr.txt"
    )]
    Template {
        /// The tag of the language, such as `fr` or `pt-BR`.
        language: String,
    },
}

impl LanguageCommand {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let Self::Template { language } = self;
        if !is_tag(&language) {
            let message = format!("{language:?} is not the tag of a language");
            return Err(Failure::new(message).hint("such as `fr`, `pt-BR` or `zh-Hant`"));
        }
        if Lang::BUILT_IN.iter().any(|lang| lang.as_str() == language) {
            return Err(Failure::new(format!("{language} is built in")));
        }
        let text = template(&language, &files(), &english());
        print(&text).map(|()| Outcome::Good)
    }
}
