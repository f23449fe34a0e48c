import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { agentEnvironment, PORTS } from '../harness/agent-process.ts';
import type { Host } from '../harness/namespaces.ts';
import { waitFor } from '../harness/wait.ts';
import { getOf, LoneAgent } from './support/lone-agent.ts';

/** The port for the containerd of the node. */
const MIRROR = 5002;
/** Idle connections of others to the port for peers, from four hosts. */
const IDLE = 4_000;
const PATIENCE = { timeout: 240_000 };

/** The listener that a node's own containerd has for itself, on a real agent: others take nothing of it. */
suite('the listener of the node', () => {
  let agent: LoneAgent;
  let node: Host;

  before(async () => {
    agent = await LoneAgent.create({
      others: ['s1', 's2', 's3', 's4'],
      flags: ['--mirror-addr', `:${MIRROR}`],
      env: agentEnvironment(),
      port: MIRROR,
    });
    ({ node } = agent);
  });
  after(() => agent[Symbol.asyncDispose]());

  test('serves the node while others hold 4,000 idle connections of peers', PATIENCE, async () => {
    await agent.start();
    for (const host of agent.others)
      await agent.openAnswered(host, IDLE / 4, getOf('/v2/'), PORTS.registry);
    for (let round = 0; round < 10; round++) {
      assert.equal(await agent.ask(node, '127.0.0.1'), 200);
      assert.equal(await agent.ask(node, node.address), 200);
    }
    await agent.closeAll();
  });

  test('counts no body of the node against --max-uploads', PATIENCE, async () => {
    // Open, so that the other host is served as a peer is.
    await agent.start('--max-uploads', '1', '--open');
    await agent.openAnswered(agent.first, 1, agent.get('large'), PORTS.registry);
    await waitFor('the upload is under way', async () => {
      return (await agent.metric('peerglass_uploads_inflight')) === 1;
    });
    // Bodies that are not read, so that all of them are under way together; then one that is.
    await agent.openAnswered(node, 8, agent.get('large'));
    assert.equal(await agent.ask(node, '127.0.0.1'), 200);
    assert.equal(await agent.metric('peerglass_uploads_inflight'), 1);
    await agent.closeAll();
  });

  test(
    'refuses who is on another host, counts it, and logs the address once',
    PATIENCE,
    async () => {
      await agent.start();
      const before = await agent.metric('peerglass_refused_total', { reason: 'client' });
      for (let round = 0; round < 20; round++)
        assert.equal(await agent.ask(agent.first, node.address), 0);
      await agent.openAnswered(agent.first, 2_000, agent.get('small'));
      assert.equal(await agent.ask(node, '127.0.0.1'), 200);
      const refused =
        (await agent.metric('peerglass_refused_total', { reason: 'client' })) - before;
      assert.equal(refused, 2_020);
      const log = await readFile(join(node.directory, 'agent.log'), 'utf8');
      const lines = log.split('\n').filter((line) => line.includes('"reason":"client"'));
      assert.equal(lines.length, 1, lines.join('\n'));
      assert.ok(lines[0]?.includes(`"address":"${agent.first.address}:`), lines[0]);
      assert.match(lines[0] ?? '', /--node-ip/);
      // The port for peers answers, and gives what it has to nodes of the cluster only.
      assert.equal(await agent.ask(agent.first, node.address, { port: PORTS.registry }), 404);
      await agent.closeAll();
    },
  );

  test(
    'serves others that --node-ip names, and all with --mirror-clients any',
    PATIENCE,
    async () => {
      const [one, other] = agent.others as [Host, Host];
      await agent.start('--node-ip', node.address, '--node-ip', one.address);
      assert.deepEqual(
        [await agent.ask(one, node.address), await agent.ask(other, node.address)],
        [200, 0],
      );
      await agent.start('--mirror-clients', 'any');
      assert.deepEqual(
        [await agent.ask(one, node.address), await agent.ask(other, node.address)],
        [200, 200],
      );
    },
  );

  test('keeps /debug/ from other hosts, and not /metrics', PATIENCE, async () => {
    const status = async (from: Host, to: string, path: string): Promise<number> => {
      const response = await from.fetch(`http://${to}:${PORTS.metrics}${path}`);
      const text = await response.text();
      if (path.startsWith('/debug/') && response.status === 404)
        assert.match(text, /--debug-clients/);
      return response.status;
    };
    await agent.start();
    // The router shows its state once it is up.
    await waitFor('/debug/ is there', async () => {
      return (await status(node, '127.0.0.1', '/debug/status').catch(() => 0)) === 200;
    });
    const paths = ['/debug/status', '/debug/peers', '/debug/providers?key=a', '/metrics', '/livez'];
    const seen = (from: Host, to: string): Promise<number[]> =>
      Promise.all(paths.map((path) => status(from, to, path)));
    assert.deepEqual(await seen(agent.first, node.address), [404, 404, 404, 200, 200]);
    assert.deepEqual(await seen(node, node.address), [404, 404, 404, 200, 200]);
    assert.deepEqual(await seen(node, '127.0.0.1'), [200, 200, 200, 200, 200]);
    await agent.start('--debug-clients', 'node');
    await sleep(1_000);
    assert.deepEqual(await seen(agent.first, node.address), [404, 404, 404, 200, 200]);
    assert.deepEqual(await seen(node, node.address), [200, 200, 200, 200, 200]);
  });
});
