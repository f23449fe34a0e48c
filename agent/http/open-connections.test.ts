import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { OpenConnections } from './open-connections.ts';

/** Opens a connection, and gives both of its ends. */
async function start(
  t: TestContext,
): Promise<() => Promise<{ readonly client: Socket; readonly server: Socket }>> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return async () => {
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    client.on('error', () => undefined);
    const [socket] = await accepted;
    return { client, server: socket.on('error', () => undefined) };
  };
}

describe('OpenConnections', () => {
  it('closes a connection beyond the bound of its address, and accepts one when another has closed', async (t) => {
    const open = await start(t);
    const connections = new OpenConnections(2);
    const add = async (): Promise<Socket> => {
      const { server } = await open();
      connections.add(server);
      return server;
    };
    const [first, second, third] = [await add(), await add(), await add()];
    assert.deepEqual([first.destroyed, second.destroyed, third.destroyed], [false, false, true]);
    if (!third.closed) await once(third, 'close');
    first.destroy();
    await once(first, 'close');
    const fourth = await add();
    assert.equal(fourth.destroyed, false);
    connections.destroy();
    assert.ok(second.destroyed && fourth.destroyed);
  });
});
