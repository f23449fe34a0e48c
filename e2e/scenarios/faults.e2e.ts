import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';

import { PORTS } from '../harness/agent-process.ts';
import type { ClusterNode } from '../harness/cluster.ts';
import { putOnFailingDisk } from '../harness/failing-disk.ts';
import { FaultStage } from '../harness/fault-stage.ts';
import { allPaths, blobPathOf, headStatus } from '../harness/mirror.ts';
import type { RogueOrders } from '../harness/rogue-behaviour.ts';
import type { RogueNode } from '../harness/rogue-node.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';

const KIB = 1024;
/** Before the end of a chunk, so that parallel chunk fetch meets it too. */
const CUT = 300 * KIB;
const SLOW = { kind: 'slow', bytesPerSecond: 512 * KIB } as const;
/** Images that are pulled until all pullers have asked the faulty peer: on a busy machine it may be too late. */
const MAX_TRIES = 6;
const CLIENTS = 200;
/** The same through a peer, whose first byte must come in time for each. */
const PEER_CLIENTS = 50;
const EARLY_CLOSES = 500;
const EARLY_AT_ONCE = 20;
/** At this speed an image takes some seconds. */
const MBIT = 24;

/** A fault of the peer that pullers choose first. */
interface Fault {
  readonly name: string;
  readonly order: (stage: FaultStage, layerBytes: number) => Omit<RogueOrders, 'digests'>;
  /** What happens once all pullers have asked it for a layer. */
  readonly then?: (rogue: RogueNode) => Promise<void> | void;
  /** Whether it falls silent by that, so that others would avoid it for a while. */
  readonly silent?: true;
  /** What it is about; others can bring manifests and configs as well. Default: layers. */
  readonly at?: 'layers' | 'manifests' | 'all';
}

const kill = (rogue: RogueNode): void => {
  rogue.signal('SIGKILL');
};

const FAULTS: readonly Fault[] = [
  {
    name: 'is killed before the first byte',
    order: () => ({ behaviour: { kind: 'silent' } }),
    then: kill,
    silent: true,
  },
  { name: 'is killed in the middle', order: () => ({ behaviour: SLOW }), then: kill, silent: true },
  {
    name: 'closes before the last byte',
    order: (_, size) => ({ behaviour: { kind: 'break', after: size - 1, how: 'end' } }),
  },
  {
    name: 'resets in the middle',
    order: () => ({ behaviour: { kind: 'break', after: CUT, how: 'reset' } }),
  },
  {
    name: 'stalls in the middle',
    order: () => ({ behaviour: { kind: 'break', after: CUT, how: 'stall' } }),
  },
  {
    name: 'sends 1 KiB/s',
    order: () => ({ behaviour: { kind: 'slow', bytesPerSecond: KIB } }),
  },
  {
    name: 'is parted from the network in the middle',
    order: () => ({ behaviour: SLOW }),
    then: (rogue) => rogue.host.plug(false),
    silent: true,
  },
  {
    name: 'states too long a length',
    order: () => ({ behaviour: { kind: 'wrong-length', by: 1_000 } }),
  },
  {
    name: 'states too short a length',
    order: () => ({ behaviour: { kind: 'wrong-length', by: -1_000 } }),
  },
  {
    name: 'answers a range with 200',
    order: () => ({ behaviour: { kind: 'ignore-range' } }),
  },
  {
    name: 'answers 416',
    order: (_, size) => ({
      behaviour: { kind: 'status', status: 416, headers: { 'content-range': `bytes */${size}` } },
    }),
  },
  {
    name: 'answers 500',
    order: () => ({ behaviour: { kind: 'status', status: 500 }, head: true }),
    at: 'all',
  },
  {
    name: 'answers 503',
    order: () => ({ behaviour: { kind: 'status', status: 503 } }),
    at: 'all',
  },
  {
    name: 'redirects elsewhere',
    order: ({ upstream }) => ({
      behaviour: {
        kind: 'status',
        status: 307,
        headers: { location: `${upstream.origin}/v2/elsewhere` },
      },
      head: true,
    }),
    at: 'all',
  },
  {
    name: 'challenges with a foreign realm',
    order: ({ upstream }) => ({
      behaviour: {
        kind: 'status',
        status: 401,
        headers: { 'www-authenticate': `Bearer realm="${upstream.origin}/v2/token"` },
      },
      head: true,
    }),
    at: 'all',
  },
  {
    name: 'sends headers without end',
    order: () => ({ behaviour: { kind: 'endless-head' } }),
    silent: true,
  },
  {
    // Not for the layers: a peer that is late with a manifest is not asked for them.
    name: 'sends headers of manifests without end',
    order: () => ({ behaviour: { kind: 'endless-head' } }),
    at: 'manifests',
    silent: true,
  },
];

suite('one fault, one good peer, and every containerd pulls at the first try', () => {
  let stage: FaultStage;

  before(async () => {
    stage = await FaultStage.start();
  });
  after(async () => {
    await stage[Symbol.asyncDispose]();
  });

  for (const fault of FAULTS) {
    scenario(
      `the peer ${fault.name}`,
      () => stage,
      async (_, t) => {
        let left = stage.pullers;
        for (let tries = 0; left.length > 0; tries++) {
          assert.ok(tries < MAX_TRIES, `${left.map(({ name }) => name).join()} never asked it`);
          if (tries > 0) await stage.dropRogue();
          left = await pullPast(stage, fault, left, (line) => {
            t.diagnostic(line);
          });
        }
      },
    );
  }

  scenario(
    'the mirror answers 404 in time when all peers are dead, and the upstream serves',
    () => stage,
    async () => {
      const rogue = await stage.rogue();
      const fixture = await stage.makeImage();
      const { image, layout } = fixture;
      await stage.upstream.push(layout, image);
      await rogue.hold(fixture);
      await stage.waitUntilVisible(image);
      await rogue.order({ behaviour: { kind: 'silent' }, head: true });
      await Promise.all(
        stage.pullers.map(async ({ agent, name }) => {
          for (const path of allPaths(image))
            assert.equal(await headStatus(agent, path), 404, name);
        }),
      );
      rogue.signal('SIGKILL');
      const earlier = (await stage.upstream.requests()).length;
      await stage.pull(image);
      assert.ok((await stage.upstream.requests()).length > earlier);
      await stage.dropRogue();
    },
  );

  scenario(
    'the disk of the first holder fails with EIO in the middle of a layer',
    () => stage,
    async (_, t) => {
      if (!existsSync('/dev/loop-control')) {
        t.skip('no loop devices here');
        return;
      }
      const met = async (): Promise<boolean> => {
        return (await readFile(join(stage.holder.host.directory, 'agent.log'), 'utf8')).includes(
          'EIO',
        );
      };
      for (let tries = 0; !(await met()); tries++) {
        assert.ok(tries < MAX_TRIES, 'the holder was never asked for it');
        await pullFromFailingDisk(stage, `disk-${tries}`);
      }
    },
  );

  scenario(
    'the first holder deletes the image while it serves it',
    () => stage,
    async (_, t) => {
      const rogue = await stage.rogue();
      const fixture = await stage.makeImage();
      const { image } = fixture;
      await stage.importAtHolder(fixture);
      await stage.waitUntilVisible(image);
      const earlier = (await stage.upstream.requests()).length;
      await Promise.all(stage.pullers.map(({ host }) => host.limitDownload(MBIT)));
      try {
        await stage.pull(image, stage.pullers, async () => {
          await waitFor('the holder serves layers', async () => {
            return (await stage.holder.agent.stats()).blobFiles > 0;
          });
          // Not before: it may be the one that all of them choose.
          await rogue.hold(fixture);
          await stage.holder.containerd.removeImage(image.name);
          const { blobFiles } = await stage.holder.agent.stats();
          t.diagnostic(`${blobFiles} deleted files were still being served`);
        });
      } finally {
        await Promise.all(stage.pullers.map(({ host }) => host.limitDownload(undefined)));
      }
      await stage.assertUpstreamUntouched(earlier);
    },
  );

  scenario(
    `${CLIENTS} clients request one blob at once, and ${EARLY_CLOSES} close their ranges early`,
    () => stage,
    async () => {
      const fixture = await stage.makeImage();
      const { image } = fixture;
      await stage.importAtHolder(fixture);
      await stage.waitUntilVisible(image);
      const [layer] = stage.layersOf(image);
      const [node] = stage.pullers;
      assert.ok(layer !== undefined && node !== undefined);
      const path = blobPathOf(image, layer.digest);
      const ask = async ({ agent }: ClusterNode): Promise<string> => {
        const response = await agent.fetch(path);
        if (response.status !== 200) return `status ${response.status}`;
        const hash = createHash('sha256');
        for await (const chunk of response.body ?? []) hash.update(chunk as Uint8Array);
        return `sha256:${hash.digest('hex')}`;
      };
      for (const [asked, clients] of [
        [stage.holder, CLIENTS],
        [node, PEER_CLIENTS],
      ] as const) {
        const answers = await Promise.all(Array.from({ length: clients }, () => ask(asked)));
        assert.deepEqual([...new Set(answers)], [layer.digest], asked.name);
      }

      const closeEarly = async (start: number): Promise<void> => {
        const socket = (await node.host.relay()).connect('127.0.0.1', PORTS.registry);
        socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\nrange: bytes=${start}-\r\n\r\n`);
        const [head] = (await once(socket, 'data')) as [Buffer];
        assert.match(head.toString('latin1'), /^HTTP\/1\.1 206 /);
        socket.destroy();
      };
      for (let done = 0; done < EARLY_CLOSES; done += EARLY_AT_ONCE) {
        await Promise.all(
          Array.from({ length: EARLY_AT_ONCE }, (_, index) => closeEarly((done + index) * KIB)),
        );
      }
      for (const { name, agent } of [node, stage.holder]) {
        await waitFor(`${name} has let go of all of them`, async () => {
          const { blobFiles } = await agent.stats();
          return blobFiles === 0 && (await agent.metric('http_requests_inflight')) === 0;
        });
      }
      assert.equal(await ask(node), layer.digest);
    },
  );
});

/**
 * Pulls a new image that the good holder and the faulty peer have.
 *
 * @returns the nodes that sent the faulty peer no request
 */
async function pullPast(
  stage: FaultStage,
  fault: Fault,
  nodes: readonly ClusterNode[],
  say: (line: string) => void,
): Promise<readonly ClusterNode[]> {
  const { rogue, image } = await stage.imageOfBoth('rogue');
  const earlier = (await stage.upstream.requests()).length;
  const resumes = await stage.resumes();
  const layers = stage.layersOf(image);
  const { at = 'layers', then } = fault;
  const manifests = image.manifests.map(({ descriptor }) => descriptor);
  const digests = (at === 'manifests' ? manifests : layers).map(({ digest }) => digest);
  const orders = fault.order(stage, layers[0]?.size ?? 0);
  await rogue.order({ ...orders, ...(at !== 'all' && { digests }) });
  // A node fetches a manifest at the HEAD of its tag already, to verify it.
  const tag = image.name.slice(image.name.lastIndexOf(':') + 1);
  const requested = at === 'manifests' ? [...digests, `/manifests/${tag}?`] : digests;
  const start = performance.now();

  let left = nodes;
  await stage.pull(image, nodes, async (signal) => {
    left = await stage.untilAsked(rogue, requested, orders.behaviour.kind, nodes, signal);
    if (left.length === 0) await then?.(rogue);
  });

  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const resumed = (await stage.resumes()) - resumes;
  say(
    `${nodes.length} pulls in ${seconds} s, ${resumed} bodies resumed, ${left.length} never asked`,
  );
  if (fault.silent) await stage.dropRogue();
  await stage.assertUpstreamUntouched(earlier);
  // `then` runs only once all have asked, so that no node met the fault when one did not ask.
  return then !== undefined && left.length > 0 ? nodes : left;
}

/** Pulls a new image whose first layer lies on a failing disk of the holder. The rogue is honest. */
async function pullFromFailingDisk(stage: FaultStage, folder: string): Promise<void> {
  const { image } = await stage.imageOfBoth('holder');
  const { host, containerd, agent } = stage.holder;
  const [layer] = stage.layersOf(image);
  assert.ok(layer !== undefined);
  const file = join(containerd.contentPath, 'blobs', ...layer.digest.split(':'));
  await using disk = await putOnFailingDisk(file, layer.size, join(host.directory, folder));
  // It is found to be right before it is served for the first time, and breaks after that.
  const whole = await agent.fetch(blobPathOf(image, layer.digest));
  assert.equal((await whole.arrayBuffer()).byteLength, layer.size);
  await disk.break();
  await assert.rejects(readFile(disk.path), { code: 'EIO' });
  const earlier = (await stage.upstream.requests()).length;
  await stage.pull(image);
  await stage.assertUpstreamUntouched(earlier);
}
