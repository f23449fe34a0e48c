import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { bind } from './bind.ts';
import { ListenError } from './listen-error.ts';

function serverOf(t: TestContext): Server {
  const server = createServer((socket) => socket.end());
  t.after(() => server.close());
  return server;
}

/** Makes the first call of `listen` fail with the code, as the system does. */
function failFirst(server: Server, code: string): string[] {
  const hosts: string[] = [];
  const listen = server.listen.bind(server);
  server.listen = ((options: { host: string }, done: () => void) => {
    hosts.push(options.host);
    if (hosts.length > 1) return listen({ ...options, host: '127.0.0.1' }, done);
    process.nextTick(() => server.emit('error', Object.assign(new Error(code), { code })));
    return server;
  }) as Server['listen'];
  return hosts;
}

describe('bind', () => {
  it('returns the port that the system chose', async (t) => {
    const port = await bind(serverOf(t), { host: '127.0.0.1', port: 0 }, '--x');
    const client = connect(port, '127.0.0.1');
    await once(client.resume(), 'end');
  });

  it('explains why an address is not available, and names the option', async (t) => {
    const port = await bind(serverOf(t), { host: '127.0.0.1', port: 0 }, '--x');
    await assert.rejects(bind(serverOf(t), { host: '127.0.0.1', port }, '--other'), (error) => {
      assert.ok(error instanceof ListenError);
      assert.match(error.message, new RegExp(`^--other 127.0.0.1:${port}: port in use`));
      return true;
    });
  });

  it('listens on every IPv4 address where a host has no IPv6, when no address is named', async (t) => {
    const server = serverOf(t);
    const hosts = failFirst(server, 'EAFNOSUPPORT');
    await bind(server, { host: '', port: 0 }, '--x');
    assert.deepEqual(hosts, ['::', '0.0.0.0']);
  });

  it('does not try another address when one is named', async (t) => {
    const server = serverOf(t);
    const hosts = failFirst(server, 'EADDRNOTAVAIL');
    await assert.rejects(bind(server, { host: '::1', port: 0 }, '--x'), ListenError);
    assert.deepEqual(hosts, ['::1']);
  });
});
