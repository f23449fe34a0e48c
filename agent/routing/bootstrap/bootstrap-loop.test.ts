import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { pino } from 'pino';

import { until } from '../../testing/conformance/router.ts';
import { addressOf, startRoutingNode } from '../../testing/routing-node.ts';
import { AddressBook } from '../node/address-book.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import { BootstrapLoop } from './bootstrap-loop.ts';
import { BootstrapError, type Bootstrapper } from './bootstrapper.ts';
import { StaticBootstrapper } from './static-bootstrapper.ts';

const policy = { allows: () => true, configure: () => undefined };

/** Starts a loop on a node; gives it with the lines that it logs. */
function startLoop(
  t: TestContext,
  node: RoutingNode,
  bootstrapper: Bootstrapper,
): { loop: BootstrapLoop; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const logger = pino(
    { level: 'info' },
    { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const loop = new BootstrapLoop({
    node,
    bootstrapper,
    addressBook: new AddressBook(),
    policy,
    logger,
  });
  loop.start();
  t.after(() => loop.stop());
  return { loop, lines };
}

describe('BootstrapLoop', () => {
  it('counts a node without other peers as bootstrapped', async (t) => {
    const node = await startRoutingNode(t, '127.0.0.42');
    const own = addressOf(node);
    const { loop } = startLoop(t, node, new StaticBootstrapper([own]));
    await loop.firstRound;
    assert.deepEqual(loop.status, { bootstrapped: true, named: 0, unreached: [] });
  });

  it('reports and logs once that no peer can be reached, and succeeds when one comes', async (t) => {
    const node = await startRoutingNode(t, '127.0.0.42');
    let address = '/ip4/127.0.1.1/tcp/9';
    const bootstrapper: Bootstrapper = { find: () => new StaticBootstrapper([address]).find() };
    const { loop, lines } = startLoop(t, node, bootstrapper);
    await loop.firstRound;
    assert.equal(loop.status.bootstrapped, false);
    assert.match(loop.status.error ?? '', /none of 1 peers can be reached, .*127\.0\.1\.1/);
    assert.equal(loop.status.named, 1);
    assert.equal(loop.status.unreached.length, 1);

    const peer = await startRoutingNode(t, '127.0.0.43');
    address = addressOf(peer);
    await until(() => loop.status.bootstrapped);
    assert.deepEqual(loop.status, { bootstrapped: true, named: 1, unreached: [] });
    assert.deepEqual(
      lines.map(({ peers }) => peers),
      [undefined, 1],
    );
    assert.match(String(lines[1]?.['msg']), /reaches peers now/);
    assert.equal(lines[0]?.['named'], 1);
    assert.match(String(lines[0]['msg']), /reaches no peer.*\/debug\/status/);
  });

  it('is bootstrapped when it reaches one of several peers, and names the others', async (t) => {
    const [node, peer] = [
      await startRoutingNode(t, '127.0.0.42'),
      await startRoutingNode(t, '127.0.0.43'),
    ];
    const live = addressOf(peer);
    const { loop } = startLoop(t, node, new StaticBootstrapper(['/ip4/127.0.1.1/tcp/9', live]));
    await loop.firstRound;
    assert.equal(loop.status.bootstrapped, true);
    assert.equal(loop.status.named, 2);
    assert.match(loop.status.unreached.join(), /^\/ip4\/127\.0\.1\.1\/tcp\/9: [^,]+$/);
  });

  it('reports why the bootstrapper has no answer', async (t) => {
    const node = await startRoutingNode(t, '127.0.0.42');
    const { loop } = startLoop(t, node, {
      find: () => Promise.reject(new BootstrapError('cannot look up x: ENOTFOUND')),
    });
    await loop.firstRound;
    assert.equal(loop.status.error, 'cannot look up x: ENOTFOUND');
  });
});
