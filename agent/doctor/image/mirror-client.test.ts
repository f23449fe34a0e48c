import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { describe, it } from 'node:test';

import { freePort } from '../../testing/agent-program.ts';
import { serve } from '../../testing/doctor-facts.ts';
import { MirrorClient } from './mirror-client.ts';

const REFERENCE = { registry: 'docker.io', repository: 'library/nginx' };
const DIGEST = `sha256:${'a'.repeat(64)}`;

describe('MirrorClient', () => {
  it('asks the mirror of this node as containerd does', async (t) => {
    const requests: IncomingMessage[] = [];
    const port = await serve(t, (req, res) => {
      requests.push(req);
      res.end();
    });
    const client = new MirrorClient(`http://127.0.0.1:${port}`, REFERENCE);
    await client.ask('manifests', '1.27', 'GET');
    await client.ask('blobs', DIGEST);
    assert.deepEqual(
      requests.map(({ method, url }) => `${method ?? ''} ${url ?? ''}`),
      [
        'GET /v2/library/nginx/manifests/1.27?ns=docker.io',
        `HEAD /v2/library/nginx/blobs/${DIGEST}?ns=docker.io`,
      ],
    );
    assert.match(requests[0]?.headers.accept ?? '', /manifest/);
    assert.equal(requests[0]?.headers['x-spegel-mirrored'], undefined);
  });

  it('asks holders for local content only, and describes their answers', async (t) => {
    const holders = [];
    for (const status of [200, 404, 503, 418]) {
      const port = await serve(t, ({ headers }, res) => {
        res.writeHead(headers['x-spegel-mirrored'] === 'true' ? status : 500).end();
      });
      holders.push({ peerId: `p${status}`, origins: [`http://127.0.0.1:${port}`] });
    }
    const closed = await freePort();
    holders.push({ peerId: 'closed', origins: [`http://127.0.0.1:${closed}`] });
    const client = new MirrorClient('http://127.0.0.1:9', REFERENCE);
    const answers = await client.askHolders(holders, 'blobs', DIGEST);
    assert.deepEqual(
      answers.map(({ peerId, answer }) => [peerId, answer]),
      [
        ['p200', 'has it'],
        ['p404', 'does not have it'],
        ['p503', 'busy, or its containerd does not answer'],
        ['p418', 'answers 418'],
        ['closed', 'cannot be reached (ECONNREFUSED)'],
      ],
    );
  });

  it('asks eight holders at most', async (t) => {
    const port = await serve(t, (_req, res) => res.end());
    const holder = { peerId: 'p', origins: [`http://127.0.0.1:${port}`] };
    const client = new MirrorClient('http://127.0.0.1:9', REFERENCE);
    const many = Array.from({ length: 20 }, () => holder);
    assert.equal((await client.askHolders(many, 'blobs', DIGEST)).length, 8);
  });
});
