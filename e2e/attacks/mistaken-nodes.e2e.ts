import assert from 'node:assert/strict';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';

import { buildImage, type BuiltImage } from '../images/image.ts';
import { agentEnvironment, PORTS, PROGRAM } from '../harness/agent-process.ts';
import { execute, type Child } from '../harness/child.ts';
import { REGISTRY } from '../harness/fixtures.ts';
import { Network, type Host } from '../harness/namespaces.ts';
import { runName } from '../harness/run.ts';
import { waitFor } from '../harness/wait.ts';

const LOCAL = 'localhost:30500';
const BRIDGES = 9;
const PATIENCE = { timeout: 240_000 };

/** Nodes that are not what they seem: with a registry of their own, with many addresses, or cloned. */
suite('mistaken nodes', () => {
  let network: Network;
  let first: Host;
  let many: Host;
  let clone: Host;
  let image: BuiltImage;
  let local: BuiltImage;
  const agents = new Map<Host, Child>();

  before(async () => {
    network = await Network.create();
    [first, many, clone] = [
      await network.addHost('first'),
      await network.addHost('many'),
      await network.addHost('clone'),
    ];
    await addBridges(many);
    const layers = [{ bytes: 1_000, compression: 'none' as const }];
    image = await buildImage(layoutOf(many), { name: `${REGISTRY}/team/app:1`, layers });
    local = await buildImage(layoutOf(many), { name: `${LOCAL}/team/local:1`, layers });
    for (const host of [first, many]) await start(host);
  });
  after(async () => {
    for (const agent of agents.values()) await agent.stop();
    await network[Symbol.asyncDispose]();
  });

  function layoutOf(host: Host): string {
    return join(host.directory, 'layout');
  }

  /** Bridges of container networks whose interfaces come before that of the node's own address. */
  async function addBridges(host: Host): Promise<void> {
    const elsewhere = `${runName()}-bridge`;
    await host.execute(['ip', 'link', 'set', 'eth0', 'netns', elsewhere]);
    for (let index = 0; index < BRIDGES; index += 1) {
      const name = `br-${String(index)}`;
      await host.execute(['ip', 'link', 'add', name, 'type', 'bridge']);
      const address = `172.${String(18 + index)}.0.1/16`;
      await host.execute(['ip', 'address', 'add', address, 'dev', name]);
      await host.execute(['ip', 'link', 'set', name, 'up']);
    }
    await execute(['ip', '-n', elsewhere, 'link', 'set', 'eth0', 'netns', host.namespace]);
    await host.execute(['ip', 'address', 'add', `${host.address}/24`, 'dev', 'eth0']);
    await host.execute(['ip', 'link', 'set', 'eth0', 'up']);
  }

  /** Starts an agent that finds the others through the first one. */
  async function start(host: Host): Promise<void> {
    const bootstrap =
      host === first
        ? []
        : ['--static-bootstrap-peers', `/ip4/${first.address}/tcp/${String(PORTS.router)}`];
    const agent = host.start('agent', {
      command: [
        process.execPath,
        ...[PROGRAM, 'registry', '--oci-layout', layoutOf(host)],
        ...['--registry-addr', `:${PORTS.registry}`, '--router-addr', `:${PORTS.router}`],
        ...['--metrics-addr', `:${PORTS.metrics}`, '--data-dir', join(host.directory, 'agent')],
        ...['--bootstrap-kind', 'static', ...bootstrap],
      ],
      env: agentEnvironment(),
    });
    agents.set(host, agent);
    await waitFor('the agent answers', async () => (await statusOf(host)).peerId !== '');
  }

  async function statusOf(host: Host): Promise<{ peerId: string; directory: { peers: number } }> {
    const response = await host.fetch(`http://127.0.0.1:${String(PORTS.metrics)}/debug/status`);
    return (await response.json()) as { peerId: string; directory: { peers: number } };
  }

  /** Asks the mirror of a host as its containerd does. */
  async function ask(host: Host, path: string): Promise<{ status: number; source: string | null }> {
    const response = await host.fetch(`http://127.0.0.1:${String(PORTS.registry)}/v2/${path}`);
    await response.arrayBuffer();
    return { status: response.status, source: response.headers.get('x-peerglass-source') };
  }

  test('one with nine bridges before its own address is found at that', PATIENCE, async () => {
    const served = await waitFor('the image is found', async () => {
      const answer = await ask(first, `team/app/manifests/${image.target.digest}?ns=${REGISTRY}`);
      return answer.status === 200 && answer;
    });
    assert.equal(served.source, `http://${many.address}:${String(PORTS.registry)}`);
  });

  test(
    'the tags of its own registry stay with it, and their content is shared',
    PATIENCE,
    async () => {
      await waitFor('the content is found', async () => {
        const answer = await ask(first, `team/local/manifests/${local.target.digest}?ns=${LOCAL}`);
        return answer.status === 200;
      });
      const tag = await ask(first, `team/local/manifests/1?ns=${LOCAL}`);
      assert.equal(tag.status, 404);
    },
  );

  test('two with one key end with two identities, and both are found', PATIENCE, async () => {
    const [original, copied] = [many, clone].map((host) => join(host.directory, 'agent'));
    assert.ok(original !== undefined && copied !== undefined);
    await cp(original, copied, { recursive: true });
    const key = await readFile(join(original, 'private.key'));
    assert.deepEqual(await readFile(join(copied, 'private.key')), key);
    const mine = await buildImage(layoutOf(clone), {
      name: `${REGISTRY}/team/clone:1`,
      layers: [{ bytes: 1_000, compression: 'none' }],
    });
    const { peerId } = await statusOf(many);
    await start(clone);
    await waitFor(
      'the two have different identities',
      async () => (await statusOf(clone)).peerId !== (await statusOf(many)).peerId,
      { timeoutMs: 50_000 },
    );
    // Neither has run for long, so that one of them takes a new identity or both do: whoever saw the other one.
    for (const host of [many, clone]) {
      const keyNow = await readFile(join(host.directory, 'agent', 'private.key'));
      assert.equal(keyNow.equals(key), (await statusOf(host)).peerId === peerId, host.name);
    }
    await waitFor('both are peers of the first', async () => {
      return (await statusOf(first)).directory.peers === 2;
    });
    const path = `team/clone/manifests/${mine.target.digest}?ns=${REGISTRY}`;
    await waitFor('its image is found', async () => (await ask(first, path)).status === 200);
  });
});
