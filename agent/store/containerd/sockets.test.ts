import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { explainConnection, KNOWN_SOCKETS, otherSocket } from './sockets.ts';
import { ContainerdClient } from './client.ts';

const grpc = (code: string, path = '/run/c.sock'): string =>
  `14 UNAVAILABLE: No connection established. Last error: connect ${code} ${path}. Resolution note: `;

describe('explainConnection', () => {
  for (const [message, expected] of [
    [grpc('ENOENT'), 'there is no socket at /run/c.sock (ENOENT)'],
    [grpc('ECONNREFUSED'), 'nothing listens at /run/c.sock (ECONNREFUSED)'],
    [grpc('EACCES'), 'root only may open /run/c.sock (EACCES); run as root'],
    ['14 UNAVAILABLE: Connection dropped', '14 UNAVAILABLE: Connection dropped'],
    ['4 DEADLINE_EXCEEDED: late. Resolution note: ', '4 DEADLINE_EXCEEDED: late'],
  ] as const) {
    it(`says ${expected}`, () => {
      assert.equal(explainConnection(message, []), expected);
    });
  }

  it('names the socket of another distribution where there is one', () => {
    const folder = mkdtempSync(join(tmpdir(), 'pg-socks-'));
    const there = join(folder, 'k3s.sock');
    writeFileSync(there, '');
    try {
      assert.match(
        explainConnection(grpc('ENOENT'), ['/run/c.sock', there]),
        new RegExp(`; there is one at ${there} \\(--containerd-sock\\)$`),
      );
      assert.equal(otherSocket(there, [there]), undefined);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('reads what gRPC really says', async () => {
    const socketPath = '/nowhere/containerd.sock';
    using client = new ContainerdClient({ socketPath, namespace: 'k8s.io', callTimeout: 2_000 });
    await assert.rejects(client.version(), (error) => {
      assert.ok(error instanceof Error);
      assert.match(
        error.message,
        /^containerd does not answer: there is no socket at \/nowhere\/containerd\.sock \(ENOENT\)/,
      );
      assert.equal(error.cause, undefined, 'the log would print it as well');
      return true;
    });
  });
});

describe('otherSocket', () => {
  it('knows every socket once', () => {
    assert.equal(new Set(KNOWN_SOCKETS).size, KNOWN_SOCKETS.length);
  });
});
