import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import type { FrontRule } from '../harness/faulty-front.ts';
import { scenario } from '../harness/scenario.ts';
import { assertAllPulled, Herd, LAYER_BYTES, layerOf, RATE } from './support/herd.ts';

const BLOBS = '/blobs/';
const MANIFESTS_BY_DIGEST = '/manifests/sha256';

suite('all nodes want an image whose registry', () => {
  let herd: Herd;

  before(async () => {
    herd = await Herd.start();
  });
  after(async () => {
    await herd[Symbol.asyncDispose]();
  });

  scenario(
    'is down: all pulls fail at once',
    () => herd,
    async ({ front }) => {
      const { image } = await herd.image('down');
      await front.switch(false);
      try {
        const pulled = await Promise.all(herd.pull(image.name));
        for (const { error } of pulled)
          assert.match(String(error), /refused|not found|unavailable/i);
      } finally {
        await front.switch(true);
      }
    },
  );

  scenario(
    'is slow: all get it, and it is asked once',
    () => herd,
    async ({ front }) => {
      const fixture = await herd.image('slow', [400_000, 6_000_000]);
      await front.behave({ rate: 500_000 });
      await herd.pullOnAll(fixture);
      for (const { digest } of fixture.image.manifests[0]?.layers.map((it) => it.descriptor) ??
        []) {
        assert.equal((await herd.requestsFor(digest)).length, 1);
      }
    },
  );

  for (const [what, rule, mayFail = 0] of [
    ['takes three seconds to begin', { path: BLOBS, delayMs: 3_000 }],
    [
      'closes the connection in the middle of a layer',
      { path: BLOBS, cutAfter: 5_000_000, times: 1 },
    ],
    ['answers one of them with 429', { path: BLOBS, status: 429, times: 1 }],
    ['answers one of them with 503', { path: BLOBS, status: 503, times: 1 }, 1],
    ['answers one of them with 404', { path: MANIFESTS_BY_DIGEST, status: 404, times: 1 }, 1],
  ] satisfies [string, FrontRule, number?][]) {
    scenario(
      mayFail > 0
        ? `${what}: that one fails, as it would alone, and the others get it`
        : `${what}: all get it`,
      () => herd,
      async ({ front }) => {
        const fixture = await herd.image('faults');
        await front.behave({ rate: RATE, rules: [rule] });
        const pulled = await Promise.all(herd.pull(fixture.image.name));
        const failed = pulled.filter(({ error }) => error !== undefined);
        if (failed.length > mayFail) assertAllPulled(failed);
        const requests = await herd.requestsFor(layerOf(fixture.image));
        assert.ok(requests.length <= 2, JSON.stringify(requests));
      },
    );
  }

  scenario(
    'refuses one node for want of credentials: it gets the layers from the others',
    () => herd,
    async ({ nodes, front }) => {
      const fixture = await herd.image('credentials');
      const [first] = nodes;
      assert.ok(first !== undefined);
      const refused = { path: BLOBS, from: [first.host.address], status: 403 };
      await front.behave({ rate: RATE, rules: [refused] });
      const pulls = herd.pull(fixture.image.name, [first]);
      pulls.push(...herd.pull(fixture.image.name, nodes.slice(1)));
      const pulled = await Promise.all(pulls);
      // The one without credentials fails when it came first, exactly as it would alone; the others are not held up.
      assertAllPulled(pulled.filter(({ node }) => node !== first));
      assertAllPulled(await Promise.all(herd.pull(fixture.image.name, [first])));
    },
  );

  scenario(
    'answers all of them with 429: all hear it',
    () => herd,
    async ({ front, nodes }) => {
      const { image } = await herd.image('limited');
      await front.behave({ rules: [{ path: BLOBS, status: 429 }] });
      const pulled = await Promise.all(herd.pull(image.name));
      for (const { error } of pulled) assert.ok(error !== undefined);
      await front.behave({});
      assertAllPulled(await Promise.all(herd.pull(image.name, nodes)));
    },
  );

  scenario(
    'sends wrong bytes to one node: the second try of each succeeds',
    () => herd,
    async ({ front }) => {
      const { image } = await herd.image('wrong');
      const flip = { path: `${BLOBS}${layerOf(image)}`, flip: 3_000_000, times: 1 };
      await front.behave({ rate: RATE, rules: [flip] });
      const first = await Promise.all(herd.pull(image.name));
      const failed = first.filter(({ error }) => error !== undefined).map(({ node }) => node);
      assert.ok(failed.length > 0, 'somebody got the wrong bytes');
      await herd.forgotten(failed);
      assertAllPulled(await Promise.all(herd.pull(image.name, failed)));
    },
  );

  scenario(
    'declares a wrong length to one node: the second try of each succeeds',
    () => herd,
    async ({ front }) => {
      const { image } = await herd.image('length');
      const shorten = { path: `${BLOBS}${layerOf(image)}`, shorten: LAYER_BYTES / 3, times: 1 };
      await front.behave({ rate: RATE, rules: [shorten] });
      const first = await Promise.all(herd.pull(image.name));
      const failed = first.filter(({ error }) => error !== undefined).map(({ node }) => node);
      await herd.forgotten(failed);
      assertAllPulled(await Promise.all(herd.pull(image.name, failed)));
    },
  );
});
