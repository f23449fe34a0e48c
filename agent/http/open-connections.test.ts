import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { OpenConnections, type OpenConnectionsInit } from './open-connections.ts';

/** Opens a connection, and gives both of its ends. */
async function start(
  t: TestContext,
): Promise<(address?: string) => Promise<{ readonly client: Socket; readonly server: Socket }>> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return async (localAddress = '127.0.0.1') => {
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const { port } = server.address() as AddressInfo;
    const client = connect({ port, host: '127.0.0.1', localAddress });
    client.on('error', () => undefined);
    const [socket] = await accepted;
    return { client, server: socket.on('error', () => undefined) };
  };
}

/** Bounds that are not reached, unless a test lowers one. */
const INIT = { max: 100, maxLocal: 100, perAddress: 100 };

describe('OpenConnections', () => {
  it('closes a connection beyond the bound of its address, and accepts one when another has closed', async (t) => {
    const open = await start(t);
    const connections = new OpenConnections({ isLocal: () => false }, { ...INIT, perAddress: 2 });
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

  /** Adds connections from addresses of loopback. Those in 127.0.1.0/24 count as local; the clock stands still. */
  async function from(t: TestContext, init: Partial<OpenConnectionsInit>) {
    const open = await start(t);
    const clock = { now: 0 };
    const isLocal = (address = ''): boolean => address.startsWith('127.0.1.');
    const connections = new OpenConnections(
      { isLocal, now: () => clock.now },
      { ...INIT, ...init },
    );
    t.after(() => {
      connections.destroy();
    });
    const add = async (address: string): Promise<Socket> => {
      const { server } = await open(address);
      connections.add(server);
      return server;
    };
    return { connections, clock, add };
  }

  it('keeps connections for clients on this node, whatever others open', async (t) => {
    const { add } = await from(t, { max: 2, maxLocal: 1 });
    const others = [await add('127.0.0.2'), await add('127.0.0.3'), await add('127.0.0.4')];
    assert.deepEqual(
      others.map(({ destroyed }) => destroyed),
      [false, false, true],
    );
    const local = [await add('127.0.1.1'), await add('127.0.1.2')];
    assert.deepEqual(
      local.map(({ destroyed }) => destroyed),
      [false, true],
    );
  });

  it('closes the longest idle connection of the address with most, for a new one', async (t) => {
    const { add, clock } = await from(t, { max: 4 });
    const lone = await add('127.0.0.2');
    const crowd = [await add('127.0.0.3'), await add('127.0.0.3'), await add('127.0.0.3')];
    clock.now = 1_000;
    const late = await add('127.0.0.4');
    assert.deepEqual(
      [lone, ...crowd, late].map(({ destroyed }) => destroyed),
      [false, true, false, false, false],
    );
  });

  it('closes no connection on which a request is answered, or was just now', async (t) => {
    const { add, clock, connections } = await from(t, { max: 2 });
    const [busy, used] = [await add('127.0.0.2'), await add('127.0.0.2')];
    const ended = connections.begin(busy);
    const usedEnded = connections.begin(used);
    clock.now = 5_000;
    usedEnded();
    assert.equal((await add('127.0.0.3')).destroyed, true);
    clock.now = 6_000;
    assert.equal((await add('127.0.0.3')).destroyed, false);
    assert.deepEqual([busy.destroyed, used.destroyed], [false, true]);
    clock.now = 7_000;
    ended();
    clock.now = 7_999;
    assert.equal((await add('127.0.0.4')).destroyed, false, 'that of 127.0.0.3 is idle');
    assert.equal((await add('127.0.0.5')).destroyed, true);
    clock.now = 8_000;
    assert.equal((await add('127.0.0.5')).destroyed, false);
    assert.equal(busy.destroyed, true);
  });

  it('closes an idle connection of an address that has too many, and none of others', async (t) => {
    const { add, clock } = await from(t, { perAddress: 1 });
    const [other, first] = [await add('127.0.0.2'), await add('127.0.0.3')];
    clock.now = 1_000;
    const second = await add('127.0.0.3');
    assert.deepEqual(
      [other, first, second].map(({ destroyed }) => destroyed),
      [false, true, false],
    );
  });
});
