import { after, before, suite } from 'node:test';

import { Cluster } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { hostPlatform, type ImageSpec } from '../images/image.ts';

const here = { ...hostPlatform(), layers: [{}, { bytes: 400_000 }] };
const elsewhere = { os: 'linux', architecture: 's390x', layers: [], absent: true };

/** Shapes of images, each without its name. */
const KINDS: Readonly<Record<string, Omit<ImageSpec, 'name'>>> = {
  'an index of which one platform is held': { platforms: [elsewhere, here] },
  'a Docker manifest list of which one platform is held': {
    schema: 'docker',
    platforms: [here, elsewhere],
  },
  'Docker schema 2': { schema: 'docker', layers: [{}, { compression: 'none' }] },
  'zstd layers': { layers: [{ compression: 'zstd', bytes: 2_000_000 }, { compression: 'zstd' }] },
  'an empty layer': { layers: [{ files: 0 }, {}, { files: 1, bytes: 0 }] },
  '60 layers': { layers: Array.from({ length: 60 }, () => ({ bytes: 20_000, files: 1 })) },
};

suite('images of every kind', () => {
  let cluster: Cluster;

  before(async () => {
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name })));
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  for (const [kind, spec] of Object.entries(KINDS)) {
    for (const [index, holder] of SUITES.entries()) {
      scenario(
        `${kind}, from the containerd of ${holder}, arrives whole`,
        () => cluster,
        async ({ nodes }) => {
          const { image, archive } = await makeImage({
            ...spec,
            name: `${REGISTRY}/kinds/app:1.0`,
          });
          await cluster.node(holder).containerd.importArchive(archive);
          const receivers = nodes.filter((node) => node.name !== holder);
          for (const [place, { agent, containerd }] of receivers.entries()) {
            // Over the three holders each receiver has its turn with both.
            const puller = (index + place) % 2 === 0 ? 'ctr' : 'cri';
            await waitUntilVisible(agent, image);
            await containerd.pull(puller, image.name);
            await assertHoldsImage(containerd, image);
          }
        },
      );
    }
  }

  scenario(
    'one layer of 1 GiB arrives whole',
    () => cluster,
    async () => {
      const layers = [{ bytes: 1 << 30, files: 1, compression: 'none' }] as const;
      const { image, archive } = await makeImage({ name: `${REGISTRY}/kinds/large:1.0`, layers });
      await cluster.node('trixie').containerd.importArchive(archive);
      for (const [receiver, puller] of [
        ['bookworm', 'cri'],
        ['forky', 'ctr'],
      ] as const) {
        const { agent, containerd } = cluster.node(receiver);
        await waitUntilVisible(agent, image);
        await containerd.pull(puller, image.name);
        await assertHoldsImage(containerd, image);
        await containerd.removeImage();
      }
    },
    { timeoutMs: 300_000 },
  );
});
