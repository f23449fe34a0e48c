import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';

import type { Connection, MultiaddrConnection, Transport, Upgrader } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';

import { quietLogger } from './quiet-logger.ts';
import { withOwnDialSignals } from './dial-signals.ts';

/** What of libp2p's upgrade the tests need: it ends with the connection as it is. */
const upgrader = {
  upgradeOutbound: (connection: MultiaddrConnection) => Promise.resolve(connection),
} as unknown as Upgrader;

function transportOf(): Transport {
  return tcp()({ logger: quietLogger });
}

async function listen(t: TestContext): Promise<Server> {
  const server = createServer((socket) => {
    // The connections of the tests end with a reset.
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return server;
}

function addressOf(server: Server): ReturnType<typeof multiaddr> {
  const { port } = server.address() as AddressInfo;
  return multiaddr(`/ip4/127.0.0.1/tcp/${port}`);
}

describe('withOwnDialSignals', () => {
  it('leaves nothing on the signal of the caller while the connection is open', async (t) => {
    const server = await listen(t);
    const open = async (transport: Transport): Promise<number> => {
      const { signal } = new AbortController();
      const connection = await transport.dial(addressOf(server), { upgrader, signal });
      const left = getEventListeners(signal, 'abort').length;
      connection.abort(new Error('the test is over'));
      return left;
    };
    assert.notEqual(await open(transportOf()), 0, 'as the transport is, its socket stays there');
    assert.equal(await open(withOwnDialSignals(transportOf())), 0);
  });

  it('ends a dial when its signal is aborted, before or while it runs', async (t) => {
    const transport = withOwnDialSignals(transportOf());
    const server = await listen(t);
    const before = AbortSignal.abort(new Error('no longer wanted'));
    await assert.rejects(transport.dial(addressOf(server), { upgrader, signal: before }), {
      message: 'no longer wanted',
    });
    const caller = new AbortController();
    const endless = {
      upgradeOutbound: (_: unknown, { signal }: { signal: AbortSignal }) => {
        const aborted = once(signal, 'abort').then((): Connection => {
          throw signal.reason as Error;
        });
        caller.abort(new Error('given up'));
        return aborted;
      },
    } as unknown as Upgrader;
    await assert.rejects(
      transport.dial(addressOf(server), { upgrader: endless, signal: caller.signal }),
      { message: 'given up' },
    );
    assert.equal(getEventListeners(caller.signal, 'abort').length, 0);
  });
});
