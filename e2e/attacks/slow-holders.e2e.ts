import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { eventually } from '../../agent/testing/eventually.ts';
import { blobPath, initLayout } from '../../scripts/oci-image/oci-layout.ts';
import { startDemoAgent, stopDemoAgent, type DemoAgent } from '../demo/demo-agent.ts';
import { buildImage } from '../images/image.ts';
import { Holder } from './support/holder.ts';
import { agentEnvironment } from '../harness/agent-process.ts';

/** The key of agents and holders. */
const { SWARM_KEY_FILE: SWARM_KEY } = agentEnvironment();

const REGISTRY = 'registry.example';

/** Holders that exist only to keep a request waiting; 40 did so for 29 s. */
const INVENTED = 16;

/** Requests for large blobs of one image, and how many of them the memory for verification has room for. */
const REQUESTS = 32;
const ROOM = 16;
const LARGE = 24 << 20;

let made = 0;
/** A loopback address that no other part of this run uses. */
function nextHost(): string {
  return `127.${192 + ((process.pid >> 8) % 32)}.${process.pid % 256}.${++made}`;
}

/** A digest that no content has. */
function anyDigest(): string {
  return `sha256:${randomBytes(32).toString('hex')}`;
}

describe('holders that send slowly', { timeout: 300_000 }, () => {
  let folder = '';
  let agent: DemoAgent;
  const agents: DemoAgent[] = [];
  const dripping: Holder[] = [];

  /** Starts an agent that holds an image of one layer, or nothing; gives the digest of the layer. */
  async function startAgent(
    name: string,
    layer = 0,
  ): Promise<{ agent: DemoAgent; digest: string }> {
    const home = join(folder, name);
    await initLayout(join(home, 'layout'));
    let digest = '';
    if (layer > 0) {
      const layers = [{ bytes: layer, compression: 'none' as const }];
      const image = await buildImage(join(home, 'layout'), { name: imageName(name), layers });
      digest = image.manifests[0]?.layers[0]?.descriptor.digest ?? '';
    }
    const peers = agents.slice(0, 1);
    const init = { name, host: nextHost(), folder: home, peers, swarmKey: SWARM_KEY };
    const started = await startDemoAgent(init);
    agents.push(started);
    return { agent: started, digest };
  }

  /** Waits until the agent knows the holder of the content: it has to identify it first, which takes a moment on a busy machine. */
  async function isFound(repository: string, digest: string): Promise<void> {
    await eventually(async () => {
      const { status } = await fetch(blobUrl(agent, repository, digest), { method: 'HEAD' });
      assert.equal(status, 200);
    });
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'peerglass-slow-'));
    ({ agent } = await startAgent('asker'));
    const body = { size: 2_000, bytesPerSecond: 10 };
    const start = (): Promise<Holder> => Holder.start(nextHost(), [agent.router], body);
    dripping.push(...(await Promise.all(Array.from({ length: INVENTED }, start))));
  });

  after(async () => {
    await Promise.all(dripping.map((holder) => holder[Symbol.asyncDispose]()));
    await Promise.all(agents.map(stopDemoAgent));
    await rm(folder, { recursive: true, force: true });
  });

  it('end in a 404 where all of them drip; the time is printed, and a test with fake time bounds it', async () => {
    const digest = anyDigest();
    await Promise.all(dripping.map((holder) => holder.advertise(digest)));
    const start = performance.now();
    const response = await fetch(blobUrl(agent, 'dripping', digest));
    const elapsed = performance.now() - start;
    assert.equal(response.status, 404);
    await response.body?.cancel();
    process.stdout.write(`${INVENTED} holders that drip: 404 after ${Math.round(elapsed)} ms\n`);
  });

  it('do not keep out a good one', async () => {
    const { digest } = await startAgent('among-many', 2_000);
    await Promise.all(dripping.map((holder) => holder.advertise(digest)));
    // On a busy machine the bounded time can end before the good one is asked: then the client asks again.
    await eventually(async () => {
      const response = await fetch(blobUrl(agent, 'among-many', digest));
      assert.equal(response.status, 200);
      assert.equal(await digestOf(response), digest);
    });
  });

  it('do not take the memory for content that is verified first from other images', async () => {
    const { digest } = await startAgent('other', 100_000);
    const body = { size: 4 << 20, bytesPerSecond: 600 << 10 };
    await using holder = await Holder.start(nextHost(), [agent.router], body);
    const wanted = Array.from({ length: REQUESTS }, anyDigest);
    const probe = anyDigest();
    await holder.advertise(probe, ...wanted);
    // The agent has to identify the holder first. It is left before it has sent all of its wrong bytes.
    await eventually(async () => {
      const init = { signal: AbortSignal.timeout(1_000) };
      await fetch(blobUrl(agent, 'hog', probe), init).then((it) => it.body?.cancel(), String);
      assert.ok(holder.requests.length > 0);
    });
    const stop = new AbortController();
    let answered = 0;
    const slow = wanted.map(async (it) => {
      const response = await fetch(blobUrl(agent, 'hog', it), { signal: stop.signal });
      answered += 1;
      await response.body?.cancel();
    });
    const ended = Promise.allSettled(slow);
    await eventually(() => {
      assert.ok(holder.requests.filter(({ method }) => method === 'GET').length >= ROOM);
    });
    const before = answered;
    const response = await fetch(blobUrl(agent, 'other', digest));
    const found = response.status === 200 ? await digestOf(response) : response.status;
    const since = answered - before;
    stop.abort();
    await ended;
    assert.equal(found, digest);
    assert.ok(since < ROOM / 2, `it waited until ${since} of the slow ones had ended`);
  });

  it('do not keep a large layer when a faster one is there', async () => {
    const home = join(folder, 'fast', 'layout');
    await initLayout(home);
    const layers = [{ bytes: LARGE, compression: 'none' as const }];
    const image = await buildImage(home, { name: imageName('fast'), layers });
    const { digest = '', size = 0 } = image.manifests[0]?.layers[0]?.descriptor ?? {};
    const bytes = await readFile(blobPath(home, digest));
    const trickling = { size, bytesPerSecond: 12 << 10, bytes };
    await using holder = await Holder.start(nextHost(), [agent.router], trickling);
    await holder.advertise(digest);
    await isFound('fast', digest);
    const response = await fetch(blobUrl(agent, 'fast', digest));
    assert.equal(response.status, 200);
    // Only now a fast one comes: at the beginning it would have been chosen at once, perhaps.
    const peers = agents.slice(0, 1);
    const init = { name: 'fast', host: nextHost(), folder: join(folder, 'fast'), peers };
    agents.push(await startDemoAgent({ ...init, swarmKey: SWARM_KEY }));
    assert.equal(await digestOf(response), digest);
    assert.ok(holder.sent < size / 10, `${holder.sent} of ${size} bytes came from the slow one`);
  });
});

function imageName(repository: string): string {
  return `${REGISTRY}/${repository}:1.0`;
}

function blobUrl({ mirror }: DemoAgent, repository: string, digest: string): string {
  return `${mirror}/v2/${repository}/blobs/${digest}?ns=${REGISTRY}`;
}

async function digestOf(response: Response): Promise<string> {
  const bytes = Buffer.from(await response.arrayBuffer());
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
