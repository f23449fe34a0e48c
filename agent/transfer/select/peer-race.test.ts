import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { createMetrics } from '../../metrics/metrics.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Provider } from '../../routing/router.ts';
import { STALE, startCrowd } from '../../testing/crowd.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage } from '../../testing/image.ts';
import { FixedRouter, providerOf, startMirror } from '../../testing/mirror-node.ts';
import { quiet } from '../../testing/quiet.ts';
import { responseHead, startRogue } from '../../testing/rogue-peer.ts';
import { AttemptSlots } from './attempt-slots.ts';
import { PeerAttempts } from './peer-attempts.ts';
import type { FirstByteTimes } from './first-byte-times.ts';
import { PeerClient } from '../client/peer-client.ts';
import { PeerRace } from './peer-race.ts';
import type { PeerScoreboard } from './peer-scoreboard.ts';
import { createSharedState } from './shared-state.ts';

/** Longer than a test may take: no test passes because of this timeout. */
const NEVER = 600_000;
const PATIENCE = { timeout: 300_000 };

const SIZE = 5_000_000;
const image = makeImage(SIZE);
const [digest] = image.layers as [Digest];
const bytes = image.blobs.get(digest) ?? Buffer.alloc(0);
const head = responseHead(200, { 'content-length': SIZE, 'docker-content-digest': digest });

/** Behaves as a peer that holds the blob. */
function holds(socket: Socket, request: string): void {
  socket.write(head);
  if (isGet(request)) socket.write(bytes);
}

function isGet(request: string): boolean {
  return request.startsWith('GET ');
}

/** Stops time, so that no peer is late. */
function stopTime(t: TestContext): void {
  t.mock.timers.enable({ apis: ['setTimeout'] });
}

interface Bench extends AsyncDisposable {
  readonly race: PeerRace;
  readonly attempts: PeerAttempts;
  readonly scoreboard: PeerScoreboard;
  readonly firstBytes: FirstByteTimes;
}

/** Starts a race for the blob, without a mirror around it. */
function startRace(providers: readonly Provider[], slots = new AttemptSlots()): Bench {
  const client = new PeerClient({ userAgent: 'peerglass/test', headTimeout: NEVER });
  const metrics = createMetrics();
  const shared = { ...createSharedState({ metrics, logger: quiet }), slots };
  const attempts = new PeerAttempts(
    { kind: 'blob', method: 'GET', registry: '', repository: 'team/app', digest },
    { router: new FixedRouter(...providers), client, metrics, logger: quiet, shared },
    { resolveTimeout: NEVER, resolveRetries: 0, firstByteBudget: NEVER },
  );
  const stop = new AbortController();
  const race = new PeerRace(attempts, attempts.request, stop.signal);
  return {
    race,
    attempts,
    scoreboard: shared.scoreboard,
    firstBytes: shared.firstBytes.GET,
    async [Symbol.asyncDispose]() {
      race[Symbol.dispose]();
      stop.abort();
      await client.close();
    },
  };
}

describe('PeerRace', PATIENCE, () => {
  it('asks only one peer, for the content itself, when that peer delivers', async (t) => {
    await using holders = await startCrowd(5, holds);
    await using bench = startRace(holders.providers);
    stopTime(t);
    const result = await bench.race.next();
    assert.equal(result.kind === 'peer-stream' && result.provider.peerId, 'stale 0');
    assert.deepEqual(holders.requests.map(isGet), [true]);
  });

  it('asks the holders that lose by HEAD, so that they send no body', async (t) => {
    await using stale = await startCrowd(8, STALE.notFound);
    await using holders = await startCrowd(20, holds, 'holder');
    await using bench = startRace([...stale.providers, ...holders.providers]);
    stopTime(t);
    const result = await bench.race.next();
    assert.ok(result.kind === 'peer-stream');
    assert.equal(holders.requests.filter(isGet).length, 1);
  });

  it('takes a peer for late by the times that the answers of others took lately', async (t) => {
    await using late = await startCrowd(1, STALE.hangs, 'late');
    await using good = await startRogue(holds);
    await using bench = startRace([...late.providers, providerOf('good', good)]);
    for (let answer = 0; answer < 20; answer++) bench.firstBytes.note(300);
    stopTime(t);
    const next = bench.race.next();
    const turns = async (done: () => boolean): Promise<void> => {
      for (let turn = 0; turn < 100_000 && !done(); turn++) await new Promise(setImmediate);
    };
    await turns(() => late.requests.length === 1);
    t.mock.timers.tick(599);
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
    assert.equal(good.requests.length, 0);
    t.mock.timers.tick(1);
    const result = await next;
    assert.equal(result.kind === 'peer-stream' && result.provider.peerId, 'good');
  });

  it('asks the next peer when one is late, and takes the late one when no other holds the content', async () => {
    let release: () => void = () => undefined;
    await using late = await startRogue((socket, request) => {
      release = (): void => {
        holds(socket, request);
      };
    });
    await using stale = await startCrowd(5, STALE.notFound);
    await using bench = startRace([providerOf('late', late), ...stale.providers]);
    const next = bench.race.next();
    await eventually(() => {
      assert.equal(stale.requests.length, 5);
    });
    release();
    const result = await next;
    assert.equal(result.kind === 'peer-stream' && result.provider.peerId, 'late');
  });

  it('asks another peer when one that holds the content is late to send it', async () => {
    await using stale = await startCrowd(1, STALE.notFound);
    let cancelled = 0;
    const behave = (socket: Socket, request: string): void => {
      socket.write(head);
      if (isGet(request)) socket.on('close', () => (cancelled += 1));
    };
    await using slow = await startCrowd(2, behave, 'slow');
    await using good = await startRogue(holds);
    const providers = [...stale.providers, ...slow.providers, providerOf('good', good)];
    await using bench = startRace(providers);
    const result = await bench.race.next();
    assert.equal(result.kind === 'peer-stream' && result.provider.peerId, 'good');
    await eventually(() => {
      assert.equal(cancelled, 2, 'those that lost are cancelled');
    });
  });

  it('asks another peer when one answers a probe with yes and then lacks the content', async () => {
    await using liars = await startCrowd(10, (socket, request) => {
      if (isGet(request)) STALE.notFound(socket);
      else socket.write(head);
    });
    await using good = await startRogue(holds);
    await using bench = startRace([...liars.providers, providerOf('good', good)]);
    const result = await bench.race.next();
    assert.equal(result.kind === 'peer-stream' && result.provider.peerId, 'good');
  });

  it('gives another peer when the first was bad, and the cancelled ones too', async () => {
    await using hanging = await startCrowd(1, STALE.hangs);
    await using holders = await startCrowd(3, holds, 'holder');
    await using bench = startRace([...hanging.providers, ...holders.providers]);
    const { race, attempts } = bench;
    const winners = new Set<string>();
    for (let round = 0; round < 3; round++) {
      const result = await race.next();
      assert.ok(result.kind === 'peer-stream');
      winners.add(result.provider.peerId);
      result.response.body.destroy();
      attempts.broke(result.provider, new Error('bad'));
    }
    assert.equal(winners.size, 3);
  });

  it('stops asking when 32 peers have answered wrongly', async (t) => {
    await using broken = await startCrowd(100, (socket) => {
      socket.write(responseHead(500, { 'content-length': 0 }));
    });
    await using bench = startRace(broken.providers);
    stopTime(t);
    const result = await bench.race.next();
    assert.equal(result.kind, 'exhausted');
    // Those that were under way when the 32nd answered are the rest.
    assert.ok(broken.requests.length >= 32 && broken.requests.length < 100);
  });

  it('asks one peer without a slot, and one more for each slot', async () => {
    await using hanging = await startCrowd(12, STALE.hangs);
    const slots = new AttemptSlots(3);
    {
      await using bench = startRace(hanging.providers, slots);
      await using other = startRace(hanging.providers, slots);
      void bench.race.next();
      void other.race.next();
      await eventually(() => {
        assert.equal(hanging.requests.length, 5);
      });
      assert.ok(!slots.tryAcquire());
    }
    assert.ok(
      slots.tryAcquire() && slots.tryAcquire() && slots.tryAcquire(),
      'all slots are released',
    );
  });
});

describe('a peer that was silent', PATIENCE, () => {
  it('delays no request when there are other peers', async (t) => {
    await using hanging = await startCrowd(3, STALE.hangs, 'silent');
    await using good = await startRogue(holds);
    const providers = [...hanging.providers, providerOf('good', good)];
    await using bench = startRace(providers);
    for (const { peerId } of hanging.providers) {
      bench.scoreboard.record({ peerId, origins: [] }, digest, { kind: 'silent' });
    }
    stopTime(t);
    const result = await bench.race.next();
    assert.equal(result.kind === 'peer-stream' && result.provider.peerId, 'good');
  });

  it('serves when no other peer can', async () => {
    let hangs = true;
    await using moody = await startRogue((socket, request) => {
      if (!hangs) holds(socket, request);
    });
    const router = new FixedRouter(providerOf('moody', moody));
    await using node = await startMirror({ router, firstByteBudget: 300 });
    const url = `${node.origin}/v2/team/app/blobs/${digest}`;
    const first = await fetch(url);
    assert.equal(first.status, 404);
    await first.body?.cancel();
    hangs = false;
    const second = await fetch(url);
    assert.equal(second.status, 200);
    assert.ok(Buffer.from(await second.arrayBuffer()).equals(bytes));
  });
});

describe('the only peer', PATIENCE, () => {
  it('gets the whole time of the request, and only its own timeout after it was silent', async () => {
    let answers: (socket: Socket, request: string) => void = holds;
    await using slow = await startRogue((socket, request) => {
      setTimeout(() => {
        answers(socket, request);
      }, 500);
    });
    const router = new FixedRouter(providerOf('slow', slow));
    const bounds = { headTimeout: 100, firstByteBudget: 5_000 };
    await using node = await startMirror({ router, ...bounds });
    const statuses: number[] = [];
    for (const behave of [holds, STALE.hangs, holds]) {
      answers = behave;
      const { status, body } = await fetch(`${node.origin}/v2/team/app/blobs/${digest}`);
      await body?.cancel();
      statuses.push(status);
    }
    assert.deepEqual(statuses, [200, 404, 404]);
  });
});

describe('a connection to a peer', PATIENCE, () => {
  it('stays open after HEAD requests and 404', async () => {
    await using good = await startRogue((socket) => {
      const { length } = good.requests;
      const headers = { connection: 'keep-alive', 'content-length': length % 2 ? SIZE : 0 };
      socket.write(responseHead(length % 2 ? 200 : 404, headers));
    });
    await using node = await startMirror({ router: new FixedRouter(providerOf('good', good)) });
    for (let round = 0; round < 10; round++) {
      const url = `${node.origin}/v2/team/app/blobs/${digest}`;
      const { status } = await fetch(url, { method: 'HEAD' });
      assert.equal(status, round % 2 ? 404 : 200);
    }
    assert.equal(good.accepted, 1);
  });
});
