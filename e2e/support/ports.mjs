// Ports for programs that must be told theirs before they listen.

import { createServer } from 'node:net';

/** One that nobody has at the moment, below those that the system gives to anybody. */
export async function freePort() {
  for (let port = 9900; port < 9990; port += 1) {
    if (await isFree(port)) return port;
  }
  throw new Error('no free ports from 9900 on');
}

/**
 * JupyterHub must be told its ports, and its servers' before it uses them. The system gives those
 * above to anybody, Lyceum takes those from 10,000 on; of the others each story has a block.
 */
export async function freePorts(count) {
  const ports = [];
  for (let port = 2000 + (process.pid % 480) * 16; ports.length < count; port += 1) {
    if (port >= 9900) throw new Error('no free ports below 9900');
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
