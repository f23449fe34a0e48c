import assert from 'node:assert/strict';
import { after, before, suite, type TestContext } from 'node:test';

import { makeImage, type ImageFixture } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { manifestPath } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';
import { assertAllPulled, Herd } from '../scenarios/support/herd.ts';
import {
  LIES,
  startFalseCoordinator,
  type FalseCoordinator,
  type Named,
  type Order,
} from './support/false-coordinator.ts';
import { assertRefused, failedByDigest, resolveOnAll } from './support/tag-pulls.ts';

const NODES = ['a', 'b', 'c'].map((name) => ({ suite: 'forky', name }) as const);
const LIARS = 3;
const TAG = '/manifests/1.0';
/**
 * Images that are pulled until a liar coordinates the tag of one. Members whose answers were of no use in the scenario before
 * come last for five seconds, and a round takes less than one.
 */
const ROUNDS = 30;
/** Resolves of one tag by each node, in the last of which none waits for a liar. */
const RESOLVES = 4;
/** What no registry has. */
const INVENTED: Named = {
  digest: `sha256:${'0f'.repeat(32)}`,
  mediaType: 'application/vnd.oci.image.index.v1+json',
  size: 500,
};

/** Three honest nodes with `--upstream`, and three members, each of which coordinates some tags. */
suite('a member that lies about tags while nodes ask for them together', () => {
  let herd: Herd;
  const liars: FalseCoordinator[] = [];

  before(async () => {
    herd = await Herd.start(NODES);
    const flags = ['--upstream', herd.front.origin];
    await Promise.all(herd.nodes.map(({ agent }) => agent.restart({ flags })));
    for (const { containerd } of herd.nodes) {
      await writeHostsToml(containerd.certsDir, herd.front.registry, 'http://127.0.0.1:5000');
    }
    const addresses = herd.nodes.map(({ host }) => host.address);
    for (let at = 0; at < LIARS; at++) {
      const host = await herd.cluster.network.addHost(`liar${at}`);
      liars.push(await startFalseCoordinator(host, addresses));
    }
  });
  after(async () => {
    for (const liar of liars) await liar[Symbol.asyncDispose]();
    await herd[Symbol.asyncDispose]();
  });

  /** Has all liars do so. Returns how many questions they were asked since the last order. */
  async function order(order: Order): Promise<number> {
    const deeds = await Promise.all(liars.map((liar) => liar.order(order)));
    return deeds.reduce((sum, { asked }) => sum + asked, 0);
  }

  /** Has all liars say to each member that they ask for a tag, before nodes do. */
  async function askFirst(deed: Order & Required<Pick<Order, 'asksFor'>>): Promise<void> {
    await order(deed);
    for (const liar of liars) {
      await waitFor('it has said so', async () => (await liar.order(deed)).sent > 0);
    }
  }

  /** Runs the round until it has nothing to complain of, with a fresh image each time. A failed assertion ends it at once. */
  async function inSomeRound(
    t: TestContext,
    name: string,
    round: (fixture: ImageFixture) => Promise<readonly string[]>,
  ): Promise<void> {
    for (let number = 1; ; number++) {
      const complaints = await round(await pushed(`${name}-${number}`));
      if (complaints.length === 0) return;
      t.diagnostic(`round ${number}: ${complaints.join(', ')}`);
      if (number === ROUNDS) assert.deepEqual(complaints, []);
    }
  }

  async function pushed(name: string, tag = '1.0', bytes = 20_000): Promise<ImageFixture> {
    const fixture = await makeImage({
      name: `${herd.front.registry}/tag-lies/${name}:${tag}`,
      layers: [{ bytes, compression: 'none' }],
    });
    await herd.front.push(fixture.layout, fixture.image);
    return fixture;
  }

  async function assertLatestIsOfRegistry(name: string): Promise<void> {
    const { image } = await pushed(name, 'latest');
    const { digests, heads } = await resolveOnAll(herd, manifestPath(image));
    assert.deepEqual(digests, Array(NODES.length).fill(image.target.digest));
    assert.equal(heads, NODES.length, 'each node asks what latest is');
  }

  for (const lie of LIES) {
    scenario(
      `with ${lie} fails no pull, holds none up again, and keeps no refusal of the registry from a node`,
      () => herd,
      async (_, t) => {
        await inSomeRound(t, lie, async (fixture) => {
          const asked: number[] = [];
          await order({ lie });
          for (let times = 1; times <= RESOLVES; times++) {
            const { digests, heads } = await resolveOnAll(herd, manifestPath(fixture.image));
            assert.deepEqual(digests, Array(NODES.length).fill(fixture.image.target.digest));
            assert.ok(heads >= 1 && heads <= NODES.length, `${heads} HEADs`);
            asked.push(await order({ lie }));
          }
          await herd.pullOnAll(fixture);
          t.diagnostic(`questions to liars in each resolve: ${String(asked)}`);
          if (asked[0] === 0) return ['no liar was a coordinator'];
          // A node whose first question was not answered in 150 ms has not waited: a machine may be so busy.
          if (lie.startsWith('wait') && asked.at(-1) !== 0) return ['a liar is asked again'];
          await assertRefused(herd, fixture);
          return [];
        });
        await assertLatestIsOfRegistry(lie);
      },
    );
  }

  for (const [what, name, begin] of [
    ['names', 'named', () => order({ lie: 'tell', named: INVENTED })],
    [
      'asks first, and reports',
      'reported',
      (asksFor) => askFirst({ lie: 'alone', named: INVENTED, asksFor, reports: true }),
    ],
  ] satisfies [string, string, (tag: string) => Promise<unknown>][]) {
    scenario(
      `that ${what} what no registry has fails a pull of each node once, and gives none another image`,
      () => herd,
      async ({ front }, t) => {
        await inSomeRound(t, name, async (fixture) => {
          const { image } = fixture;
          await begin(image.name);
          const failed = await failedByDigest(herd, fixture, INVENTED.digest);
          // It goes on, and the kubelet tries again.
          await herd.pullOnAll(fixture, failed);
          if (failed.length === 0) return ['no node was told'];
          const [repository = ''] = manifestPath(image).split('/manifests/');
          await front.behave({ rules: [{ path: repository, status: 404 }] });
          const pulled = await Promise.all(herd.pull(image.name));
          assert.ok(pulled.every(({ error }) => error !== undefined));
          await front.behave({});
          return [];
        });
        await assertLatestIsOfRegistry(name);
      },
    );
  }

  scenario(
    'that names another image of the registry gives nodes that image or the right one',
    () => herd,
    async ({ nodes }, t) => {
      await inSomeRound(t, 'other', async (fixture) => {
        const { name } = fixture.image;
        const [, repository = ''] = /([^/]+):1\.0$/.exec(name) ?? [];
        const { image: other } = await pushed(repository, 'other', 30_000);
        await order({ lie: 'tell', named: other.target });
        assertAllPulled(await Promise.all(herd.pull(name)));
        let told = 0;
        for (const { containerd } of nodes) {
          const isTold = (await containerd.images()).get(name) === other.target.digest;
          await assertHoldsImage(containerd, isTold ? other : fixture.image, name);
          told += Number(isTold);
        }
        await order({ lie: 'alone' });
        await Promise.all(nodes.map(({ containerd }) => containerd.removeImage()));
        await herd.pullOnAll(fixture);
        return told === 0 ? ['no node was told'] : [];
      });
    },
  );

  scenario(
    'that says that it asks the registry, and never reports, has each node ask',
    () => herd,
    async ({ front }, t) => {
      await inSomeRound(t, 'held', async (fixture) => {
        // Nodes would share the HEAD, which takes its time.
        await front.behave({ rules: [{ path: TAG, method: 'HEAD', delayMs: 600 }] });
        await askFirst({ lie: 'wait', asksFor: fixture.image.name });
        const before = (await front.requests()).length;
        await herd.pullOnAll(fixture);
        const requests = (await front.requests()).slice(before);
        const heads = requests.filter(
          ({ method, path }) => method === 'HEAD' && path.includes(TAG),
        );
        return heads.length === NODES.length ? [] : [`${heads.length} HEADs of the tag`];
      });
    },
  );

  scenario(
    'that asks each node 10,000 questions a second fails no pull',
    () => herd,
    async (_, t) => {
      const fixture = await pushed('flood');
      await order({ lie: 'alone' });
      const [liar] = liars;
      assert.ok(liar !== undefined);
      const deed = { questionsPerSecond: 10_000 };
      await waitFor('it has begun', async () => (await liar.order(deed)).sent > 0);
      const { heads, digests } = await resolveOnAll(herd, manifestPath(fixture.image));
      assert.deepEqual(digests, Array(NODES.length).fill(fixture.image.target.digest));
      assert.ok(heads >= 1 && heads <= NODES.length, `${heads} HEADs`);
      await herd.pullOnAll(fixture);
      t.diagnostic(`${heads} HEADs beside ${(await liar.order({})).sent} messages`);
    },
  );
});
