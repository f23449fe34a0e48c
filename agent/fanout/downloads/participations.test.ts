import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { ContentRequest } from '../../oci/content-request.ts';
import { MemoryIngests } from '../../store/memory-ingests.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { digestOf } from '../../testing/arbiter-fixture.ts';
import { eventually } from '../../testing/eventually.ts';
import { ScriptedArbiters, ScriptedFollowers } from '../../testing/scripted-arbiters.ts';
import { silent } from '../../testing/test-network.ts';
import { FailedPeers } from './failed-peers.ts';
import { Participations } from './participations.ts';

const NAME = { registry: 'registry.example', repository: 'team/app' };

function start(t: TestContext) {
  const ingests = new MemoryIngests();
  const ended: string[] = [];
  const participations = new Participations(
    {
      store: new MemoryStore(ingests),
      arbiters: new ScriptedArbiters(),
      followers: new ScriptedFollowers(),
      failed: new FailedPeers(),
      logger: silent,
      observer: {
        received: () => undefined,
        fetched: () => undefined,
        ended: (digest) => ended.push(digest),
      },
    },
    '',
  );
  t.after(() => participations.stop());
  const begin = async (at: number): Promise<boolean> => {
    const digest = digestOf(at);
    const ingest = await ingests.open(digest);
    assert.ok(ingest);
    const request: ContentRequest = { kind: 'blob', method: 'GET', ...NAME, digest };
    const open = { ingest, progress: await ingest.progress() };
    return participations.begin(request, open, { state: 'fetching' }, 50);
  };
  return { ingests, participations, ended, begin };
}

describe('Participations', () => {
  it('keep one for each digest, and say when it has ended', async (t) => {
    const { ingests, participations, ended, begin } = start(t);
    const download = ingests.begin(digestOf(1), 10);
    assert.equal(await begin(1), true);
    const first = participations.of(digestOf(1));
    assert.equal(await begin(1), true);
    assert.notEqual(participations.of(digestOf(1)), first, 'the client has begun anew');
    await eventually(() => {
      assert.equal(first?.isRunning, false);
    });
    assert.deepEqual(ended, []);
    const [status] = participations.status();
    assert.deepEqual([status?.digest, status?.registry], [digestOf(1), NAME.registry]);
    download.end();
    await eventually(() => {
      assert.deepEqual(ended, [digestOf(1)]);
    });
    assert.deepEqual(participations.status(), []);
  });

  it('are bounded', async (t) => {
    const { ingests, begin } = start(t);
    for (let at = 0; at < 1_000; at += 1) {
      ingests.begin(digestOf(at), 10);
      assert.equal(await begin(at), true);
    }
    ingests.begin(digestOf(1_000), 10);
    assert.equal(await begin(1_000), false);
  });
});
