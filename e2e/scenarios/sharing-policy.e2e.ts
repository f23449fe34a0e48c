import { after, before, suite } from 'node:test';

import type { AgentInit } from '../harness/agent-process.ts';
import { Cluster } from '../harness/cluster.ts';
import { SUITES, type Suite } from '../harness/containerd-versions.ts';
import { makeImage, REGISTRY, type ImageFixture } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import {
  allPaths,
  assertHead,
  manifestPath,
  nameByDigest,
  waitUntilVisible,
} from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';

/** Each version holds once, and each pulls from it once with either. */
const TURNS = [
  { holder: 'bookworm', receiver: 'trixie', puller: 'ctr' },
  { holder: 'trixie', receiver: 'forky', puller: 'cri' },
  { holder: 'forky', receiver: 'bookworm', puller: 'ctr' },
] as const;

suite('the sharing policy', () => {
  let cluster: Cluster;

  before(async () => {
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name })));
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  scenario('shares `latest` by digest, not by its tag', use, async () => {
    for (const { holder, receiver, puller } of TURNS) {
      const { image } = await importOn(holder, `${REGISTRY}/policy/${holder}:latest`);
      const { agent, containerd } = cluster.node(receiver);
      const [byTag = '', ...byDigest] = allPaths(image);
      // All else arrives, so the tag would be there too by now.
      for (const path of byDigest) {
        await waitFor(`${receiver} finds ${path}`, async () => (await agent.fetch(path)).ok);
      }
      await assertHead(agent, byTag, 404);
      await containerd.pull(puller, nameByDigest(image));
      await assertHoldsImage(containerd, image, nameByDigest(image));
    }
  });

  scenario('shares by digest only with --resolve-tags=false', use, async () => {
    await withAgents({ flags: ['--resolve-tags=false'] }, async () => {
      for (const { holder, receiver, puller } of TURNS) {
        const { image } = await importOn(holder, `${REGISTRY}/untagged/${holder}:1.0`);
        const { agent, containerd } = cluster.node(receiver);
        const [byTag = '', ...byDigest] = allPaths(image);
        for (const path of byDigest) {
          await waitFor(`${receiver} finds ${path}`, async () => (await agent.fetch(path)).ok);
        }
        await assertHead(agent, byTag, 404);
        await assertHead(cluster.node(holder).agent, byTag, 404);
        await containerd.pull(puller, nameByDigest(image));
        await assertHoldsImage(containerd, image, nameByDigest(image));
      }
    });
  });

  scenario('shares `latest` by its tag with K3S_P2P_ENABLE_LATEST=true', use, async () => {
    await withAgents({ env: { K3S_P2P_ENABLE_LATEST: 'true' } }, async () => {
      for (const { holder, receiver, puller } of TURNS) {
        const { image } = await importOn(holder, `${REGISTRY}/policy/${holder}:latest`);
        const { agent, containerd } = cluster.node(receiver);
        await waitUntilVisible(agent, image);
        await containerd.pull(puller, image.name);
        await assertHoldsImage(containerd, image);
      }
    });
  });

  scenario('neither advertises nor serves what matches --registry-filters', use, async () => {
    const flags = ['--registry-filters', `^${REGISTRY.replaceAll('.', '\\.')}/secret/`];
    await withAgents({ flags }, async () => {
      for (const { holder, receiver, puller } of TURNS) {
        const hidden = await importOn(holder, `${REGISTRY}/secret/${holder}:1.0`);
        const shown = await importOn(holder, `${REGISTRY}/open/${holder}:1.0`);
        const { agent, containerd } = cluster.node(receiver);
        await waitUntilVisible(agent, shown.image);
        await containerd.pull(puller, shown.image.name);
        await assertHoldsImage(containerd, shown.image);
        for (const path of allPaths(hidden.image)) {
          await assertHead(agent, path, 404);
          await assertHead(cluster.node(holder).agent, path, 404);
        }
      }
    });
  });

  scenario('needs a filter only at the holder', use, async () => {
    const holder = cluster.node('trixie');
    await holder.agent.restart({ flags: ['--registry-filters', '/secret/'], env: {} });
    try {
      const hidden = await importOn('trixie', `${REGISTRY}/secret/app:1.0`);
      const shown = await importOn('trixie', `${REGISTRY}/open/app:1.0`);
      await waitUntilVisible(cluster.node('forky').agent, shown.image);
      for (const path of allPaths(hidden.image)) {
        await assertHead(cluster.node('forky').agent, path, 404);
      }
    } finally {
      await holder.agent.restart();
    }
  });

  scenario('shares only the registries of --mirrored-registries', use, async () => {
    await withAgents({ flags: ['--mirrored-registries', `https://${REGISTRY}`] }, async () => {
      for (const { holder, receiver, puller } of TURNS) {
        const other = await importOn(holder, `other.example.test/team/${holder}:1.0`);
        const mirrored = await importOn(holder, `${REGISTRY}/team/${holder}:1.0`);
        const { agent, containerd } = cluster.node(receiver);
        await waitUntilVisible(agent, mirrored.image);
        await containerd.pull(puller, mirrored.image.name);
        await assertHoldsImage(containerd, mirrored.image);
        await assertHead(agent, manifestPath(other.image), 404);
        await assertHead(agent, manifestPath(other.image, other.image.target.digest), 404);
      }
    });
  });

  function use(): Cluster {
    return cluster;
  }

  async function importOn(name: Suite, reference: string): Promise<ImageFixture> {
    const fixture = await makeImage({ name: reference });
    await cluster.node(name).containerd.importArchive(fixture.archive);
    return fixture;
  }

  /** Runs `work` with every agent started so, and then has them as they were. */
  async function withAgents(
    change: Pick<AgentInit, 'flags' | 'env'>,
    work: () => Promise<void>,
  ): Promise<void> {
    await Promise.all(cluster.nodes.map(({ agent }) => agent.restart(change)));
    try {
      await work();
    } finally {
      await Promise.all(cluster.nodes.map(({ agent }) => agent.restart()));
    }
  }
});
