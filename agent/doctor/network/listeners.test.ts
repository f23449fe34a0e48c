import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { freePort } from '../../testing/agent-program.ts';
import { doctorStage } from '../../testing/doctor-facts.ts';
import { listenersAt, ownerOf } from './listeners.ts';

async function listen(t: TestContext, host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

describe('listenersAt', () => {
  it('finds the socket that listens at the port', async (t) => {
    const port = await listen(t, '127.0.0.1');
    const found = await listenersAt(port);
    assert.equal(found.length, 1);
    assert.equal(found[0]?.address, '0100007F');
    assert.deepEqual(await listenersAt(await freePort()), []);
  });

  it('reads IPv6 sockets and skips sockets in other states', async (t) => {
    const { write, path } = await doctorStage(t, undefined);
    const head = '  sl  local_address rem_address   st tx rx tr tm retrnsmt uid timeout inode\n';
    const row = (local: string, state: string, inode: number): string =>
      `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000 0 0 ${inode} 1\n`;
    write('net/tcp', head + row('00000000:1389', '01', 1) + row('00000000:1388', '0A', 2));
    write('net/tcp6', head + row(`${'0'.repeat(32)}:1389`, '0A', 3));
    assert.deepEqual(await listenersAt(5001, path('net')), [
      { address: '0'.repeat(32), inode: '3', port: 5001 },
    ]);
  });
});

describe('ownerOf', () => {
  it('finds the process with the socket, which is not an agent by its command line', async (t) => {
    const [listener] = await listenersAt(await listen(t, '127.0.0.1'));
    assert.ok(listener);
    const owner = await ownerOf(listener.inode);
    assert.equal(owner?.pid, process.pid);
    assert.equal(owner.name, 'node');
    assert.equal(owner.isAgent, false);
  });

  it('is undefined for a socket that no process has', async () => {
    assert.equal(await ownerOf('0'), undefined);
  });
});
