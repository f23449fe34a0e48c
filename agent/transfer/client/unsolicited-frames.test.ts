import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { eventually } from '../../testing/eventually.ts';
import { UnsolicitedFrames } from './unsolicited-frames.ts';

const ORIGIN = 'https://peer.example';
const MANY = 100_000;

/** A watched connection, whose peer sends what the test wants. */
async function startWatched(t: TestContext) {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').resume();
  const [peer] = await accepted;
  peer.on('error', () => undefined);
  t.after(() => {
    for (const end of [socket, peer]) end.destroy();
    server.close();
  });
  // Not mock.timers: its intervals fire only once in the second test of a file and later (Node 24.21).
  let check: () => void = () => undefined;
  t.mock.method(globalThis, 'setInterval', (callback: () => void) => {
    check = callback;
    return { unref: () => undefined };
  });
  const state = { isIdle: true };
  const frames = new UnsolicitedFrames({ isIdle: () => state.isIdle });
  frames.watch(ORIGIN, socket);
  return {
    frames,
    socket,
    state,
    /** Has the peer send bytes, and ends the interval. */
    async send(bytes: number): Promise<void> {
      const before = socket.bytesRead;
      peer.write(Buffer.alloc(bytes));
      await eventually(() => {
        assert.equal(socket.bytesRead, before + bytes);
      });
      check();
    },
    check: (): void => {
      check();
    },
  };
}

describe('UnsolicitedFrames', () => {
  it('closes a connection whose peer sends much although no request is open', async (t) => {
    const it = await startWatched(t);
    it.check();
    await it.send(MANY);
    assert.ok(it.socket.destroyed);
  });

  it('accepts few bytes, as of pings', async (t) => {
    const it = await startWatched(t);
    it.check();
    for (let count = 0; count < 10; count += 1) await it.send(60_000);
    assert.ok(!it.socket.destroyed);
  });

  it('accepts all bytes while a request is open', async (t) => {
    const it = await startWatched(t);
    it.state.isIdle = false;
    it.check();
    await it.send(MANY);
    assert.ok(!it.socket.destroyed);
  });

  it('accepts the bytes of a request that began and ended between two checks', async (t) => {
    const it = await startWatched(t);
    it.check();
    it.frames.requesting(ORIGIN);
    await it.send(MANY);
    assert.ok(!it.socket.destroyed);
    await it.send(MANY);
    assert.ok(it.socket.destroyed, 'the next bytes have no request');
  });
});
