import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';

import { formatSwarmKey, newSwarmKey } from '../../agent/membership/swarm-key.ts';
import { AgentProcess, OPEN_ENVIRONMENT, PORTS } from '../harness/agent-process.ts';
import type { Child } from '../harness/child.ts';
import { ContainerdNode } from '../harness/containerd-node.ts';
import { containerdRelease } from '../harness/containerd-versions.ts';
import { makeImage } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { allPaths } from '../harness/mirror.ts';
import { Network, type Host } from '../harness/namespaces.ts';
import { SPEGEL, SPEGEL_SUITE, startSpegel } from '../harness/spegel-process.ts';
import { Upstream } from '../harness/upstream.ts';
import { waitFor } from '../harness/wait.ts';

const NODES = ['n0', 'n1', 'n2'];
const BOOTSTRAP_PORT = 5002;
const LAYERS = [{}, { bytes: 1_000_000 }];
const LIMIT_MS = 400_000;

/** A machine, and the mirror that runs on it at the moment. */
interface Machine {
  readonly host: Host;
  readonly containerd: ContainerdNode;
  spegel?: Child;
  agent?: AgentProcess;
}

if (SPEGEL === undefined) {
  const why = 'PEERGLASS_E2E_SPEGEL names no program: the migration from Spegel was NOT tested';
  process.stderr.write(`e2e: SKIPPED: ${why}.\n`);
  void test('the migration from Spegel', { skip: why });
} else {
  migrateFrom(SPEGEL);
}

/** docs/MIGRATION.md on three nodes: Spegel, Peerglass beside it, Peerglass alone, with a key beside open, and closed. */
function migrateFrom(program: string): void {
  void suite('the migration from Spegel', () => {
    const resources = new AsyncDisposableStack();
    const machines: Machine[] = [];
    let upstream: Upstream;
    let images = 0;
    let key: string;

    before(async () => {
      const network = resources.use(await Network.create());
      upstream = resources.use(await Upstream.start(await network.addHost('upstream')));
      const release = await containerdRelease(SPEGEL_SUITE);
      for (const name of NODES) {
        const host = await network.addHost(name);
        const containerd = resources.use(await ContainerdNode.start({ host, release }));
        await writeHostsToml(containerd.certsDir, upstream.registry, upstream.origin);
        machines.push({ host, containerd });
      }
      key = join(upstream.host.directory, 'swarm.key');
      await writeFile(key, formatSwarmKey(newSwarmKey()));
    });
    after(() => resources.disposeAsync());

    test('each node serves each other one after every step', { timeout: LIMIT_MS }, async () => {
      const flags = bootstrapFlags();
      for (const machine of machines) {
        machine.spegel = resources.use(startSpegel(program, machine.containerd, flags));
      }
      await pullBetweenAll();
      for (const machine of machines.toReversed()) {
        await machine.spegel?.stop();
        const node = machine.containerd;
        machine.agent = resources.use(
          await AgentProcess.start({ node, peers: [], flags, env: OPEN_ENVIRONMENT }),
        );
        await pullBetweenAll();
      }
      for (const open of ['true', 'false']) {
        for (const { agent } of machines) {
          await agent?.restart({ flags, env: { SWARM_KEY_FILE: key, PEERGLASS_OPEN: open } });
          await pullBetweenAll();
        }
      }
    });

    /** The first node serves `/id` for all, whatever runs on it. */
    function bootstrapFlags(): readonly string[] {
      const first = machines[0]?.host.address ?? '';
      return [
        ...['--bootstrap-kind', 'http', '--http-bootstrap-addr', `:${BOOTSTRAP_PORT}`],
        ...['--http-bootstrap-peer', `http://${first}:${BOOTSTRAP_PORT}`],
      ];
    }

    /** Each node pulls what only the one before it has got from upstream, and upstream sends it no blob. */
    async function pullBetweenAll(): Promise<void> {
      for (const [at, holder] of machines.entries()) {
        const puller = machines[(at + 1) % machines.length];
        assert.ok(puller !== undefined);
        const name = `${upstream.registry}/migration/image-${images++}:1.0`;
        const { image, layout } = await makeImage({ name, layers: LAYERS });
        await upstream.push(layout, image);
        await holder.containerd.pullWithCri(name);
        for (const path of allPaths(image)) {
          await waitFor(
            `${puller.host.name} finds ${path}`,
            async () => (await status(puller, path)) === 200,
            { timeoutMs: 60_000 },
          );
        }
        await puller.containerd.pullWithCri(name);
        await assertHoldsImage(puller.containerd, image);
        const blobs = (await upstream.requests()).filter(
          ({ from, path }) =>
            from === puller.host.address &&
            path.includes(`/image-${images - 1}/`) &&
            path.includes('/blobs/'),
        );
        assert.deepEqual(blobs, []);
      }
    }
  });
}

async function status({ host }: Machine, path: string): Promise<number> {
  const url = `http://127.0.0.1:${PORTS.registry}${path}`;
  const response = await host.fetch(url, { method: 'HEAD' });
  await response.body?.cancel();
  return response.status;
}
