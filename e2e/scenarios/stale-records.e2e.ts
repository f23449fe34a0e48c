import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { PORTS } from '../harness/agent-process.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage, REGISTRY, type ImageFixture } from '../harness/fixtures.ts';
import { allPaths, manifestPath, waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';

/** How long requests go on after the last change, in milliseconds. */
const AFTERWARDS_MS = 10_000;
const CLIENTS_PER_NODE = 3;
const LEAST_REQUESTS = 200;
/** A limit against hangs. */
const REQUEST_LIMIT_MS = 30_000;

suite('records are out of date, and no request fails', () => {
  let cluster: Cluster;

  before(async () => {
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name })));
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  for (const keeper of SUITES) {
    scenario(
      `requests find ${keeper} when two other nodes delete their copies of its image`,
      () => cluster,
      async (_, t) => {
        const { fixture, others } = await heldByAll(cluster, keeper);
        await using clients = await Clients.start(fixture, others);
        await clients.haveAsked(50);
        await Promise.all(others.map((node) => node.containerd.removeImage(fixture.image.name)));
        await sleep(AFTERWARDS_MS);
        t.diagnostic(await clients.assertAllServed());
        await assertServedBy(cluster.node(keeper), others, fixture);
      },
    );

    scenario(
      `requests find ${keeper} when two other holders are killed before they withdraw their records`,
      () => cluster,
      async (_, t) => {
        const { fixture, others } = await heldByAll(cluster, keeper);
        await using clients = await Clients.start(fixture, others);
        await clients.haveAsked(50);
        for (const node of others) {
          await clients.without(node, async () => {
            await node.agent.kill();
            await node.containerd.removeImage(fixture.image.name);
            await node.agent.restart();
            // Ready is who knows one peer, and that may be the one that is killed next.
            await knowsAll(node, others);
          });
        }
        await sleep(AFTERWARDS_MS);
        t.diagnostic(await clients.assertAllServed());
        await assertServedBy(cluster.node(keeper), others, fixture);
      },
    );
  }

  scenario(
    'requests find another holder when one loses its network',
    () => cluster,
    async (_, t) => {
      const [keeper, asking, lost] = cluster.nodes;
      assert.ok(keeper !== undefined && asking !== undefined && lost !== undefined);
      const { fixture } = await heldByAll(cluster, keeper.name);
      await using clients = await Clients.start(fixture, [asking]);
      await clients.haveAsked(20);
      await lost.host.plug(false);
      try {
        await asking.containerd.removeImage(fixture.image.name);
        await sleep(AFTERWARDS_MS);
        t.diagnostic(await clients.assertAllServed());
        await assertServedBy(keeper, [asking], fixture);
      } finally {
        await lost.host.plug(true);
      }
    },
  );
});

/** Brings an image onto all nodes, and waits until each advertises it. */
async function heldByAll(
  cluster: Cluster,
  keeper: string,
): Promise<{ fixture: ImageFixture; others: readonly ClusterNode[] }> {
  const layers = [{ bytes: 6_000_000, files: 1, compression: 'none' }, {}] as const;
  const fixture = await makeImage({ name: `${REGISTRY}/stale/${keeper}:1.0`, layers });
  const { image, archive } = fixture;
  const others = cluster.nodes.filter(({ name }) => name !== keeper);
  await cluster.node(keeper).containerd.importArchive(archive);
  for (const { agent } of others) await waitUntilVisible(agent, image);
  for (const { name, agent, containerd } of others) {
    const before = await agent.metric('peerglass_advertised_keys');
    await containerd.importArchive(archive);
    await waitFor(`${name} advertises the image`, async () => {
      const keys = await agent.metric('peerglass_advertised_keys');
      return keys >= before + allPaths(image).length;
    });
  }
  return { fixture, others };
}

async function knowsAll({ name, agent }: ClusterNode, others: readonly unknown[]): Promise<void> {
  await waitFor(`${name} knows all peers`, async () => {
    return (await agent.metric('peerglass_routing_peers')) >= others.length;
  });
}

/** In the end nothing but the keeper's copy is there to be served. */
async function assertServedBy(
  keeper: ClusterNode,
  nodes: readonly ClusterNode[],
  { image }: ImageFixture,
): Promise<void> {
  const origin = `http://${keeper.host.address}:${PORTS.registry}`;
  for (const { agent } of nodes) {
    const { headers } = await agent.fetch(manifestPath(image), { method: 'HEAD' });
    assert.equal(headers.get('x-peerglass-source'), origin);
  }
}

interface Question {
  readonly method: 'GET' | 'HEAD';
  readonly path: string;
  readonly range?: string;
  readonly status: number;
  readonly body: Buffer;
}

/** Clients that ask agents for an image over and over, and note every answer that is not as it should be. */
class Clients implements AsyncDisposable {
  readonly #questions: readonly Question[];
  readonly #failures: string[] = [];
  /** Agents without requests at the moment, and what ends that. */
  readonly #away = new Map<ClusterNode, Promise<void>>();
  readonly #running: Promise<unknown>;
  #stopped = false;
  #answers = 0;

  private constructor(questions: readonly Question[], nodes: readonly ClusterNode[]) {
    this.#questions = questions;
    const clients = nodes.flatMap((node) =>
      Array.from({ length: CLIENTS_PER_NODE }, (_, index) => this.#run(node, index)),
    );
    this.#running = Promise.all(clients);
  }

  static async start(fixture: ImageFixture, nodes: readonly ClusterNode[]): Promise<Clients> {
    return new Clients(await questionsAbout(fixture), nodes);
  }

  /** Resolves after this number of answers. */
  async haveAsked(count: number): Promise<void> {
    await waitFor(`${count} answers`, () => this.#answers >= count, { timeoutMs: 60_000 });
  }

  /** Sends no requests to the node during `task`. Requests in flight at its agent may break off. */
  async without(node: ClusterNode, task: () => Promise<void>): Promise<void> {
    const ended = task();
    this.#away.set(node, ended);
    try {
      await ended;
    } finally {
      this.#away.delete(node);
    }
  }

  /** Ends them; gives a line on what they did. */
  async assertAllServed(): Promise<string> {
    await this.haveAsked(LEAST_REQUESTS);
    await this[Symbol.asyncDispose]();
    const summary = `${this.#answers} answers, ${this.#failures.length} of them wrong`;
    assert.deepEqual(this.#failures.slice(0, 20), [], summary);
    return summary;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(node: ClusterNode, first: number): Promise<void> {
    for (let next = first; !this.#stopped; next++) {
      await this.#away.get(node)?.catch(() => undefined);
      const question = this.#questions[next % this.#questions.length];
      if (question === undefined) return;
      const { pid } = node.agent;
      const since = new Date().toISOString();
      const problem = await ask(node, question).catch((error: unknown) => String(error));
      if (this.#away.has(node) || node.agent.pid !== pid) continue;
      this.#answers += 1;
      if (problem === undefined) continue;
      const { method, path, range = '' } = question;
      this.#failures.push(`${since} ${node.name}: ${method} ${path} ${range}: ${problem}`);
    }
  }
}

async function questionsAbout({ image, layout }: ImageFixture): Promise<Question[]> {
  const questions: Question[] = [];
  const digests = [image.target.digest, ...image.blobs.map(({ digest }) => digest)];
  for (const [index, path] of allPaths(image).entries()) {
    const body = await readFile(join(layout, 'blobs', ...(digests[index] ?? '').split(':')));
    const range = { range: 'bytes=100-', status: 206, body: body.subarray(100) };
    const whole = { path, status: 200, body };
    questions.push({ ...whole, method: 'HEAD' }, { ...whole, method: 'GET' });
    questions.push({ ...whole, ...range, method: 'GET' });
  }
  return questions;
}

/** What is wrong with the answer, if anything. */
async function ask({ agent }: ClusterNode, question: Question): Promise<string | undefined> {
  const { method, path, range, status, body } = question;
  const response = await agent.fetch(path, {
    method,
    headers: range === undefined ? {} : { range },
    signal: AbortSignal.timeout(REQUEST_LIMIT_MS),
  });
  const received = Buffer.from(await response.arrayBuffer());
  if (response.status !== status) return `status ${response.status}`;
  const length = Number(response.headers.get('content-length'));
  if (length !== body.length) return `length ${length} instead of ${body.length}`;
  if (method === 'GET' && !received.equals(body)) return `another body, ${received.length} bytes`;
  return undefined;
}
