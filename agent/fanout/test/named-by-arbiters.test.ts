import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import { MemoryIngests } from '../../store/memory-ingests.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { ArbiterNetwork, digestNear, type ArbiterNode } from '../../testing/arbiter-network.ts';
import { eventually } from '../../testing/eventually.ts';
import { ScriptedFollowers } from '../../testing/scripted-arbiters.ts';
import { silent } from '../../testing/test-network.ts';
import { Downloads } from '../downloads/downloads.ts';
import { ParentFinder } from '../downloads/parent-finder.ts';
import { NamedMembers } from '../wire/named-members.ts';

const STRANGER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';

interface Setup {
  readonly downloads: Downloads;
  readonly finder: ParentFinder;
  readonly arbiter: ArbiterNode;
  /** All nodes: a report goes to the second closest when the closest was late on a busy machine. */
  readonly nodes: readonly ArbiterNode[];
  readonly request: ContentRequest & { readonly digest: Digest };
  readonly ingests: MemoryIngests;
}

/** A node with its downloads, and the arbiter of a digest, each on a router of its own. */
async function start(t: TestContext): Promise<Setup> {
  const network = new ArbiterNetwork(t);
  const asker = await network.start();
  const arbiter = await network.start();
  await network.meet();
  const digest = await digestNear(arbiter.router, asker.router);
  const ingests = new MemoryIngests();
  ingests.begin(digest, 1000).write(Buffer.alloc(10));
  const { router, arbiters } = asker;
  const downloads = new Downloads({
    store: new MemoryStore(ingests),
    arbiters,
    named: new NamedMembers({ router }),
    followers: new ScriptedFollowers(),
    logger: silent,
  });
  t.after(() => downloads.stop());
  const registry = 'registry.example';
  const request = { kind: 'blob', method: 'GET', registry, repository: 'a', digest } as const;
  return {
    downloads,
    finder: new ParentFinder(downloads),
    arbiter,
    nodes: [arbiter, asker],
    request,
    ingests,
  };
}

async function parentsOf({ finder, request }: Setup): Promise<readonly unknown[]> {
  const all: unknown[] = [];
  for await (const provider of finder.lookup(request.digest)) all.push(provider);
  return all;
}

describe('what an arbiter says of other members', () => {
  it('counts for nothing where this node is connected with the member', async (t) => {
    const setup = await start(t);
    const { downloads, arbiter, nodes, request } = setup;
    using hand = downloads.begin(request);
    const self = arbiter.router.self();
    const parent = { ...self, origins: ['http://127.0.0.77:5000'] };
    arbiter.decision = { kind: 'follow', renewMs: 50, parent };
    assert.deepEqual(await parentsOf(setup), [self]);
    assert.deepEqual(hand.decision, arbiter.decision);
    await eventually(() => {
      const questions = nodes.map(({ asked }) => asked.at(-1)?.question);
      const report = questions.find((question) => question?.state === 'following');
      assert.equal(report?.parent, self.peerId);
      assert.deepEqual([report.offset, report.size], [10, 1000]);
    });
  });

  it('does not lead this node to addresses at which no node can be', async (t) => {
    const setup = await start(t);
    const { downloads, arbiter, request } = setup;
    using hand = downloads.begin(request);
    const origins = ['http://169.254.169.254:80', 'http://node.example:5000', 'http://0.0.0.0:80'];
    arbiter.decision = { kind: 'follow', renewMs: 50, parent: { peerId: STRANGER, origins } };
    assert.deepEqual(await parentsOf(setup), []);
    assert.equal(hand.decision?.kind, 'follow');
    assert.deepEqual(downloads.status(), []);
    arbiter.decision = { kind: 'held', holders: [{ peerId: STRANGER, origins }] };
    assert.deepEqual(await parentsOf(setup), []);
    assert.deepEqual(arbiter.asked.at(-1)?.question.failed, [STRANGER]);
  });

  it('is held against a claim, not against the peer, where it is all that is known', async (t) => {
    const setup = await start(t);
    using hand = setup.downloads.begin(setup.request);
    const parent = { peerId: STRANGER, origins: ['http://127.0.0.78:5000'] };
    setup.arbiter.decision = { kind: 'follow', renewMs: 50, parent };
    assert.deepEqual(await parentsOf(setup), [
      { ...parent, peerId: `${STRANGER}@127.0.0.78:5000` },
    ]);
    assert.deepEqual(hand.decision, setup.arbiter.decision);
  });

  it('is heard again at the end: the arbiter gets to know that the download was given up', async (t) => {
    const setup = await start(t);
    const { downloads, arbiter, nodes, request, ingests } = setup;
    arbiter.decision = { kind: 'fetch', renewMs: 50 };
    await downloads.find(request, AbortSignal.timeout(20_000));
    const current = ingests.begin(request.digest, 1000);
    current.end();
    await eventually(() => {
      const states = nodes.map(({ asked }) => asked.at(-1)?.question.state);
      assert.ok(states.includes('failed'), states.join());
      assert.deepEqual(downloads.status(), []);
    });
  });
});
