-- What a person chose, where the last start was made from something else because that was not offered
-- then. It counts only while `user_options` is `{}`: a program that does not know it writes there what
-- she chose since.
ALTER TABLE servers ADD COLUMN kept_choice TEXT;
