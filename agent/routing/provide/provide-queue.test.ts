import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import fc from 'fast-check';

import { ProvideModel } from '../../testing/provide-model.ts';
import { routingKey } from '../dht/key.ts';
import type { RoutingKey } from '../dht/key.ts';
import { dhtPeer } from '../node/membership.ts';
import { ProvideQueue } from './provide-queue.ts';

const REFRESH_MS = 60_000;
const MAX_WITHDRAW_ATTEMPTS = 5;
/** Longer than any pause before a retry. */
const ANY_RETRY_MS = 60_000;

const peer = dhtPeer(peerIdFromPrivateKey(await generateKeyPair('Ed25519')));
const keys = ['a', 'b', 'c'].map(routingKey);
const nameOf = new Map(keys.map(({ multihash, name }) => [multihash, name]));
const namesOf = (multihashes: readonly Uint8Array[]) =>
  multihashes.map((multihash) => nameOf.get(multihash) ?? '?');

/** A queue whose exchanges the test ends. */
class Harness {
  readonly queue: ProvideQueue;
  readonly provided: number[] = [];
  readonly withdrawn: number[] = [];
  failures = 0;
  #exchange: { text: string; result: PromiseWithResolvers<boolean> } | undefined;

  constructor() {
    this.queue = new ProvideQueue(
      peer,
      {
        client: {
          addProviders: async (_peer, multihashes, _ms, signal) => {
            await this.#begin('provide', multihashes, signal);
            return 1;
          },
        },
        withdrawals: {
          send: (_peer, multihashes, _ms, signal) => this.#begin('withdraw', multihashes, signal),
        },
        limit: (task) => task(),
        onProvided: (records) => this.provided.push(records),
        onWithdrawn: (records) => this.withdrawn.push(records),
        onFailure: () => this.failures++,
      },
      REFRESH_MS,
    );
  }

  get exchange(): string | undefined {
    return this.#exchange?.text;
  }

  async succeed(): Promise<void> {
    this.#end()?.resolve(true);
    await turn();
  }

  async fail(): Promise<void> {
    this.#end()?.reject(new Error('failed'));
    await turn();
  }

  #end(): PromiseWithResolvers<boolean> | undefined {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    return exchange?.result;
  }

  #begin(kind: string, multihashes: readonly Uint8Array[], signal?: AbortSignal): Promise<boolean> {
    assert.equal(this.#exchange, undefined, 'one exchange at a time');
    const result = Promise.withResolvers<boolean>();
    this.#exchange = { text: `${kind} ${namesOf(multihashes).sort().join()}`, result };
    signal?.addEventListener('abort', () => {
      this.#exchange = undefined;
      result.reject(signal.reason as Error);
    });
    return result.promise;
  }
}

async function start(...assigned: RoutingKey[]): Promise<Harness> {
  const harness = new Harness();
  for (const key of assigned) harness.queue.assign(key);
  void harness.queue.run();
  await turn();
  return harness;
}

type Command =
  | { readonly kind: 'assign' | 'retract' | 'release'; readonly key: RoutingKey }
  | { readonly kind: 'refresh' | 'succeed' | 'fail' | 'retry' | 'stop' | 'resume' };

const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('assign', 'assign', 'retract', 'release'),
    key: fc.constantFrom(...keys),
  }),
  fc.record({
    kind: fc.constantFrom('refresh', 'succeed', 'succeed', 'fail', 'retry', 'stop', 'resume'),
  }),
);

describe('ProvideQueue', () => {
  it('does the same exchanges as a model with five sets of keys, for any sequence of events', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const play = async (harness: Harness, model: ProvideModel, each: Command): Promise<void> => {
      switch (each.kind) {
        case 'assign':
        case 'retract':
        case 'release':
          harness.queue[each.kind](each.key);
          model[each.kind](each.key.name);
          break;
        case 'succeed':
          if (model.exchange === undefined) return;
          model.succeed();
          await harness.succeed();
          return;
        case 'fail':
          if (model.exchange === undefined) return;
          model.fail(MAX_WITHDRAW_ATTEMPTS);
          await harness.fail();
          return;
        case 'retry':
          model.retry();
          t.mock.timers.tick(ANY_RETRY_MS);
          await turn();
          return;
        case 'resume':
          if (!model.isStopped) return;
          harness.queue.resume();
          model.resume();
          break;
        case 'refresh':
        case 'stop':
          harness.queue[each.kind]();
          model[each.kind]();
      }
      void harness.queue.run();
      model.run();
      await turn();
    };
    await fc.assert(
      fc.asyncProperty(
        fc.array(command, { minLength: 60, maxLength: 120, size: 'max' }),
        async (commands) => {
          const [harness, model] = [new Harness(), new ProvideModel()];
          for (const each of commands) {
            await play(harness, model, each);
            assert.equal(harness.exchange, model.exchange, `after ${each.kind}`);
          }
          await play(harness, model, { kind: 'resume' });
          await play(harness, model, { kind: 'retry' });
          while (model.exchange !== undefined) {
            await play(harness, model, { kind: 'succeed' });
            assert.equal(harness.exchange, model.exchange);
          }
          // What the peer has at the end is what a refresh sends.
          await play(harness, model, { kind: 'refresh' });
          assert.equal(harness.exchange, model.exchange);
          harness.queue.stop();
          await turn();
        },
      ),
      { numRuns: 300 },
    );
  });

  it('sends 500 records at a time, the latest first', async () => {
    const many = Array.from({ length: 1200 }, (_, i) => routingKey(String(i)));
    const chunks: Uint8Array[][] = [];
    const queue = new ProvideQueue(
      peer,
      {
        client: {
          addProviders: (_peer, multihashes) => {
            chunks.push([...multihashes]);
            return Promise.resolve(1);
          },
        },
        withdrawals: { send: () => Promise.resolve(true) },
        limit: (task) => task(),
        onProvided: () => undefined,
        onWithdrawn: () => undefined,
        onFailure: () => undefined,
      },
      REFRESH_MS,
    );
    for (const key of many) queue.assign(key);
    await queue.run();
    assert.deepEqual(
      chunks.map(({ length }) => length),
      [500, 500, 200],
    );
    assert.deepEqual(
      chunks[0],
      many.slice(-500).map(({ multihash }) => multihash),
    );
    assert.deepEqual(
      chunks[2],
      many.slice(0, 200).map(({ multihash }) => multihash),
    );
  });

  it('reports whether there is a record to withdraw', async () => {
    const [a, b] = keys;
    assert.ok(a && b);
    const harness = await start(a);
    harness.queue.assign(b);
    assert.equal(harness.queue.retract(a), true, 'its exchange is under way');
    assert.equal(harness.queue.retract(b), false, 'never sent');
    await harness.succeed();
    assert.equal(harness.exchange, 'withdraw a');
    await harness.succeed();
    assert.deepEqual([harness.provided, harness.withdrawn], [[1], [1]]);
  });

  it('gives a withdrawal up after five failures, and goes on with the records', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const [a, b] = keys;
    assert.ok(a && b);
    const harness = await start(a);
    await harness.succeed();
    harness.queue.retract(a);
    harness.queue.assign(b);
    void harness.queue.run();
    for (let attempt = 1; attempt <= MAX_WITHDRAW_ATTEMPTS; attempt++) {
      await turn();
      assert.equal(harness.exchange, 'withdraw a');
      await harness.fail();
      t.mock.timers.tick(ANY_RETRY_MS);
    }
    await turn();
    assert.equal(harness.exchange, 'provide b');
    assert.equal(harness.failures, MAX_WITHDRAW_ATTEMPTS - 1);
    harness.queue.stop();
  });

  it('is due for a refresh within the last tenth of the interval', async () => {
    const before = performance.now();
    const harness = await start(...keys);
    assert.equal(harness.queue.isDue(Number.MAX_VALUE), false, 'the peer has nothing yet');
    await harness.succeed();
    assert.equal(harness.queue.isDue(before + REFRESH_MS * 0.9 - 1), false);
    assert.equal(harness.queue.isDue(performance.now() + REFRESH_MS), true);
    harness.queue.refresh();
    assert.equal(harness.queue.isDue(Number.MAX_VALUE), false);
  });
});
