import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { SUITES, type Suite } from '../harness/containerd-versions.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { manifestPath, headStatus, waitUntilVisible } from '../harness/mirror.ts';
import { untilSent } from '../harness/pull-progress.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';

const LAYER_BYTES = 30_000_000;
/** At this speed the layer takes five seconds. */
const MBIT = 48;

suite('a holder fails', () => {
  let cluster: Cluster;

  before(async () => {
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name })));
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  for (const receiver of SUITES) {
    for (const puller of ['ctr', 'cri'] as const) {
      scenario(
        `${receiver} completes its pull with ${puller} when the serving agent is killed in the middle of a layer`,
        () => cluster,
        async (_, t) => {
          await killTheServer(cluster, receiver, puller, (line) => {
            t.diagnostic(line);
          });
        },
      );
    }
  }

  for (const holder of SUITES) {
    scenario(
      `${holder} serves its image again after its containerd restarted`,
      () => cluster,
      async ({ nodes }) => {
        const { image, archive } = await makeImage({ name: `${REGISTRY}/restart/${holder}:1.0` });
        const second = await makeImage({ name: `${REGISTRY}/restart/${holder}-second:1.0` });
        const { agent, containerd } = cluster.node(holder);
        const [one, other] = nodes.filter((node) => node.name !== holder);
        assert.ok(one !== undefined && other !== undefined);
        await containerd.importArchive(archive);
        await waitUntilVisible(one.agent, image);

        const { pid } = agent;
        await containerd.kill();
        // Without containerd the agent keeps running and answers without a hang. Requests of other nodes at this time must
        // not make them believe that it does not hold the image.
        assert.ok([200, 404, 503].includes(await headStatus(agent, manifestPath(image))));
        assert.ok([200, 404].includes(await headStatus(one.agent, manifestPath(image))));
        await waitFor(
          'the outage in the metrics',
          async () => (await agent.metric('peerglass_store_reachable')) === 0,
        );
        await containerd.restart();

        await waitUntilVisible(one.agent, image);
        await waitFor(
          'its end in the metrics',
          async () => (await agent.metric('peerglass_store_reachable')) === 1,
        );
        await one.containerd.pullWithCtr(image.name);
        await assertHoldsImage(one.containerd, image);
        // It follows the new daemon too, not only what it had listed before.
        await containerd.importArchive(second.archive);
        await waitUntilVisible(other.agent, second.image);
        await other.containerd.pullWithCri(second.image.name);
        await assertHoldsImage(other.containerd, second.image);
        assert.ok(agent.isRunning && agent.pid === pid, 'the same agent all the time');
      },
    );
  }
});

async function killTheServer(
  cluster: Cluster,
  receiverName: Suite,
  puller: 'ctr' | 'cri',
  say: (line: string) => void,
): Promise<void> {
  const layers = [{ bytes: LAYER_BYTES, files: 1, compression: 'none' }] as const;
  const name = `${REGISTRY}/killed/${receiverName}-${puller}:1.0`;
  const { image, archive } = await makeImage({ name, layers });
  const receiver = cluster.node(receiverName);
  const holders = cluster.nodes.filter((node) => node !== receiver);
  for (const holder of holders) await holder.containerd.importArchive(archive);
  await waitUntilVisible(receiver.agent, image);

  await receiver.host.limitDownload(MBIT);
  const hosts = holders.map(({ host }) => host);
  const pull = receiver.containerd.pull(puller, image.name);
  let killed: ClusterNode | undefined;
  try {
    const sent = await untilSent(pull, hosts, LAYER_BYTES / 3);
    killed = holders[sent.indexOf(Math.max(...sent))];
    assert.ok(killed !== undefined);
    const arrived = await receiver.containerd.bytesIngested();
    await killed.agent.kill();
    say(`${killed.name} killed after ${arrived} of ${LAYER_BYTES} bytes`);
    assert.ok(arrived < LAYER_BYTES * 0.9, 'in the middle of the layer');
    const survivor = holders.find((it) => it !== killed);
    assert.ok(survivor !== undefined);
    const before = await survivor.host.bytesSent();
    await pull;
    const rest = (await survivor.host.bytesSent()) - before;
    assert.ok(rest > LAYER_BYTES / 10, 'the rest came from the other holder');
    await assertHoldsImage(receiver.containerd, image);
  } finally {
    await receiver.host.limitDownload(undefined);
    await killed?.agent.restart();
  }
}
