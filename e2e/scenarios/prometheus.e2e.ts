import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { alertRules, ALERTS } from '../../scripts/monitoring/alerts.ts';
import { DASHBOARD_ROWS } from '../../scripts/monitoring/panels.ts';
import { PORTS } from '../harness/agent-process.ts';
import { Cluster } from '../harness/cluster.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { filled } from '../harness/grafana.ts';
import { waitUntilVisible } from '../harness/mirror.ts';
import { Prometheus, staticTargets } from '../harness/prometheus.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';

/** Pulls of new images until every panel has had something to show. */
const MOST_ROUNDS = 15;

/** The rules and queries of the chart, in a real Prometheus that scrapes real agents. */
suite('metrics, alerts and dashboard', () => {
  let cluster: Cluster;
  let prometheus: Prometheus;

  before(async () => {
    cluster = await Cluster.start([
      { suite: 'bookworm', name: 'a' },
      { suite: 'bookworm', name: 'b' },
    ]);
    prometheus = await Prometheus.start({
      host: await cluster.network.addHost('prometheus'),
      scrapeConfigs: staticTargets(
        cluster.nodes.map(({ host }) => `${host.address}:${PORTS.metrics}`),
      ),
      targets: cluster.nodes.length,
      rules: alertRules(),
    });
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    'no panel of the dashboard is empty while images are pulled',
    () => cluster,
    async () => {
      const empty = new Map(
        Object.values(DASHBOARD_ROWS).flatMap((panels) =>
          panels.map(({ title, queries }) => [title, queries.map(({ expr }) => filled(expr))]),
        ),
      );
      for (let round = 1; round <= MOST_ROUNDS && empty.size > 0; round += 1) {
        await pullSomethingNew(cluster, round);
        for (const [title, queries] of empty) {
          const values = await Promise.all(queries.map((query) => prometheus.query(query)));
          if (values.flat().some(Number.isFinite)) empty.delete(title);
        }
      }
      assert.deepEqual([...empty.keys()], []);
    },
  );

  scenario(
    'the alerts load, stay inactive, and become pending when containerd is down',
    () => cluster,
    async ({ nodes: [node] }) => {
      const rules = await waitFor('all alerts have been looked at', async () => {
        const found = await prometheus.rules();
        return found.every(({ health }) => health !== 'unknown') && found;
      });
      assert.deepEqual(
        rules.map(({ name, health, lastError }) => [name, health, lastError]),
        Object.keys(ALERTS).map((name) => [name, 'ok', undefined]),
      );
      const active = async (): Promise<string[]> =>
        (await prometheus.rules()).filter((it) => it.state !== 'inactive').map((it) => it.name);
      await waitFor('no alert', async () => (await active()).length === 0);
      await node?.containerd.kill();
      await waitFor('the alert', async () => (await active()).join() === 'PeerglassContainerdAway');
      await node?.containerd.restart();
      await waitFor('its end', async () => (await active()).length === 0);
    },
  );
});

/** Imports an image into the first node, and pulls it on the second. */
async function pullSomethingNew({ nodes: [holder, asker] }: Cluster, round: number): Promise<void> {
  assert.ok(holder !== undefined && asker !== undefined);
  const name = `${REGISTRY}/watched/app:${round}.0`;
  const { image, archive } = await makeImage({ name, layers: [{ bytes: 3_000_000 }] });
  await holder.containerd.importArchive(archive);
  await waitUntilVisible(asker.agent, image);
  await asker.containerd.pullWithCtr(name);
  // Content that no node holds, so that the arbiter is asked.
  const unknown = `sha256:${String(round).padStart(64, '0')}`;
  const path = `/v2/watched/app/blobs/${unknown}?ns=${REGISTRY}`;
  assert.equal((await asker.agent.fetch(path)).status, 404);
}
