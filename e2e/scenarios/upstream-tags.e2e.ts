import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import type { ClusterNode } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage, type ImageFixture } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { allPaths, manifestPath, nameByDigest } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';
import { assertAllPulled, Herd, inOneRound } from './support/herd.ts';
import { pullFromMirror } from './support/mirror-pull.ts';

const LAYERS = [{}, { bytes: 50_000, compression: 'none' as const }];
/** How the registry is away, and whole pulls at the mirrors meanwhile, half of them by tag and half by digest. */
const AWAY = [
  ['cannot be reached', 1_000],
  ['limits requests', 1_000],
  ['fails', 100],
] as const;
/** Longest that all of these may take: a limit against hangs. */
const AWAY_LIMIT_MS = 600_000;
/** Of these at the same time, at each node. */
const AT_ONCE = 3;
const OTHERS = ['d', 'e', 'f', 'g', 'h'].map((name) => ({ suite: 'trixie', name }) as const);

/** What tags mean, with `--upstream`. No containerd knows the registry, so what its agent does not say it does not learn. */
suite('tags of a registry that agents ask', () => {
  let herd: Herd;

  before(async () => {
    herd = await Herd.start([...SUITES.map((suite) => ({ suite })), ...OTHERS]);
    await restart();
    for (const { containerd } of herd.nodes) {
      await writeHostsToml(containerd.certsDir, herd.front.registry, 'http://127.0.0.1:5000');
    }
  });
  after(async () => {
    await herd[Symbol.asyncDispose]();
  });

  /** The agents forget what a registry has said of earlier tags, and until when it is to be left alone. */
  async function restart(): Promise<void> {
    const flags = ['--upstream', herd.front.origin];
    await Promise.all(herd.nodes.map(({ agent }) => agent.restart({ flags })));
  }

  async function pushed(name: string, tag = '1.0'): Promise<ImageFixture> {
    const fixture = await makeImage({
      name: `${herd.front.registry}/tags/${name}:${tag}`,
      layers: LAYERS,
    });
    await herd.front.push(fixture.layout, fixture.image);
    return fixture;
  }

  /** Has one node pull the image, and waits until the other one finds all of it there. */
  async function heldBy(
    holder: ClusterNode,
    { image }: ImageFixture,
    others: readonly ClusterNode[],
  ): Promise<void> {
    await holder.containerd.pullWithCri(image.name);
    const [, ...content] = allPaths(image);
    for (const { agent } of others) {
      for (const path of content) {
        await waitFor(`${agent.node.host.name} finds ${path} at a node`, async () => {
          const { status, headers } = await agent.fetch(path, { method: 'HEAD' });
          return status === 200 && headers.get('x-peerglass-source') !== herd.front.origin;
        });
      }
    }
  }

  /** Pulls at the mirrors of the nodes, whose containerds would have the image after the first pull. */
  async function pullAtMirrors(
    nodes: readonly ClusterNode[],
    image: ImageFixture['image'],
    count: number,
  ): Promise<void> {
    let begun = 0;
    const pulls = nodes.flatMap(({ agent }) =>
      Array.from({ length: AT_ONCE }, async () => {
        while (begun < count) {
          begun += 1;
          await pullFromMirror(agent, image, begun % 2 === 0 ? 'tag' : 'digest');
        }
      }),
    );
    await Promise.all(pulls);
  }

  /** Tags that the agents have answered as they were last seen. */
  async function staleTags(nodes: readonly ClusterNode[]): Promise<number> {
    const each = nodes.map(({ agent }) =>
      agent.metric('peerglass_upstream_tags_total', { answer: 'stale' }),
    );
    return (await Promise.all(each)).reduce((sum, it) => sum + it, 0);
  }

  scenario(
    'a fresh image on eight nodes at once costs a HEAD for each node at most, and one GET of each manifest',
    () => herd,
    async ({ front, nodes }, t) => {
      await inOneRound(t, async (round) => {
        const fixture = await pushed(`fresh${round}`);
        const before = (await front.requests()).length;
        await herd.pullOnAll(fixture);
        const requests = (await front.requests()).slice(before);
        const { image } = fixture;
        const heads = requests.filter(
          ({ method, path }) => method === 'HEAD' && path.includes('/manifests/1.0'),
        );
        const complaints: string[] = [];
        if (heads.length < 1 || heads.length > nodes.length)
          complaints.push(`${heads.length} HEADs of the tag`);
        for (const { digest } of image.blobs) {
          const gets = requests.filter(
            ({ method, path }) => method === 'GET' && path.includes(digest),
          );
          if (gets.length !== 1) complaints.push(`${gets.length} GETs of ${digest}`);
        }
        const byTag = requests.filter(
          ({ method, path }) => method === 'GET' && path.includes('/manifests/1.0'),
        );
        if (byTag.length > 0) complaints.push(`${byTag.length} GETs by tag`);
        t.diagnostic(`${nodes.length} nodes: ${heads.length} HEADs, ${requests.length} requests`);
        return complaints;
      });
    },
  );

  scenario(
    'a tag that has moved is seen at once by nodes that have its old image, and by others',
    () => herd,
    async ({ nodes }) => {
      const [one, two, other] = nodes as [ClusterNode, ClusterNode, ClusterNode];
      const old = await pushed('moved');
      await heldBy(one, old, [two, other]);
      await two.containerd.pullWithCri(old.image.name);
      const moved = await pushed('moved');
      assert.notEqual(moved.image.target.digest, old.image.target.digest);
      await herd.pullOnAll(moved, [one, two, other]);
    },
  );

  const fail = {
    'cannot be reached': async () => {
      await herd.front.switch(false);
    },
    'limits requests': async () => {
      const headers = { 'Retry-After': '60' };
      await herd.front.behave({ rules: [{ path: '/v2/.+', status: 429, headers }] });
    },
    fails: async () => {
      await herd.front.behave({ rules: [{ path: '/v2/.+', status: 502 }] });
    },
  } as const;
  for (const [what, pulls] of AWAY) {
    scenario(
      `while the registry ${what}, none of ${pulls} pulls fails of what a node holds, and the answer says that it is of the past`,
      () => herd,
      async ({ front, nodes }) => {
        const fixture = await pushed(`away-${what.replaceAll(' ', '-')}`);
        const { image } = fixture;
        const [holder, ...others] = nodes as [ClusterNode, ...ClusterNode[]];
        await heldBy(holder, fixture, others);
        const [asker] = others as [ClusterNode];
        const before = await staleTags(others);
        try {
          await fail[what]();
          for (const path of [manifestPath(image), manifestPath(image, image.target.digest)]) {
            const response = await asker.agent.fetch(path);
            await response.arrayBuffer();
            assert.equal(response.status, 200);
            const warning = response.headers.get('warning') ?? '';
            assert.equal(warning.startsWith('299 - "'), path === manifestPath(image), warning);
          }
          await pullAtMirrors(others, image, pulls);
          const stale = await staleTags(others);
          assert.ok(stale - before > pulls / 2, `${stale - before} tags of the past`);
          await herd.pullOnAll(fixture, others);
          await Promise.all(others.map(({ containerd }) => containerd.removeImage()));
          assertAllPulled(await Promise.all(herd.pull(nameByDigest(image), others)));
          for (const { containerd } of others) {
            await assertHoldsImage(containerd, image, nameByDigest(image));
          }
          const log = await asker.agent.logTail(100_000);
          assert.ok(log.includes('it is answered as it was last seen'), 'a line of the log');
          const nowhere = image.name.replace('/away', '/nowhere');
          await assert.rejects(asker.containerd.pullWithCri(nowhere));
        } finally {
          await front.behave({});
          if (what === 'cannot be reached') await front.switch(true);
          await restart();
        }
      },
      { timeoutMs: AWAY_LIMIT_MS },
    );
  }

  scenario(
    'a node that the registry limits gets fresh images from the others, and asks the registry for no manifest',
    () => herd,
    async ({ front, nodes }, t) => {
      const [limited] = nodes as [ClusterNode];
      const from = [limited.host.address];
      const path = '/manifests/sha256:';
      const headers = { 'Retry-After': '600' };
      await front.behave({ rules: [{ path, method: 'GET', from, status: 429, headers }] });
      const first = await pushed('limited-first');
      await assert.rejects(limited.containerd.pullWithCri(first.image.name));
      await inOneRound(t, async (round) => {
        const fixture = await pushed(`limited${round}`);
        const before = (await front.requests()).length;
        const pulled = await Promise.all(herd.pull(fixture.image.name));
        const asked = (await front.requests())
          .slice(before)
          .filter(({ from: client, path: asked }) => client === from[0] && asked.includes(path));
        assert.deepEqual(asked, []);
        return pulled.filter(({ error }) => error !== undefined).map(({ node }) => node.name);
      });
      await front.behave({});
      await restart();
    },
  );

  scenario(
    'what the registry has no more is not pulled, although nodes hold it',
    () => herd,
    async ({ front, nodes }) => {
      const fixture = await pushed('deleted');
      const [holder, other] = nodes as [ClusterNode, ClusterNode];
      await heldBy(holder, fixture, [other]);
      for (const status of [404, 403]) {
        await front.behave({ rules: [{ path: '/v2/tags/deleted/', status }] });
        await assert.rejects(other.containerd.pullWithCri(fixture.image.name), String(status));
        const { body, headers } = await other.agent.fetch(manifestPath(fixture.image));
        assert.equal(headers.get('warning'), null);
        await body?.cancel();
      }
      await front.behave({});
      await herd.pullOnAll(fixture, [other]);
    },
  );

  scenario(
    'latest is what the registry says each time, and its content comes from other nodes',
    () => herd,
    async ({ front, nodes }) => {
      const [holder, other, third] = nodes as [ClusterNode, ClusterNode, ClusterNode];
      const fixture = await pushed('latest', 'latest');
      await heldBy(holder, fixture, [other, third]);
      const before = (await front.requests()).length;
      await herd.pullOnAll(fixture, [other]);
      const requests = (await front.requests()).slice(before);
      assert.ok(requests.length > 0);
      assert.ok(
        requests.every(({ method, path }) => method === 'HEAD' && path.includes('/latest')),
        JSON.stringify(requests),
      );
      await front.behave({ rules: [{ path: '/v2/.+', status: 502 }] });
      for (const { agent, containerd } of [holder, third]) {
        const response = await agent.fetch(manifestPath(fixture.image));
        assert.equal(response.status, 503);
        await response.body?.cancel();
        await assert.rejects(containerd.pullWithCri(fixture.image.name));
      }
      await front.behave({});
      const moved = await pushed('latest', 'latest');
      await herd.pullOnAll(moved, [holder, third]);
      await assertHoldsImage(third.containerd, moved.image);
    },
  );
});
