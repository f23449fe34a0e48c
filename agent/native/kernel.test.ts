import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import { eventually } from '../testing/eventually.ts';
import { Kernel, socketDescriptor } from './kernel.ts';
import { Libc } from './libc.ts';
import { Silence } from '../timing/silence.ts';

/** Two ends of a connection over the loopback interface. */
async function makeConnection(): Promise<{ ours: Socket; theirs: Socket } & AsyncDisposable> {
  // Paused: otherwise Node reads the first bytes of the connection itself.
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const theirs = connect({ port: (server.address() as AddressInfo).port, allowHalfOpen: true });
  const [[ours]] = (await Promise.all([once(server, 'connection'), once(theirs, 'connect')])) as [
    [Socket],
    unknown,
  ];
  for (const socket of [ours, theirs]) socket.on('error', () => undefined);
  return {
    ours,
    theirs,
    async [Symbol.asyncDispose]() {
      ours.destroy();
      theirs.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function makeFile(bytes: Buffer) {
  const folder = await mkdtemp(join(tmpdir(), 'peerglass-kernel-'));
  await writeFile(join(folder, 'file'), bytes);
  const file = await open(join(folder, 'file'));
  return {
    fd: file.fd,
    async [Symbol.asyncDispose]() {
      await file.close();
      await rm(folder, { recursive: true });
    },
  };
}

describe('Kernel', { skip: process.platform !== 'linux' && 'Linux only' }, () => {
  const never = new AbortController().signal;
  const bytes = randomBytes(9_000_000);

  it('sends a part of a file to a connection, and reports each call', async () => {
    const kernel = new Kernel(new Libc());
    await using file = await makeFile(bytes);
    await using connection = await makeConnection();
    const received = buffer(connection.theirs);
    let moved = 0;
    const part = { fd: file.fd, position: 5, length: bytes.length - 10 };
    const result = await kernel.sendFile(part, connection.ours, (count) => (moved += count), never);
    connection.ours.end();
    assert.equal(result, 'all');
    assert.equal(moved, part.length);
    assert.ok((await received).equals(bytes.subarray(5, -5)));
  });

  it('ends with "closed" when the receiver leaves, and with "aborted" by the signal', async () => {
    const kernel = new Kernel(new Libc());
    await using file = await makeFile(bytes);
    const part = { fd: file.fd, position: 0, length: bytes.length };
    await using left = await makeConnection();
    const sending = kernel.sendFile(part, left.ours, () => undefined, never);
    left.theirs.destroy();
    assert.equal(await sending, 'closed');
    await using slow = await makeConnection();
    const stop = new AbortController();
    const waiting = kernel.sendFile(part, slow.ours, () => undefined, stop.signal);
    stop.abort();
    assert.equal(await waiting, 'aborted');
  });

  it('knows what a connection has taken that its other end has not', async () => {
    const kernel = new Kernel(new Libc());
    await using file = await makeFile(bytes);
    await using connection = await makeConnection();
    assert.equal(kernel.unsent(connection.ours), 0);
    const part = { fd: file.fd, position: 0, length: bytes.length };
    const stop = new AbortController();
    let moved = 0;
    connection.theirs.pause();
    const onMoved = (count: number): void => void (moved += count);
    const sending = kernel.sendFile(part, connection.ours, onMoved, stop.signal);
    await eventually(() => {
      const unsent = kernel.unsent(connection.ours) ?? 0;
      assert.ok(unsent > 0 && unsent <= moved);
    });
    connection.theirs.resume();
    assert.equal(await sending, 'all');
    await eventually(() => {
      assert.equal(kernel.unsent(connection.ours), 0);
    });
    connection.ours.destroy();
    assert.equal(kernel.unsent(connection.ours), undefined);
  });

  it('throws when the file is shorter than the part', async () => {
    const kernel = new Kernel(new Libc());
    await using file = await makeFile(bytes.subarray(0, 10));
    await using connection = await makeConnection();
    const part = { fd: file.fd, position: 0, length: 11 };
    const sending = kernel.sendFile(part, connection.ours, () => undefined, never);
    await assert.rejects(sending, /ends 1 bytes too early/);
  });

  it('moves a body between two connections', async () => {
    const kernel = new Kernel(new Libc());
    await using from = await makeConnection();
    await using to = await makeConnection();
    const received = buffer(to.theirs);
    from.theirs.end(bytes);
    let moved = 0;
    const parts = { from: from.ours, to: to.ours, length: bytes.length };
    for await (const { length } of kernel.splice(
      { ...parts, silence: new Silence({ stallTimeout: 5_000 }) },
      never,
    ))
      moved += length;
    to.ours.end();
    assert.equal(moved, bytes.length);
    assert.ok((await received).equals(bytes));
  });
});

describe('socketDescriptor', { skip: process.platform === 'win32' && 'not on Windows' }, () => {
  it('is the descriptor of an open connection, and undefined of a closed or encrypted one', async () => {
    await using connection = await makeConnection();
    const fd = socketDescriptor(connection.ours);
    assert.ok(fd !== undefined && fd > 2);
    const encrypted = Object.assign(connection.theirs, { encrypted: true });
    assert.equal(socketDescriptor(encrypted), undefined);
    connection.ours.destroy();
    assert.equal(socketDescriptor(connection.ours), undefined);
    assert.equal(socketDescriptor(undefined), undefined);
  });
});
