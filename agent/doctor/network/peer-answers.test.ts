import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { freePort } from '../../testing/agent-program.ts';
import { serve } from '../../testing/doctor-facts.ts';
import { askPeers } from './peer-answers.ts';

const peerAt = (port: number) => ({ peerId: `p${port}`, origins: [`http://127.0.0.1:${port}`] });

describe('askPeers', () => {
  it('returns the answer of each peer, with the reason when its port is closed', async (t) => {
    const open = await serve(t, (_req, res) => res.writeHead(404).end());
    const closed = await freePort();
    const [answer, failure] = await askPeers([peerAt(open), peerAt(closed)], undefined);
    assert.equal(answer?.unreachable, undefined);
    assert.equal(failure?.unreachable, 'ECONNREFUSED');
  });

  it('computes how far the clock of a peer is ahead from its Date header', async (t) => {
    const port = await serve(t, (_req, res) => {
      res.setHeader('Date', new Date(Date.now() + 3_600_000).toUTCString());
      res.end();
    });
    const [answer] = await askPeers([peerAt(port)], undefined);
    assert.equal(Math.round((answer?.aheadMs ?? 0) / 60_000), 60);
  });

  it('does not know the clock of a peer without a Date header', async (t) => {
    const port = await serve(t, (_req, res) => {
      res.sendDate = false;
      res.end();
    });
    const [answer] = await askPeers([peerAt(port)], undefined);
    assert.deepEqual(answer, { origin: `http://127.0.0.1:${port}` });
  });

  it('asks sixteen peers at most, and none without an origin', async (t) => {
    let requests = 0;
    const port = await serve(t, (_req, res) => {
      requests += 1;
      res.end();
    });
    const many = [{ peerId: 'x', origins: [] }, ...Array.from({ length: 20 }, () => peerAt(port))];
    assert.equal((await askPeers(many, undefined)).length, 16);
    assert.equal(requests, 16);
  });
});
