import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, it, type TestContext } from 'node:test';

import { SharedTagChecks } from '../../fanout/tags/shared-tag-checks.ts';
import { TagCoordinators } from '../../fanout/tags/tag-coordinators.ts';
import { decodeTagQuestion, encodeTagDecision } from '../../fanout/tags/tag-messages.ts';
import {
  TAG_CHECKS_PROTOCOL,
  type TagDecision,
  type TagQuestion,
} from '../../fanout/tags/tag-question.ts';
import { TagRoundAnswers } from '../../fanout/tags/tag-round-answers.ts';
import { TagRounds } from '../../fanout/tags/tag-rounds.ts';
import { parseDigest } from '../../oci/digest.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import { SharePolicy, type SharePolicyInit } from '../../oci/share-policy.ts';
import { parseShareRule } from '../../oci/share-rule.ts';
import { MemoryNetwork, MemoryRouter } from '../../routing/memory-router.ts';
import { until } from '../../testing/conformance/router.ts';
import { startMirror, type MirrorNode } from '../../testing/mirror-node.ts';
import { send, sendError, TokenRegistry } from '../../testing/token-registry.ts';
import { upstreamTo } from '../../testing/upstream-fixture.ts';

const REGISTRY = 'registry.example';
const REPOSITORY = 'team/app';
const LONG_MS = 20_000;
const NODES = 8;
const forged = parseDigest(`sha256:${'0f'.repeat(32)}`);
assert.ok(forged);

/** A mirror that asks a registry, and what it coordinates. */
interface Node {
  readonly mirror: MirrorNode;
  readonly rounds: TagRounds;
  /** What its coordinator was asked. */
  readonly asked: TagQuestion[];
  readonly resolve: (
    tag?: string,
    method?: string,
  ) => Promise<{ status: number; digest: string | null }>;
}

interface ClusterInit {
  readonly policy?: SharePolicyInit;
  readonly tagTtl?: number;
}

/** Mirrors of one cluster, each of which asks the same registry. */
async function start(t: TestContext, count: number, { policy = {}, tagTtl = 0 }: ClusterInit = {}) {
  const registry = await TokenRegistry.start(t, { scheme: 'none' });
  const network = new MemoryNetwork();
  const nodes: Node[] = [];
  while (nodes.length < count) {
    const asked: TagQuestion[] = [];
    const rounds = new TagRounds({ leaseMs: LONG_MS, roundMs: LONG_MS, toldMs: LONG_MS });
    const noted = {
      answer: (from: string, question: TagQuestion): TagDecision => {
        asked.push(question);
        return rounds.answer(from, question);
      },
    };
    const questions = new TagRoundAnswers(noted);
    const router = new MemoryRouter(
      { network, questions },
      { peerId: `n${nodes.length}`, origins: [] },
    );
    const coordinators = new TagCoordinators({ router, rounds: noted }, { giveUpAfterMs: LONG_MS });
    const sharing = new SharedTagChecks({ coordinators }, { waitMs: LONG_MS });
    const names = [{ registry: REGISTRY, server: registry.origin }];
    const { source, tags } = await upstreamTo(t, names, { sharing, tagTtl });
    const mirror = await startMirror({
      ...{ router, policy: new SharePolicy(policy), upstream: source, tags },
    });
    t.after(() => mirror[Symbol.asyncDispose]());
    const resolve: Node['resolve'] = async (tag = '1', method = 'HEAD') => {
      const url = `${mirror.origin}/v2/${REPOSITORY}/manifests/${tag}?ns=${REGISTRY}`;
      const response = await fetch(url, { method });
      await response.arrayBuffer();
      const { status, headers } = response;
      return { status, digest: headers.get('docker-content-digest') };
    };
    nodes.push({ mirror, rounds, asked, resolve });
  }
  const waiting = (): number => nodes.reduce((sum, { rounds }) => sum + rounds.size.waiting, 0);
  return { registry, network, nodes, waiting };
}

/** Keeps the answers to HEAD until the test lets them go. */
function hold(registry: TokenRegistry): { release: () => void } {
  const held: ServerResponse[] = [];
  const { digest, bytes } = registry.addImage(REPOSITORY, '1', []);
  registry.faults.registry = (req, res) => {
    if (req.method !== 'HEAD') return false;
    held.push(res);
    return true;
  };
  return {
    release: () => {
      registry.faults.registry = () => false;
      for (const res of held) {
        res.setHeader('Docker-Content-Digest', digest);
        send(res, 200, MEDIA_TYPE.ociManifest, bytes);
      }
    },
  };
}

async function answers({ mirror }: Node): Promise<Readonly<Record<string, number>>> {
  const { values } = await mirror.metrics.upstreamTags.get();
  return Object.fromEntries<number>(
    values.map(({ labels, value }) => [String(labels.answer), value]),
  );
}

describe('nodes that ask at the same moment what a tag means', () => {
  it('make one HEAD at the registry, and each client gets the digest', async (t) => {
    const { registry, nodes, waiting } = await start(t, NODES);
    const { release } = hold(registry);
    const all = Promise.all(nodes.map(({ resolve }) => resolve()));
    await until(() => waiting() === NODES - 1);
    release();
    const resolved = await all;
    assert.deepEqual(new Set(resolved.map(({ status, digest }) => `${status} ${digest}`)).size, 1);
    assert.equal(resolved[0]?.status, 200);
    assert.deepEqual(registry.requests('registry'), [`HEAD /v2/${REPOSITORY}/manifests/1`]);
    const counts = await Promise.all(nodes.map(answers));
    const sum = (of: string): number => counts.reduce((total, it) => total + (it[of] ?? 0), 0);
    assert.deepEqual([sum('registry'), sum('shared')], [1, NODES - 1]);
  });

  it('see at once that the tag has moved, also with --tag-ttl where another node has told it', async (t) => {
    const { registry, nodes, waiting } = await start(t, 3, { tagTtl: LONG_MS });
    const { release } = hold(registry);
    const all = Promise.all(nodes.map(({ resolve }) => resolve()));
    await until(() => waiting() === nodes.length - 1);
    release();
    const [before] = await all;
    const moved = registry.addImage(REPOSITORY, '1', [registry.addBlob(Buffer.from('new'))]);
    const later: (string | null)[] = [];
    for (const { resolve } of nodes) later.push((await resolve()).digest);
    later.sort((a, b) => Number(a === moved.digest) - Number(b === moved.digest));
    assert.deepEqual(later, [before?.digest, moved.digest, moved.digest], 'the asker remembers');
  });

  it('each hear a refusal of the registry itself', async (t) => {
    const { registry, nodes } = await start(t, 3);
    for (const status of [401, 403, 404]) {
      registry.faults.registry = (_req, res) => {
        sendError(res, status, 'SOME', 'the words of the registry');
        return true;
      };
      const heads = registry.seen.filter(({ method }) => method === 'HEAD').length;
      await Promise.all(nodes.map(({ resolve }) => resolve()));
      const now = registry.seen.filter(({ method }) => method === 'HEAD').length;
      assert.ok(now - heads >= nodes.length, `${status}: ${now - heads} HEADs`);
    }
  });

  for (const [what, policy, tag] of [
    ['latest', {}, 'latest'],
    ['any tag with --resolve-tags=false', { tags: false }, '1'],
    ['an image of --share auto', { rules: [parseShareRule(`${REGISTRY}=auto`)] }, '1'],
    ['an image of --share authorized', { rules: [parseShareRule(`${REGISTRY}=authorized`)] }, '1'],
    ['an image of --share none', { rules: [parseShareRule(`${REGISTRY}=none`)] }, '1'],
    ['a tag that a filter leaves out', { filters: [/:dev$/] }, 'dev'],
  ] as const) {
    it(`do not share ${what}`, async (t) => {
      const { registry, nodes } = await start(t, 2, { policy });
      registry.addImage(REPOSITORY, tag, []);
      await Promise.all(nodes.map(({ resolve }) => resolve(tag)));
      assert.deepEqual(
        nodes.flatMap(({ asked }) => asked),
        [],
      );
    });
  }

  it('do not remember for an outage what another node has told', async (t) => {
    const { registry, network, nodes } = await start(t, 1);
    const [node] = nodes as [Node];
    lie(network, {
      kind: 'known',
      manifest: { mediaType: MEDIA_TYPE.ociIndex, digest: forged, size: 9 },
    });
    // The limit: a member says what the tag means to those that ask at the moment.
    let told = 0;
    for (let tag = 0; tag < 64; tag += 1) {
      registry.addImage(REPOSITORY, String(tag), []);
      if ((await node.resolve(String(tag))).digest === forged) told += 1;
    }
    assert.ok(told > 0 && told < 64, String(told));
    registry.faults.registry = (_req, res) => {
      sendError(res, 503, 'UNAVAILABLE', 'away');
      return true;
    };
    lie(network, { kind: 'alone' });
    for (let tag = 0; tag < 64; tag += 1) {
      assert.notEqual((await node.resolve(String(tag))).digest, forged);
    }
  });

  it('fail one pull of a tag for which a member names what is nowhere, and not the next one', async (t) => {
    const { registry, network, nodes } = await start(t, 1);
    const [node] = nodes as [Node];
    const manifest = { mediaType: MEDIA_TYPE.ociIndex, digest: forged, size: 9 };
    lie(network, { kind: 'known', manifest });
    let told = 0;
    for (let tag = 0; tag < 16; tag += 1) {
      const { digest } = registry.addImage(REPOSITORY, String(tag), []);
      const first = await node.resolve(String(tag), 'GET');
      if (first.status === 404) told += 1;
      else assert.deepEqual(first, { status: 200, digest });
      assert.deepEqual(await node.resolve(String(tag), 'GET'), { status: 200, digest });
    }
    assert.ok(told > 0 && told < 16, String(told));
  });

  it('do not doubt what a member names because the registry limits the requests for it', async (t) => {
    const { registry, network, nodes } = await start(t, 1);
    const [node] = nodes as [Node];
    const manifest = { mediaType: MEDIA_TYPE.ociIndex, digest: forged, size: 9 };
    lie(network, { kind: 'known', manifest });
    registry.faults.registry = (req, res) => {
      if (req.method === 'HEAD') return false;
      sendError(res, 429, 'TOOMANYREQUESTS', 'later');
      return true;
    };
    const isTold = async (tag: string): Promise<boolean> =>
      (await node.resolve(tag)).digest === forged;
    let told = 0;
    for (let tag = 0; tag < 16; tag += 1) {
      registry.addImage(REPOSITORY, String(tag), []);
      const before = await isTold(String(tag));
      assert.ok((await node.resolve(String(tag), 'GET')).status !== 200);
      assert.equal(await isTold(String(tag)), before);
      told += Number(before);
    }
    assert.ok(told > 0, String(told));
  });

  it('believe no member that names what is no manifest', async (t) => {
    const { registry, network, nodes } = await start(t, 1);
    const [node] = nodes as [Node];
    const size = 2 ** 40;
    lie(network, { kind: 'known', manifest: { mediaType: 'text/html', digest: forged, size } });
    for (let tag = 0; tag < 64; tag += 1) {
      const { digest } = registry.addImage(REPOSITORY, String(tag), []);
      assert.deepEqual(await node.resolve(String(tag)), { status: 200, digest });
    }
  });
});

/** A member that answers every question about tags so: it is the closest to every second tag. */
function lie(network: MemoryNetwork, decision: TagDecision): void {
  const questions = {
    protocol: TAG_CHECKS_PROTOCOL,
    maxBytes: 512,
    answer: (_: string, message: Uint8Array) => {
      assert.ok(decodeTagQuestion(message).tag.length === 64, 'without the name');
      return encodeTagDecision(decision);
    },
  };
  network.join({ peerId: 'liar', origins: [], protocols: [TAG_CHECKS_PROTOCOL] }, [questions]);
}
