// A real mail server on this machine that keeps what it takes.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';
import { until } from './story.mjs';

const USER = 'lyceum';
const PASSWORD = 'a password of the mail server';

export async function startMailbox() {
  const folder = await mkdtemp(join(tmpdir(), 'lyceum-mail-'));
  const secret = join(folder, 'password');
  await writeFile(secret, PASSWORD);
  const letters = [];
  const server = new SMTPServer({
    // In the clear: it is this machine.
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    onAuth(given, session, done) {
      const good = given.username === USER && given.password === PASSWORD;
      done(good ? null : new Error('wrong name or password'), { user: USER });
    },
    onData(stream, session, done) {
      const pieces = [];
      stream.on('data', (piece) => pieces.push(piece));
      stream.on('end', () => {
        letters.push(read(session.envelope, Buffer.concat(pieces).toString('latin1')));
        done();
      });
    },
  });
  // Clients that hang up are none of ours.
  server.on('error', () => {});
  const port = await new Promise((resolve, reject) => {
    const listening = server.listen(0, '127.0.0.1', () => resolve(listening.address().port));
    listening.once('error', reject);
  });
  return {
    letters,
    /** What `lyceum.yaml` says of it. */
    config: [
      'mail:',
      '  server: 127.0.0.1',
      `  port: ${port}`,
      '  security: none',
      `  user: ${USER}`,
      `  password: file:${secret}`,
      '  from: jupyter@example.edu',
      '',
    ].join('\n'),
    /** The letter of this number, the first is 1, as soon as it is there. */
    async letter(number) {
      await until(`letter ${number} has come`, () => letters.length >= number);
      return letters[number - 1];
    },
    async stop() {
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function read(envelope, content) {
  const end = content.indexOf('\r\n\r\n');
  const head = content.slice(0, end);
  const body = content.slice(end + 4);
  const encoding = /^content-transfer-encoding:\s*(\S+)/im.exec(head)?.[1].toLowerCase();
  const text = decode(body, encoding);
  return {
    to: envelope.rcptTo.map(({ address }) => address),
    from: envelope.mailFrom.address,
    head,
    text,
    link: /https?:\/\/\S+/.exec(text)?.[0],
  };
}

function decode(body, encoding) {
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString('utf8');
  if (encoding !== 'quoted-printable') return Buffer.from(body, 'latin1').toString('utf8');
  const joined = body.replaceAll('=\r\n', '');
  const bytes = joined.replace(/=([0-9A-F]{2})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
