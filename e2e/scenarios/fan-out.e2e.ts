import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import type { FanOutReport } from '../../agent/app/fan-out-report.ts';
import type { ClusterNode } from '../harness/cluster.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { scenario } from '../harness/scenario.ts';
import { assertAllPulled, Herd, inOneRound, LAYER_BYTES, layerOf, RATE } from './support/herd.ts';

/** What `/debug/downloads` of a node answers. */
async function reportOf({ agent }: ClusterNode): Promise<FanOutReport> {
  const response = await agent.fetchMetrics('/debug/downloads');
  return (await response.json()) as FanOutReport;
}

suite('a fresh image that all nodes want at once', () => {
  let herd: Herd;

  before(async () => {
    herd = await Herd.start();
  });
  after(async () => {
    await herd[Symbol.asyncDispose]();
  });

  scenario(
    'is downloaded once',
    () => herd,
    async ({ front }, t) => {
      await front.behave({ rate: RATE });
      await inOneRound(t, async (round) => {
        const layers = [LAYER_BYTES, 8_000_000, 100_000, 20_000];
        const fixture = await herd.image(`once${round}`, layers);
        await herd.pullOnAll(fixture);
        const complaints: string[] = [];
        for (const { digest, size } of fixture.image.blobs) {
          const { length } = await herd.requestsFor(digest);
          if (length !== 1) complaints.push(`${length} times ${digest} of ${String(size)} bytes`);
        }
        return complaints;
      });
    },
  );

  scenario(
    'is shown by /debug/downloads while it arrives: from whom, for whom, and who decides',
    () => herd,
    async ({ nodes, front }) => {
      const fixture = await herd.image('shown');
      const digest = layerOf(fixture.image);
      await front.behave({ rate: RATE });
      const pulls = herd.pull(fixture.image.name);
      const fetcher = await herd.fetcher(fixture);
      await herd.receiving(nodes, LAYER_BYTES / 3);
      const reports = await Promise.all(nodes.map(reportOf));
      const states = reports.map(
        ({ downloads }) => downloads.find((it) => it.digest === digest)?.state,
      );
      assert.deepEqual(
        states,
        nodes.map((node) => (node === fetcher ? 'fetching' : 'following')),
        JSON.stringify(reports),
      );
      for (const { downloads } of reports) {
        const shown = downloads.find((it) => it.digest === digest);
        assert.equal(shown?.repository, 'fan-out/shown');
        assert.ok(shown.bytes > 0 && shown.bytesPerSecond > 0, JSON.stringify(shown));
        const parent = nodes.find(({ host }) => shown.fromOrigin?.includes(host.address));
        if (shown.state === 'following') assert.ok(parent, shown.fromOrigin);
      }
      const addresses = new Set(
        reports.flatMap(({ downloads }) => downloads.flatMap((it) => it.followerAddresses)),
      );
      assert.ok(
        nodes.every((node) => node === fetcher || addresses.has(node.host.address)),
        [...addresses].join(),
      );
      const deciding = reports.flatMap(({ arbiter }) =>
        arbiter.latest.filter((it) => digest.startsWith(it.digest.slice(0, -1))),
      );
      assert.ok(deciding.some(({ fetchers }) => fetchers[0]?.reason === 'first'));
      assertAllPulled(await Promise.all(pulls));
      for (const { agent } of nodes) {
        const status = await (await agent.fetchMetrics('/debug/status')).json();
        const { fanOut } = status as { fanOut: unknown };
        const others = nodes.length - 1;
        assert.deepEqual(fanOut, {
          ...{ enabled: true, seesDownloads: true },
          ...{ peers: others, speakers: others },
        });
      }
    },
  );

  scenario(
    'goes to a node that joins when most of it has arrived',
    () => herd,
    async ({ nodes, front }) => {
      const fixture = await herd.image('late');
      const [late, ...early] = nodes;
      assert.ok(late !== undefined);
      await front.behave({ rate: RATE });
      const pulls = herd.pull(fixture.image.name, early);
      await herd.receiving(early, LAYER_BYTES * 0.9);
      pulls.push(...herd.pull(fixture.image.name, [late]));
      assertAllPulled(await Promise.all(pulls));
      assert.equal((await herd.requestsFor(layerOf(fixture.image))).length, 1);
      await assertHoldsImage(late.containerd, fixture.image);
    },
  );

  scenario(
    'shares its layers with another image that is pulled at the same time',
    () => herd,
    async ({ nodes, front }) => {
      // The same seed gives the same layers.
      const one = await herd.image('shared');
      await front.behave({ rate: RATE });
      const other = one.image.name.replace('/shared:', '/copy:');
      await front.push(one.layout, { ...one.image, name: other });
      const half = Math.ceil(nodes.length / 2);
      assertAllPulled(
        await Promise.all([
          ...herd.pull(one.image.name, nodes.slice(0, half)),
          ...herd.pull(other, nodes.slice(half)),
        ]),
      );
      assert.equal((await herd.requestsFor(layerOf(one.image))).length, 1);
    },
  );

  scenario(
    'of many blobs is downloaded once',
    () => herd,
    async ({ front }, t) => {
      await front.behave({ rate: RATE });
      await inOneRound(t, async (round) => {
        const layers = Array.from({ length: 60 }, (_, at) => 1_000 + at);
        const fixture = await herd.image(`many${round}`, layers);
        await herd.pullOnAll(fixture);
        const counts = await Promise.all(
          fixture.image.blobs.map(async ({ digest }) => (await herd.requestsFor(digest)).length),
        );
        assert.ok(counts.every((count) => count > 0));
        const twice = counts.filter((count) => count > 1).length;
        return twice <= 2 ? [] : [`${twice} of ${counts.length} blobs`];
      });
    },
    { timeoutMs: 300_000 },
  );

  scenario(
    'is pulled by one node alone as without the others',
    () => herd,
    async ({ nodes, front }) => {
      const fixture = await herd.image('alone');
      await front.behave({ rate: RATE });
      await herd.pullOnAll(fixture, nodes.slice(0, 1));
      assert.equal((await herd.requestsFor(layerOf(fixture.image))).length, 1);
    },
  );
});
