import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { OPEN_ENVIRONMENT, PORTS } from '../harness/agent-process.ts';
import type { Host } from '../harness/namespaces.ts';
import { waitFor } from '../harness/wait.ts';
import { getOf, LARGE, LoneAgent } from './support/lone-agent.ts';

/** Connections that one address may have. */
const PER_ADDRESS = 1_024;
/** Bodies that a node sends at once, `--max-uploads`. */
const UPLOADS = 512;
const PATIENCE = { timeout: 240_000 };
const AS_PEER = { headers: ['x-spegel-mirrored: true'] };

/** Hosts that take what they can get of one agent, another host that needs it, and the node of the agent itself. */
suite('greedy clients', () => {
  let agent: LoneAgent;
  let node: Host;
  let peer: Host;
  let greedy: readonly Host[];

  before(async () => {
    agent = await LoneAgent.create({
      others: ['g1', 'g2', 'g3', 'g4', 'peer'],
      // Anyone is served in an open cluster: a member could be as greedy.
      env: OPEN_ENVIRONMENT,
      port: PORTS.registry,
    });
    ({ node } = agent);
    [peer, greedy] = [agent.others.at(-1) ?? node, agent.others.slice(0, -1)];
  });
  after(() => agent[Symbol.asyncDispose]());

  for (const header of ['x-spegel-mirrored: true', 'x-nothing: at all']) {
    test(`bodies that are not read leave uploads to a peer (${header})`, PATIENCE, async () => {
      await agent.start();
      await agent.open(agent.first, UPLOADS, agent.get('large', header));
      // As many as the address gets; the others hear 503.
      await waitFor('the bodies are under way', async () => {
        return (await agent.metric('peerglass_uploads_inflight')) >= UPLOADS / 4;
      });
      const large = { layer: 'large', ...AS_PEER } as const;
      assert.equal(await agent.ask(peer, node.address, large), 200);
      assert.equal(await agent.ask(peer, node.address), 200);
      assert.equal(await agent.ask(node, '127.0.0.1'), 200);
      await agent.closeAll();
    });
  }

  test('idle connections leave one to the node itself, and to a peer', PATIENCE, async () => {
    await agent.start();
    for (const host of greedy) await agent.openAnswered(host, PER_ADDRESS, getOf('/v2/'));
    await sleep(1_500); // Only a connection that was idle for a second is closed for another.
    for (let round = 0; round < 5; round++) {
      assert.equal(await agent.ask(node, '127.0.0.1'), 200);
      assert.equal(await agent.ask(node, node.address), 200);
      assert.equal(await agent.ask(peer, node.address, AS_PEER), 200);
    }
    await agent.closeAll();
  });

  test('--upload-limit holds for a client that does not say to be a peer', PATIENCE, async () => {
    await agent.start('--upload-limit', '1MiB');
    const [socket] = await agent.open(agent.first, 1, agent.get('large'));
    let bytes = 0;
    socket?.on('data', (chunk: Buffer) => (bytes += chunk.length));
    await waitFor('the body has begun', () => bytes > 0);
    // The node itself gets all of it meanwhile.
    assert.equal(await agent.ask(node, '127.0.0.1', { layer: 'large' }), 200);
    assert.equal(await agent.ask(node, node.address, { layer: 'large' }), 200);
    assert.ok(bytes < LARGE / 2, `${bytes} bytes`);
    await agent.closeAll();
  });
});
