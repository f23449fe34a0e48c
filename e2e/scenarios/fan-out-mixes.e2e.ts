import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { writeHostsToml } from '../harness/hosts-toml.ts';
import { scenario } from '../harness/scenario.ts';
import { assertAllPulled, Herd, inOneRound, layerOf, RATE } from './support/herd.ts';

const APART = { flags: ['--fan-out=false'] } as const;
const NODES = [
  { suite: 'forky', name: 'chunks', fetchBufferBytes: 1 << 20, fetchStreams: 4 },
  { suite: 'trixie', name: 'one' },
  { suite: 'bookworm', name: 'two' },
  { suite: 'forky', name: 'apart1', ...APART },
  { suite: 'bookworm', name: 'apart2', ...APART },
] as const;

suite('nodes of several kinds that want fresh images at once', () => {
  let herd: Herd;

  before(async () => {
    herd = await Herd.start(NODES);
  });
  after(async () => {
    await herd[Symbol.asyncDispose]();
  });

  /** Those that coordinate downloads. */
  const together = () => herd.nodes.filter(({ name }) => !name.startsWith('apart'));

  /** How many of the nodes that coordinate have received a digest from the registry. */
  async function fetchersOf(digest: string): Promise<number> {
    const addresses = together().map(({ host }) => host.address);
    const requests = await herd.requestsFor(digest);
    return new Set(requests.map(({ from }) => from).filter((it) => addresses.includes(it))).size;
  }

  scenario(
    'all get them, and those that coordinate download once',
    () => herd,
    async ({ front }, t) => {
      await front.behave({ rate: RATE });
      await inOneRound(t, async (round) => {
        const fixture = await herd.image(`mixed${round}`, [12_000_000, 300_000]);
        await herd.pullOnAll(fixture);
        // None, where one that does not coordinate had it before.
        const digests = fixture.image.blobs.map(({ digest }) => digest);
        const counts = await Promise.all(digests.map(fetchersOf));
        return digests.filter((_digest, at) => (counts[at] ?? 0) > 1);
      });
    },
  );

  scenario(
    'get a small layer from a slow registry once',
    () => herd,
    async ({ front }) => {
      const fixture = await herd.image('slow', [300_000]);
      await front.behave({ rate: 50_000 });
      await herd.pullOnAll(fixture, together());
      assert.equal((await herd.requestsFor(layerOf(fixture.image))).length, 1);
    },
  );

  scenario(
    'get a blob that is in two registries from one of them',
    () => herd,
    async ({ front, cluster }) => {
      const other = await cluster.addUpstream('other');
      const fixture = await herd.image('two');
      const name = `${other.registry}/fan-out/two:1.0`;
      await other.push(fixture.layout, { ...fixture.image, name });
      await front.behave({ rate: RATE });
      for (const { containerd } of together()) {
        await writeHostsToml(containerd.certsDir, other.registry, other.origin);
      }
      const [first, ...rest] = together();
      assert.ok(first !== undefined);
      const pulls = herd.pull(fixture.image.name, [first]);
      await herd.receiving([first], 1_000_000);
      pulls.push(...herd.pull(name, rest));
      assertAllPulled(await Promise.all(pulls));
      const digest = layerOf(fixture.image);
      const again = (await other.requests()).filter(({ path }) => path.includes(digest));
      assert.deepEqual(again, []);
      assert.equal(await fetchersOf(digest), 1);
    },
  );

  scenario(
    'get 200 blobs of five images at once',
    () => herd,
    async (_, t) => {
      const nodes = together();
      await inOneRound(t, async (round) => {
        const layers = Array.from({ length: 38 }, (_layer, at) => 1_000 + at);
        const names = Array.from({ length: 5 }, (_name, at) => `many${round}-${at}`);
        const images = await Promise.all(names.map((name) => herd.image(name, layers)));
        const pulls = images.flatMap(({ image }) => herd.pull(image.name, nodes));
        assertAllPulled(await Promise.all(pulls));
        const digests = images.flatMap(({ image }) => image.blobs.map(({ digest }) => digest));
        const counts = await Promise.all(digests.map(fetchersOf));
        assert.ok(counts.every((count) => count > 0));
        const twice = counts.filter((count) => count > 1).length;
        return twice <= digests.length / 20 ? [] : [`${twice} of ${digests.length} blobs`];
      });
    },
  );
});
