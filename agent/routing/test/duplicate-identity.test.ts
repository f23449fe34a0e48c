import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';

import { privateKeyToProtobuf, privateKeyFromProtobuf } from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { pino } from 'pino';
import { Registry } from 'prom-client';

import { Publisher } from '../../inventory/publisher.ts';
import { createMetrics } from '../../metrics/metrics.ts';
import { found, until } from '../../testing/conformance/router.ts';
import { listen } from '../../testing/listen.ts';
import { silent } from '../../testing/test-network.ts';
import { HttpBootstrapper } from '../bootstrap/http-bootstrapper.ts';
import { StaticBootstrapper } from '../bootstrap/static-bootstrapper.ts';
import type { Bootstrapper } from '../bootstrap/bootstrapper.ts';
import type { Libp2pRouterInit } from '../create-router-parts.ts';
import { Libp2pRouter } from '../libp2p-router.ts';
import { IDENTITY_FILE, loadIdentity, renewIdentity, REPLACED_FILE } from '../node/identity.ts';

interface Node {
  readonly router: Libp2pRouter;
  readonly warnings: string[];
}

/** A node whose private key is a copy; `folder` is its data directory. */
async function start(
  t: TestContext,
  privateKey: PrivateKey,
  host: string,
  bootstrapper: Bootstrapper,
  init: Partial<Libp2pRouterInit> = {},
  folder = '',
  onRenewed?: () => void,
): Promise<Node> {
  const warnings: string[] = [];
  const router = new Libp2pRouter(
    {
      privateKey: privateKeyFromProtobuf(privateKeyToProtobuf(privateKey)),
      bootstrapper,
      renewIdentity: async () => {
        const renewed = await renewIdentity(folder);
        onRenewed?.();
        return renewed;
      },
      logger: pino(
        { level: 'warn' },
        { write: (line) => warnings.push((JSON.parse(line) as { msg: string }).msg) },
      ),
    },
    { listen: [`/ip4/${host}/tcp/0`], registryPort: 6000, probeMs: 50, ...init },
  );
  await router.start();
  t.after(() => router.stop());
  return { router, warnings };
}

const atAddressOf = ({ router }: Node) => new StaticBootstrapper([String(router.listening[0])]);
const nothing = new StaticBootstrapper([]);
const OLD = { youngMs: 0 };

describe('Two nodes with the same private key', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'peerglass-identity-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('find each other when the later one has met the other and taken a new identity', async (t) => {
    const key = await loadIdentity(folder);
    const before = await readFile(join(folder, IDENTITY_FILE));
    const one = await start(t, key, '127.0.0.50', nothing, OLD);
    await one.router.advertise(['one']);
    const later = await start(t, key, '127.0.0.51', atAddressOf(one), {}, folder);
    const shared = later.router.peerId;
    await later.router.advertise(['later']);
    await until(() => later.router.peerId !== shared && later.router.status().peers === 1);
    assert.equal(one.router.peerId, shared);
    await until(async () => {
      const [theirs, ours] = [await found(one.router, 'later'), await found(later.router, 'one')];
      return theirs[0]?.peerId === later.router.peerId && ours[0]?.peerId === shared;
    });
    assert.equal(later.router.status().duplicateIdentity, undefined);
    assert.match(later.warnings.join('\n'), /copy of private\.key: this node began later/);
    assert.notDeepEqual(await readFile(join(folder, IDENTITY_FILE)), before);
    assert.deepEqual(await readFile(join(folder, REPLACED_FILE)), before);
    const kept = peerIdFromPrivateKey(await loadIdentity(folder));
    assert.equal(kept.toString(), later.router.peerId);
  });

  it('withdraw a key that is withdrawn while the later one starts once more', async (t) => {
    const key = await loadIdentity();
    const one = await start(t, key, '127.0.0.59', nothing, OLD);
    const renewed = Promise.withResolvers<undefined>();
    const watched = Promise.withResolvers<undefined>();
    const bootstrapper = { find: () => watched.promise.then(() => atAddressOf(one).find()) };
    const { router } = await start(t, key, '127.0.0.60', bootstrapper, {}, '', () => {
      renewed.resolve(undefined);
    });
    const publisher = new Publisher({ router, metrics: createMetrics(), logger: silent });
    const ending = new AbortController();
    const running = publisher.run(ending.signal);
    t.after(() => {
      ending.abort();
      return running;
    });
    void router.advertise(['kept', 'withdrawn']);
    watched.resolve(undefined);
    await renewed.promise;
    // The restart begins after this, and may need no turn of the event loop.
    while (router.listening.length > 0) await Promise.resolve();
    assert.deepEqual(
      ['kept', 'withdrawn', 'other'].map((it) => router.isAdvertised(it)),
      [true, true, false],
    );
    assert.equal(router.status().advertisedKeys, 2);
    await assert.rejects(router.withdraw(['withdrawn']), /not started/);
    publisher.set('withdrawn', false);
    await until(() => router.peerId !== one.router.peerId && !router.isAdvertised('withdrawn'));
    await until(async () => (await found(one.router, 'kept')).length === 1);
    assert.deepEqual(await found(one.router, 'withdrawn'), []);
    assert.equal(router.status().advertisedKeys, 1);
  });

  it('leave the metrics of libp2p those of the node that runs', async (t) => {
    const key = await loadIdentity();
    const metricsRegistry = new Registry();
    const one = await start(t, key, '127.0.0.61', nothing, OLD);
    const later = await start(t, key, '127.0.0.62', atAddressOf(one), { metricsRegistry });
    await until(() => later.router.peerId !== one.router.peerId);
    await until(() => later.router.status().peers === 1);
    const text = await metricsRegistry.metrics();
    assert.match(text, /^libp2p_connection_manager_connections\{\w+="(?:in|out)bound"\} 1$/m);
  });

  it('both report it, once in the log, when both have run for long', async (t) => {
    const key = await loadIdentity();
    const one = await start(t, key, '127.0.0.52', nothing, OLD);
    const other = await start(t, key, '127.0.0.53', atAddressOf(one), OLD);
    await until(() =>
      [one, other].every(({ router }) => router.status().duplicateIdentity !== undefined),
    );
    assert.ok(other.router.status().duplicateIdentity !== undefined);
    assert.equal(one.router.peerId, other.router.peerId);
    for (const { warnings } of [one, other]) {
      const named = warnings.filter((line) => line.includes('identity of this one'));
      assert.equal(named.length, 1);
      assert.match(named[0] ?? '', /restart the agent of the copy/);
    }
  });

  it('meet by the answers of a third one, when the bootstrap names only that', async (t) => {
    const key = await loadIdentity();
    const third = await start(t, await loadIdentity(), '127.0.0.54', nothing);
    const one = await start(t, key, '127.0.0.55', atAddressOf(third), OLD);
    const later = await start(t, key, '127.0.0.56', atAddressOf(third));
    for (const { router } of [one, later]) await router.advertise(['key']);
    const shared = one.router.peerId;
    await until(() => later.router.peerId !== shared);
    assert.equal(one.router.peerId, shared);
    await until(async () => (await found(third.router, 'key')).length === 2);
  });

  it('meet when one is what the HTTP bootstrap of the other names', async (t) => {
    const key = await loadIdentity();
    const one = await start(t, key, '127.0.0.57', nothing, OLD);
    const origin = await listen(t, (_req, res) => {
      res.end(JSON.stringify(one.router.identityAnswer()));
      return Promise.resolve();
    });
    const later = await start(t, key, '127.0.0.58', new HttpBootstrapper(origin));
    await until(() => later.router.peerId !== one.router.peerId);
    await until(() => one.router.status().peers === 1);
  });
});
