import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

import { silent } from '../../testing/test-network.ts';
import { Liveness } from './liveness.ts';
import { dhtPeer } from './membership.ts';
import type { DhtPeer } from './membership.ts';

const ROUND_MS = 2000;

/** A liveness check of three peers, and what it does to them. */
async function start(t: TestContext) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const peers = await Promise.all(
    Array.from({ length: 3 }, async () =>
      dhtPeer(peerIdFromPrivateKey(await generateKeyPair('Ed25519'))),
    ),
  );
  const probed: DhtPeer[] = [];
  const aborted: DhtPeer[] = [];
  const responsive: DhtPeer[] = [];
  const dead = new Set<DhtPeer>();
  const disconnected = new Set<DhtPeer>();
  /** Peer ID -> when it was heard last. In the beginning all have been silent for long, the first the longest. */
  const heard = new Map(peers.map(({ text }, index) => [text, index - 1000 * ROUND_MS]));
  let onUnresponsive: (peer: DhtPeer) => void = () => undefined;
  const peerOf = (id: unknown) => peers.find((peer) => peer.id === id);
  const liveness = new Liveness({
    node: {
      getConnections: (id: unknown) => {
        const peer = peerOf(id);
        if (peer === undefined || disconnected.has(peer)) return [];
        return [{ abort: () => aborted.push(peer) }];
      },
      services: { lastHeard: { of: (peerId: string) => heard.get(peerId) } },
    } as never,
    client: {
      ping: (peer) => {
        probed.push(peer);
        if (dead.has(peer)) return Promise.reject(new Error('no answer'));
        heard.set(peer.text, performance.now());
        return Promise.resolve();
      },
    },
    membership: {
      verified: () => peers,
      onUnresponsive: (listener: (peer: DhtPeer) => void) => {
        onUnresponsive = listener;
      },
      markResponsive: (peer: DhtPeer) => responsive.push(peer),
    } as never,
    logger: silent,
  });
  liveness.start();
  t.after(() => {
    liveness.stop();
  });
  const round = async () => {
    t.mock.timers.tick(ROUND_MS);
    await turn();
  };
  const reportUnresponsive = async (peer: DhtPeer) => {
    onUnresponsive(peer);
    await turn();
  };
  return {
    peers,
    probed,
    aborted,
    responsive,
    dead,
    disconnected,
    heard,
    liveness,
    round,
    reportUnresponsive,
  };
}

describe('Liveness', () => {
  it('probes one peer a round, the longest silent first, and none that it has heard from since', async (t) => {
    const { peers, probed, responsive, aborted, round } = await start(t);
    await round();
    assert.deepEqual(probed, peers.slice(0, 1));
    for (let i = 0; i < 3; i++) await round();
    assert.deepEqual(probed, peers, 'all have answered');
    assert.deepEqual(responsive, probed);
    assert.deepEqual(aborted, []);
  });

  it('probes a peer that was silent for as many rounds as there are peers', async (t) => {
    const { peers, probed, heard, round } = await start(t);
    const [first, second, third] = peers;
    assert.ok(first && second && third);
    const now = performance.now();
    heard.set(first.text, now - 3 * ROUND_MS + 1000);
    heard.set(second.text, now - 3 * ROUND_MS);
    heard.set(third.text, now);
    await round();
    await round();
    assert.deepEqual(probed, [second]);
  });

  it('ends the connection with a peer that does not answer, and probes the others at once', async (t) => {
    const { peers, probed, aborted, dead, round } = await start(t);
    const [first] = peers;
    assert.ok(first);
    dead.add(first);
    await round();
    await turn();
    assert.equal(aborted[0], first);
    assert.deepEqual(new Set(probed), new Set(peers));
  });

  it('probes a peer at once that did not answer a request', async (t) => {
    const { peers, probed, reportUnresponsive } = await start(t);
    const last = peers[2];
    assert.ok(last);
    await reportUnresponsive(last);
    assert.deepEqual(probed, [last]);
  });

  it('does not probe a peer without a connection, nor does that one keep it from others', async (t) => {
    const { peers, probed, disconnected, heard, round, reportUnresponsive } = await start(t);
    const [first, second] = peers;
    assert.ok(first);
    disconnected.add(first);
    heard.delete(first.text);
    await reportUnresponsive(first);
    assert.deepEqual(probed, []);
    await round();
    assert.deepEqual(probed, [second]);
  });

  it('probes no more after its stop', async (t) => {
    const { probed, liveness, round } = await start(t);
    liveness.stop();
    await round();
    assert.deepEqual(probed, []);
  });
});
