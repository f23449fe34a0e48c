import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import { eventually } from '../../../testing/eventually.ts';
import { responseHead, startRogue } from '../../../testing/rogue-peer.ts';
import { PeerError } from '../peer-error.ts';
import { DirectClient, type DirectClientInit } from './direct-client.ts';

const never = new AbortController().signal;

function startClient(init: Partial<DirectClientInit> = {}): DirectClient & Disposable {
  const client = new DirectClient({
    connectTimeout: 2_000,
    stallTimeout: 5_000,
    firstByteTimeout: init.stallTimeout ?? 5_000,
    ...init,
  });
  return Object.assign(client, {
    [Symbol.dispose]() {
      client.close();
    },
  });
}

describe('DirectClient', () => {
  const bytes = randomBytes(1_000_000);
  const answer = responseHead(200, { 'content-length': bytes.length });

  it('uses one connection for bodies one after the other', async () => {
    await using peer = await startRogue((socket) => {
      socket.write(answer);
      socket.write(bytes);
    });
    using client = startClient();
    for (let turn = 0; turn < 5; turn += 1) {
      const { body, statusCode } = await client.get(new URL(`${peer.origin}/a?b=c`), {}, never);
      assert.equal(statusCode, 200);
      assert.ok(bytes.equals(await buffer(body)));
    }
    assert.equal(peer.accepted, 1);
    assert.match(peer.requests[0] ?? '', /^GET \/a\?b=c HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\n/);
  });

  it('has no capacity beyond its bound of connections, and looks up names with the function that it is given', async () => {
    await using peer = await startRogue((socket) => {
      socket.write(answer);
    });
    const asked: string[] = [];
    using client = startClient({
      maxConnections: 1,
      lookup: (hostname, _options, callback) => {
        asked.push(hostname);
        callback(null, [{ address: '127.0.0.1', family: 4 }]);
      },
    });
    const url = new URL(peer.origin.replace('127.0.0.1', 'registry.example'));
    assert.ok(client.hasCapacity(url.origin));
    await client.get(url, {}, never);
    assert.ok(!client.hasCapacity(url.origin));
    assert.deepEqual(asked, ['registry.example']);
  });

  it('ends its connections once they are idle, when it is retired', async () => {
    const closed: string[] = [];
    await using peer = await startRogue((socket, request) => {
      socket.once('close', () => closed.push(request));
      socket.write(answer);
      if (!closed.length) socket.write(bytes);
    });
    using client = startClient();
    const url = new URL(peer.origin);
    const [one, other] = [await client.get(url, {}, never), await client.get(url, {}, never)];
    await buffer(one.body);
    client.retire();
    await eventually(() => {
      assert.equal(closed.length, 1);
    });
    assert.ok(bytes.equals(await buffer(other.body)), 'what has begun is ended');
    await eventually(() => {
      assert.equal(closed.length, 2);
    });
  });

  it('keeps the connection of an answer without a body that nothing reads', async () => {
    await using peer = await startRogue((socket) => {
      socket.write(responseHead(307, { location: '/elsewhere', 'content-length': 0 }));
    });
    using client = startClient();
    for (let count = 0; count < 3; count += 1) {
      const { body } = await client.get(new URL(peer.origin), {}, never);
      body.destroy();
    }
    assert.equal(peer.accepted, 1);
  });

  it('asks nothing more when it is closed, and does not take what has come for the whole', async () => {
    await using peer = await startRogue((socket) => {
      if (peer.requests.length === 1) socket.write(responseHead(200, { 'content-length': 0 }));
      if (peer.requests.length === 2) socket.write('HTTP/1.1 200 OK\r\n\r\nhalf');
    });
    using client = startClient({ takesUnsized: true });
    const url = new URL(peer.origin);
    (await client.get(url, {}, never)).body.destroy();
    const { body } = await client.get(url, {}, never);
    const waiting = client.get(url, {}, never);
    await eventually(() => {
      assert.equal(peer.requests.length, 3);
    });
    const ended = [assert.rejects(buffer(body), /closed/), assert.rejects(waiting, /closed/)];
    client.close();
    await Promise.all(ended);
    await assert.rejects(client.get(url, {}, never), /closed/);
    assert.equal(peer.requests.length, 3);
  });

  it('sends no header with a line break, nor with a character that becomes one', async () => {
    await using peer = await startRogue((socket) => socket.write(answer));
    using client = startClient();
    for (const value of ['a\r\nx-evil: 1', 'a\u010d\u010ax-evil: 1', 'a\n']) {
      const asking = client.get(new URL(peer.origin), { authorization: value }, never);
      await assert.rejects(asking, { reason: 'protocol' });
    }
    assert.equal(peer.accepted, 0);
  });

  it('sends the request again when the peer has just closed the idle connection', async () => {
    let turn = 0;
    await using peer = await startRogue((socket) => {
      turn += 1;
      if (turn === 2) socket.destroy();
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
    using client = startClient();
    for (let count = 0; count < 2; count += 1) {
      const { body } = await client.get(new URL(peer.origin), {}, never);
      assert.equal((await buffer(body)).toString(), 'ok');
    }
    assert.equal(peer.accepted, 2);
  });

  it('does not send the request again when a new connection is closed', async () => {
    await using peer = await startRogue((socket) => socket.destroy());
    using client = startClient();
    await assert.rejects(client.get(new URL(peer.origin), {}, never));
    assert.equal(peer.accepted, 1);
  });

  const faults: Record<string, [reason: string, parts: readonly (string | Buffer)[]]> = {
    'a head without end': ['protocol', [`HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(10_000)}`]],
    'no HTTP': ['protocol', ['SSH-2.0-x\r\n\r\n']],
    'more than declared': ['protocol', ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!']],
    'silence in the body': ['timeout', ['HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123']],
  };
  for (const [fault, [reason, parts]] of Object.entries(faults)) {
    it(`refuses ${fault}, and closes the connection`, async () => {
      await using peer = await startRogue((socket) => {
        for (const part of parts) socket.write(part);
      });
      using client = startClient({ stallTimeout: 200 });
      const pull = async (): Promise<void> => {
        const { body } = await client.get(new URL(peer.origin), {}, never);
        await buffer(body);
      };
      await assert.rejects(pull, (error) => error instanceof PeerError && error.reason === reason);
      await peerIsAlone(peer);
    });
  }

  it('reads a head that arrives byte by byte', async () => {
    await using peer = await startRogue((socket) => {
      const text = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
      const drip = (index: number): void => {
        if (index < text.length)
          socket.write(text.charAt(index), () => setImmediate(drip, index + 1));
      };
      drip(0);
    });
    using client = startClient();
    const { body } = await client.get(new URL(peer.origin), {}, never);
    assert.equal((await buffer(body)).toString(), 'ok');
  });

  it('does not count the time in which its own process was blocked as a connect time-out', async () => {
    await using peer = await startRogue((socket) => socket.write(`${answer}${bytes.toString()}`));
    using client = startClient({ connectTimeout: 20 });
    const response = client.get(new URL(peer.origin), {}, never);
    await new Promise<void>((resolve) => {
      process.nextTick(resolve);
    });
    // The kernel connects meanwhile, and the time-out ends before this process gets the event.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    const { statusCode, body } = await response;
    assert.equal(statusCode, 200);
    body.destroy();
  });

  it('ends when its signal is aborted, before the head and in the body', async () => {
    await using peer = await startRogue((socket, request) => {
      if (request.includes('/begun')) socket.write(`${answer}123`);
    });
    using client = startClient();
    for (const path of ['/silent', '/begun']) {
      const leaving = new AbortController();
      const pull = async (): Promise<void> => {
        const { body } = await client.get(new URL(path, peer.origin), {}, leaving.signal);
        await buffer(body);
      };
      const pulled = assert.rejects(pull(), { message: 'left' });
      setTimeout(() => {
        leaving.abort(new Error('left'));
      }, 50);
      await pulled;
      await peerIsAlone(peer);
    }
  });
});

async function peerIsAlone(peer: { readonly open: number }): Promise<void> {
  await eventually(() => {
    assert.equal(peer.open, 0);
  });
}
