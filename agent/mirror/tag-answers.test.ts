import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import pino from 'pino';

import type { Digest } from '../oci/digest.ts';
import { SharePolicy, type SharePolicyInit } from '../oci/share-policy.ts';
import { parseShareRule } from '../oci/share-rule.ts';
import { makeImage, putImage, type TestImage } from '../testing/image.ts';
import { FixedRouter, providerOf, startMirror, type MirrorNode } from '../testing/mirror-node.ts';
import { sendError, TokenRegistry } from '../testing/token-registry.ts';
import { upstreamTo } from '../testing/upstream-fixture.ts';
import { ImportedNames } from './imported-names.ts';

/** Its tags are shared, unlike those of a registry at 127.0.0.1. */
const REGISTRY = 'registry.example';
const REPOSITORY = 'team/app';

/** A node in front of a registry, beside another node of its cluster. */
interface Stage {
  readonly registry: TokenRegistry;
  readonly peer: MirrorNode;
  readonly node: MirrorNode;
  readonly ask: (
    reference?: string,
    init?: RequestInit,
  ) => Promise<{ status: number; digest: string | null; warning: string | null; body: string }>;
  /** Has a node hold an image under a tag. */
  readonly hold: (node: MirrorNode, image: TestImage, tag?: string) => void;
  /** How tags were answered, by the label. */
  readonly answers: () => Promise<Record<string, number>>;
  readonly log: readonly { level: number; msg: string; digest?: string }[];
}

interface StageInit {
  readonly policy?: SharePolicyInit;
  /** Names that a node has imported. Default: none; it counts with `auto`. */
  readonly imported?: boolean;
}

async function start(t: TestContext, { policy: init, imported }: StageInit = {}): Promise<Stage> {
  const registry = await TokenRegistry.start(t, { scheme: 'none' });
  const names = [{ registry: REGISTRY, server: registry.origin }];
  const upstream = await upstreamTo(t, names);
  const peer = await startMirror();
  t.after(() => peer[Symbol.asyncDispose]());
  const policy = new SharePolicy(init);
  const router = new FixedRouter(providerOf('peer', peer));
  const log: { level: number; msg: string; digest?: string }[] = [];
  const logger = pino({ level: 'info' }, { write: (line) => log.push(JSON.parse(line) as never) });
  const imports = new ImportedNames({
    ...{ policy, router, onResolved: () => undefined },
    isImported: () => imported === true,
  });
  const node = await startMirror({
    ...{ policy, router, names: imports, logger, upstream: upstream.source, tags: upstream.tags },
  });
  t.after(() => node[Symbol.asyncDispose]());
  return {
    ...{ registry, peer, node, log },
    ask: async (reference = '1', request = {}) => {
      const url = `${node.origin}/v2/${REPOSITORY}/manifests/${reference}?ns=${REGISTRY}`;
      const response = await fetch(url, request);
      const { status, headers } = response;
      const [digest, warning] = [headers.get('docker-content-digest'), headers.get('warning')];
      return { status, digest, warning, body: await response.text() };
    },
    hold: (holder, image, tag = '1') => {
      putImage(holder.store, image, `${REGISTRY}/${REPOSITORY}:${tag}`);
    },
    answers: async () => {
      const { values } = await node.metrics.upstreamTags.get();
      const counts: Record<string, number> = {};
      for (const { labels, value } of values) counts[String(labels.answer)] = value;
      return counts;
    },
  };
}

/** The registry is there, and answers this status alone. */
function refuse(registry: TokenRegistry, status: number): void {
  registry.faults.registry = (_req, res) => {
    sendError(res, status, 'SOME', 'the words of the registry');
    return true;
  };
}

const digestOf = ({ manifest }: TestImage): Digest => manifest.digest;

describe('TagAnswers', () => {
  it('have the registry say what a tag means, whatever this node and others have under it', async (t) => {
    const { registry, node, peer, ask, hold, answers } = await start(t);
    for (const holder of [node, peer]) hold(holder, makeImage(10));
    const { digest, bytes } = registry.addImage(REPOSITORY, '1', []);
    const head = await ask('1', { method: 'HEAD' });
    assert.deepEqual(head, { status: 200, digest, warning: null, body: '' });
    assert.deepEqual(await ask(), { status: 200, digest, warning: null, body: bytes.toString() });
    const moved = registry.addImage(REPOSITORY, '1', [registry.addBlob(Buffer.from('new'))]);
    assert.equal((await ask()).digest, moved.digest);
    assert.deepEqual(await answers(), { registry: 3 });
  });

  it('give the content from this node, and from others, once the registry has named it', async (t) => {
    for (const where of ['node', 'peer'] as const) {
      const stage = await start(t);
      const { registry, ask } = stage;
      const { digest, bytes } = registry.addImage(REPOSITORY, '1', []);
      stage[where].store.putBlob(bytes);
      assert.deepEqual(await ask(), { status: 200, digest, warning: null, body: bytes.toString() });
      assert.deepEqual(registry.requests('registry'), [`HEAD /v2/${REPOSITORY}/manifests/1`]);
    }
  });

  for (const [what, fail] of Object.entries({
    'limits requests': (registry: TokenRegistry) => {
      refuse(registry, 429);
    },
    fails: (registry: TokenRegistry) => {
      refuse(registry, 500);
    },
    'breaks off': (registry: TokenRegistry) => {
      registry.faults.registry = (_req, res) => {
        res.destroy();
        return true;
      };
    },
  })) {
    for (const where of ['node', 'peer'] as const) {
      it(`answer from the ${where} when the registry ${what}, with a warning, a line and a number`, async (t) => {
        const stage = await start(t);
        const { registry, ask, hold, answers, log } = stage;
        const image = makeImage(10);
        hold(stage[where], image);
        fail(registry);
        for (const method of ['HEAD', 'GET']) {
          const { status, digest, warning } = await ask('1', { method });
          assert.deepEqual([status, digest], [200, digestOf(image)]);
          assert.match(
            warning ?? '',
            /^299 - "registry\.example cannot be asked at present: .+:1 is/,
          );
        }
        assert.deepEqual(await answers(), { stale: 2 });
        const lines = log.filter(({ level }) => level >= 40);
        assert.deepEqual(
          lines.map(({ digest }) => digest),
          [digestOf(image)],
          'one line a tag',
        );
      });
    }
  }

  it('prefer what the registry last said, where a node has its manifest', async (t) => {
    const { registry, peer, node, ask, hold } = await start(t);
    const { digest, bytes } = registry.addImage(REPOSITORY, '1', []);
    const old = makeImage(10);
    hold(node, old);
    await ask('1', { method: 'HEAD' });
    refuse(registry, 500);
    assert.equal((await ask()).digest, digestOf(old), 'no node has the one that it named');
    peer.store.putBlob(bytes);
    const answer = await ask();
    assert.deepEqual([answer.digest, answer.body], [digest, bytes.toString()]);
  });

  it('fail with the words of the registry when no node has the image', async (t) => {
    const { registry, ask, answers } = await start(t);
    refuse(registry, 429);
    const { status, warning, body } = await ask();
    assert.deepEqual([status, warning], [503, null]);
    assert.match(body, /TOOMANYREQUESTS.+answers 429/);
    assert.deepEqual(await answers(), { unavailable: 1 });
  });

  for (const status of [401, 403, 404]) {
    it(`take ${status} as final, whatever nodes have`, async (t) => {
      const { registry, node, peer, ask, hold, answers } = await start(t);
      for (const holder of [node, peer]) hold(holder, makeImage(10));
      refuse(registry, status);
      for (const method of ['HEAD', 'GET']) {
        const answer = await ask('1', { method });
        assert.equal(answer.status, status === 404 ? 404 : 403);
        const words = answer.body.includes('the words of the registry');
        assert.equal(words, method === 'GET', 'an answer to a HEAD has none');
      }
      assert.deepEqual(await answers(), { refused: 2 });
    });
  }

  for (const [tag, policy] of [
    ['latest', {}],
    ['1', { tags: false }],
    ['dev', { filters: [/:dev$/] }],
  ] as const) {
    const what = tag === '1' ? 'tags that are not resolved here' : `the tag ${tag}`;
    it(`have the registry alone say what ${what} mean, and share the content`, async (t) => {
      const { registry, node, peer, ask, hold, answers } = await start(t, { policy });
      const old = makeImage(10);
      for (const holder of [node, peer]) hold(holder, old, tag);
      const { digest, bytes } = registry.addImage(REPOSITORY, tag, []);
      peer.store.putBlob(bytes);
      assert.deepEqual(await ask(tag), {
        status: 200,
        digest,
        warning: null,
        body: bytes.toString(),
      });
      assert.equal(registry.seen.length, 1);
      refuse(registry, 500);
      const { status, body } = await ask(tag);
      assert.equal(status, 503);
      assert.match(body, /answers 500/);
      assert.deepEqual(await answers(), { registry: 1, unavailable: 1 });
    });
  }

  it('answer latest as any other tag where it is enabled', async (t) => {
    const { registry, node, ask, hold } = await start(t, { policy: { latest: true } });
    const image = makeImage(10);
    hold(node, image, 'latest');
    refuse(registry, 500);
    assert.equal((await ask('latest')).digest, digestOf(image));
  });

  it('leave to the client what the registry checks, and what is not shared at all', async (t) => {
    for (const mode of ['authorized', 'none']) {
      const rules = [parseShareRule(`*=${mode}`)];
      const { registry, ask } = await start(t, { policy: { rules } });
      registry.addImage(REPOSITORY, '1', []);
      assert.equal((await ask()).status, 404);
      assert.deepEqual(registry.seen, []);
    }
  });

  it('do not lend credentials with auto', async (t) => {
    const rules = [parseShareRule('*=auto')];
    const policy = { rules, withCredentials: [parseShareRule('*=authorized')] };
    const { registry, ask } = await start(t, { policy });
    registry.addImage(REPOSITORY, '1', []);
    assert.equal((await ask()).status, 404);
    assert.deepEqual(registry.seen, []);
  });

  it('with auto have the registry say it first, and nodes that have imported an image that it does not have', async (t) => {
    const policy = { rules: [parseShareRule('*=auto')] };
    const { registry, node, ask, hold } = await start(t, { policy, imported: true });
    const image = makeImage(10);
    hold(node, image);
    assert.equal((await ask()).digest, digestOf(image));
    const { digest } = registry.addImage(REPOSITORY, '1', []);
    assert.equal((await ask()).digest, digest);
  });

  it('with auto serve nothing in an outage that was pulled', async (t) => {
    const policy = { rules: [parseShareRule('*=auto')] };
    const { registry, node, ask, hold } = await start(t, { policy });
    hold(node, makeImage(10));
    refuse(registry, 500);
    assert.equal((await ask()).status, 503);
  });

  it('are not for peers, which get what is here', async (t) => {
    const { registry, node, ask, hold } = await start(t);
    const headers = { 'x-spegel-mirrored': 'true' };
    const image = makeImage(10);
    hold(node, image);
    assert.equal((await ask('2', { headers })).status, 404);
    assert.equal((await ask('1', { headers })).digest, digestOf(image));
    assert.deepEqual(registry.seen, []);
  });

  it('leave other registries as they were', async (t) => {
    const { node } = await start(t);
    const image = makeImage(10);
    putImage(node.store, image, 'other.example/team/app:1');
    const response = await fetch(`${node.origin}/v2/team/app/manifests/1?ns=other.example`);
    assert.equal(response.headers.get('docker-content-digest'), digestOf(image));
    await response.body?.cancel();
  });
});
