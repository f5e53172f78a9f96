// A web server that ends TLS, in front of a Lyceum that speaks plain HTTP.

import { execFile } from 'node:child_process';
import { createServer } from 'node:https';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createProxyServer } from 'http-proxy-3';
import { JUPYTER_ENV } from './lyceum.mjs';

/** A web server with a certificate of its own making, for all names below localhost; leads on once it is told where to. */
export async function startFront() {
  const folder = await mkdtemp(join(tmpdir(), 'lyceum-front-'));
  const make = ['-c', MAKE, join(folder, 'key.pem'), join(folder, 'cert.pem')];
  await promisify(execFile)(join(JUPYTER_ENV, 'bin/python'), make);
  const [key, cert] = await Promise.all(['key.pem', 'cert.pem'].map((name) => readFile(join(folder, name))));
  await rm(folder, { recursive: true });
  let address = '';
  const proxy = createProxyServer({ xfwd: true, ws: true });
  // A page that is left breaks its connections off.
  proxy.on('error', (_error, _request, answer) => answer.destroy?.());
  const say = (request) => {
    if (address) request.headers['x-forwarded-for'] = address;
  };
  const server = createServer({ key, cert }, (request, answer) => {
    say(request);
    proxy.web(request, answer);
  });
  server.on('upgrade', (request, socket, head) => {
    say(request);
    proxy.ws(request, socket, head);
  });
  await new Promise((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `https://localhost:${server.address().port}`,
    lead: (to) => {
      proxy.options.target = to;
    },
    comeFrom: (from) => {
      address = from;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

const MAKE = `
import datetime, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
now = datetime.datetime.now(datetime.timezone.utc)
day = datetime.timedelta(days=1)
names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.DNSName("*.localhost")])
cert = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
cert = cert.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
cert = cert.add_extension(names, critical=False).sign(key, hashes.SHA256())
with open(sys.argv[1], "wb") as file:
    file.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
with open(sys.argv[2], "wb") as file:
    file.write(cert.public_bytes(serialization.Encoding.PEM))
`;
