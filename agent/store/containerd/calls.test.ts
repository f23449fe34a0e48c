import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { ABSENT } from '../../testing/conformance/content-store.ts';
import { ContainerdServer } from '../../testing/containerd-server.ts';
import { eventually } from '../../testing/eventually.ts';
import { StoreUnavailableError } from '../content-store.ts';
import { ContainerdClient } from './client.ts';

/** A socket that accepts connections and never answers, as a containerd that hangs. */
async function hangingSocket(): Promise<AsyncDisposable & { socketPath: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'pg-hang-'));
  const socketPath = join(folder, 'c.sock');
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
  await once(server.listen(socketPath), 'listening');
  return {
    socketPath,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

describe('unary', () => {
  it('resolves to undefined when containerd does not have the object', async () => {
    using server = await ContainerdServer.start();
    using client = new ContainerdClient({ socketPath: server.socketPath, namespace: 'k8s.io' });
    assert.equal(await client.info(ABSENT), undefined);
  });

  it('rejects as unavailable when the call takes too long', async () => {
    await using hanging = await hangingSocket();
    using client = new ContainerdClient({ ...hanging, namespace: 'k8s.io', callTimeout: 50 });
    await assert.rejects(client.info(ABSENT), StoreUnavailableError);
  });

  it('rejects with the reason of its signal, before and during the call', async () => {
    await using hanging = await hangingSocket();
    using client = new ContainerdClient({ ...hanging, namespace: 'k8s.io' });
    const reason = new Error('enough');
    const is = (error: unknown): boolean => error === reason;
    await assert.rejects(client.info(ABSENT, AbortSignal.abort(reason)), is);
    const stop = new AbortController();
    const calling = client.info(ABSENT, stop.signal);
    stop.abort(reason);
    await assert.rejects(calling, is);
  });
});

describe('serverStream', () => {
  it('yields messages until its loop is left, and then cancels the call', async () => {
    using server = await ContainerdServer.start();
    using client = new ContainerdClient({ socketPath: server.socketPath, namespace: 'k8s.io' });
    const events = client.events([], new AbortController().signal);
    const first = events.next();
    await eventually(() => {
      assert.equal(server.subscribers, 1);
    });
    server.publish('k8s.io', '/any', Buffer.from('value'));
    assert.equal((await first).value?.topic, '/any');
    await events.return();
    await eventually(() => {
      assert.equal(server.subscribers, 0);
    });
  });

  it('rejects as unavailable when the connection breaks, and with the reason of its signal', async () => {
    using server = await ContainerdServer.start();
    using client = new ContainerdClient({ socketPath: server.socketPath, namespace: 'k8s.io' });
    const stop = new AbortController();
    const [broken, aborted] = [
      client.events([], new AbortController().signal).next(),
      client.events([], stop.signal).next(),
    ];
    await eventually(() => {
      assert.equal(server.subscribers, 2);
    });
    const reason = new Error('enough');
    stop.abort(reason);
    await assert.rejects(aborted, (error) => error === reason);
    server.stop();
    await assert.rejects(broken, StoreUnavailableError);
  });
});
