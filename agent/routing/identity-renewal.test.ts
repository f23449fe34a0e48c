import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';

import type { PrivateKey } from '@libp2p/interface';
import { pino } from 'pino';

import { until } from '../testing/conformance/router.ts';
import { loadIdentity, type RenewedIdentity } from './node/identity.ts';
import { IdentityRenewal } from './identity-renewal.ts';

const ADDRESS = '/ip4/10.0.0.9/tcp/5001';

function create(renewIdentity?: () => Promise<RenewedIdentity>, youngMs?: number) {
  const lines: { level: number; msg: string }[] = [];
  const replaced: PrivateKey[] = [];
  const renewal = new IdentityRenewal(
    {
      peerId: () => `peer ${String(replaced.length)}`,
      renewIdentity,
      replace: (key) => {
        replaced.push(key);
        return Promise.resolve();
      },
      logger: pino(
        { level: 'info' },
        { write: (line) => lines.push(JSON.parse(line) as (typeof lines)[number]) },
      ),
    },
    youngMs,
  );
  return { renewal, lines, replaced };
}

describe('IdentityRenewal', () => {
  it('replaces the identity of a node that started a moment ago, once', async () => {
    const key = await loadIdentity();
    const { renewal, lines, replaced } = create(() =>
      Promise.resolve({ privateKey: key, replacedIn: '/data/private.key.replaced' }),
    );
    renewal.start();
    renewal.found(ADDRESS);
    renewal.found(ADDRESS);
    assert.equal(renewal.duplicate, ADDRESS);
    await until(() => lines.length > 0);
    assert.deepEqual(replaced, [key]);
    assert.equal(renewal.duplicate, undefined, 'it is mended');
    assert.match(
      lines[0]?.msg ?? '',
      /has a new identity now; the previous key is in \/data\/private\.key\.replaced$/,
    );
    await renewal.stop();
  });

  it('warns once when the node has run for long, and reports the duplicate for a while', (t: TestContext) => {
    let now = 1_000;
    t.mock.method(performance, 'now', () => now);
    const { renewal, lines, replaced } = create(() => assert.fail('it keeps its identity'));
    renewal.start();
    now += 120_001;
    renewal.found(ADDRESS);
    renewal.found(ADDRESS);
    assert.equal(renewal.duplicate, ADDRESS);
    now += 300_001;
    assert.equal(renewal.duplicate, undefined);
    assert.deepEqual(replaced, []);
    assert.deepEqual(
      lines.map(({ level }) => level),
      [40],
    );
  });

  it('keeps the identity when the new one cannot be made, with one error in the log', async () => {
    let attempts = 0;
    const { renewal, lines, replaced } = create(() => {
      attempts += 1;
      return Promise.reject(new Error('read-only'));
    });
    renewal.start();
    renewal.found(ADDRESS);
    await until(() => lines.length > 0);
    assert.equal(lines[0]?.level, 50);
    assert.deepEqual(replaced, []);
    assert.equal(renewal.duplicate, ADDRESS);
    await renewal.stop();
    renewal.start();
    renewal.found(ADDRESS);
    await renewal.stop();
    assert.equal(attempts, 1, 'it does not try again');
    assert.equal(lines.length, 1, 'nor is there another line');
  });

  it('says nothing of a renewal that the stop ends', async () => {
    const { promise, reject } = Promise.withResolvers<never>();
    const { renewal, lines } = create(() => promise);
    renewal.start();
    renewal.found(ADDRESS);
    const stopped = renewal.stop();
    reject(new Error('stopped'));
    await stopped;
    assert.deepEqual(lines, []);
  });

  it('does nothing before its start and after its stop', async () => {
    const { renewal, lines } = create();
    renewal.found(ADDRESS);
    renewal.start();
    await renewal.stop();
    renewal.found(ADDRESS);
    assert.equal(renewal.duplicate, undefined);
    assert.deepEqual(lines, []);
  });
});
