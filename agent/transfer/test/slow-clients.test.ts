import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, it } from 'node:test';

import { startDiskMirror } from '../../testing/disk-mirror.ts';
import { eventually } from '../../testing/eventually.ts';
import { FixedRouter, providerOf, startMirror } from '../../testing/mirror-node.ts';

/** More than the socket buffers of a connection hold. */
const SIZE = 4 * 1024 * 1024;
const RESERVATIONS = 2;
const CLIENTS = 16;

describe('clients that do not read their verified content', { timeout: 300_000 }, () => {
  it('take no more memory than configured, and are given up when others wait for it', async () => {
    await using holder = await startDiskMirror('auto');
    const bytes = randomBytes(SIZE);
    const digest = await holder.put(bytes);
    const router = new FixedRouter(providerOf('holder', holder));
    // One image gets half of the memory: the rest is left for others.
    const verifiedBuffer = { size: SIZE, memory: 2 * RESERVATIONS * SIZE };
    await using node = await startMirror({ router, verifiedBuffer });
    const path = `/v2/team/app/blobs/${digest}`;
    const received = async (): Promise<number> => {
      const text = await node.metrics.registry.getSingleMetricAsString(
        'peerglass_peer_bytes_total',
      );
      return Number(/direction="received"\} (\d+)/.exec(text)?.[1] ?? 0);
    };

    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, async () => {
        const socket = connect(Number(new URL(node.origin).port), '127.0.0.1');
        await once(socket, 'connect');
        socket.on('readable', () => undefined);
        return socket.on('error', () => undefined);
      }),
    );
    const request = `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    for (const socket of clients) socket.write(request);
    await eventually(async () => {
      assert.ok((await received()) >= RESERVATIONS * SIZE);
    });
    await delay(500); // all clients have sent their requests by now
    assert.equal(await received(), RESERVATIONS * SIZE);

    const served = clients.filter(({ bytesRead }) => bytesRead > 0);
    assert.equal(served.length, RESERVATIONS);
    for (const socket of clients) if (!served.includes(socket)) socket.destroy();
    const response = await fetch(`${node.origin}${path}`);
    assert.ok(bytes.equals(Buffer.from(await response.arrayBuffer())));
    // One reservation was given up for the new request. Its client gets FIN, from which it may resume, and no reset.
    const answers = await Promise.all(served.map((socket) => buffer(socket.removeAllListeners())));
    const whole = answers.filter(({ length }) => length > SIZE);
    assert.ok(whole.length < RESERVATIONS);
    for (const answer of answers) {
      const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4);
      assert.ok(body.equals(bytes.subarray(0, body.length)));
    }
  });
});
