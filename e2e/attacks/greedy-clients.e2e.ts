import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { buildImage, type BuiltImage } from '../images/image.ts';
import { OPEN_ENVIRONMENT, PORTS, PROGRAM } from '../harness/agent-process.ts';
import type { Child } from '../harness/child.ts';
import { REGISTRY } from '../harness/fixtures.ts';
import { blobPathOf } from '../harness/mirror.ts';
import { Network, type Host } from '../harness/namespaces.ts';
import { waitFor } from '../harness/wait.ts';

const LARGE = 64 << 20;
const SMALL = 1 << 20;
/** Connections that one address may have. */
const PER_ADDRESS = 1_024;
/** Connections that are opened at once. */
const BATCH = 64;
/** Bodies that a node sends at once, `--max-uploads`. */
const UPLOADS = 512;
const PATIENCE = { timeout: 60_000 };

/** Hosts that take what they can get of one agent, another host that needs it, and the node of the agent itself. */
suite('greedy clients', () => {
  let network: Network;
  let holder: Host;
  let peer: Host;
  let greedy: Host[];
  let image: BuiltImage;
  let agent: Child | undefined;
  const sockets: Socket[] = [];

  before(async () => {
    network = await Network.create();
    holder = await network.addHost('holder');
    peer = await network.addHost('peer');
    greedy = [];
    for (const name of ['g1', 'g2', 'g3', 'g4']) greedy.push(await network.addHost(name));
    image = await buildImage(join(holder.directory, 'layout'), {
      name: `${REGISTRY}/team/app:1.0`,
      layers: [LARGE, SMALL].map((bytes) => ({ bytes, compression: 'none' as const })),
    });
  });
  after(async () => {
    await agent?.stop();
    await network[Symbol.asyncDispose]();
  });

  /** Starts the agent, and waits until it serves. */
  async function start(...flags: string[]): Promise<void> {
    await agent?.stop();
    agent = holder.start('agent', {
      command: [
        process.execPath,
        ...[PROGRAM, 'registry', '--oci-layout', join(holder.directory, 'layout')],
        ...['--registry-addr', `:${PORTS.registry}`, '--router-addr', `:${PORTS.router}`],
        ...['--metrics-addr', `:${PORTS.metrics}`, '--data-dir', join(holder.directory, 'agent')],
        ...['--bootstrap-kind', 'static', ...flags],
      ],
      // Anyone is served in an open cluster: a member could be as greedy.
      env: OPEN_ENVIRONMENT,
    });
    await waitFor('the agent serves', async () => (await statusOf(holder, '127.0.0.1', 1)) === 200);
  }

  function first(): Host {
    const [host] = greedy;
    assert.ok(host !== undefined);
    return host;
  }

  /** Path of the large layer or the small one. */
  function path(layer: 0 | 1): string {
    const built = image.manifests[0]?.layers[layer];
    assert.ok(built !== undefined);
    return blobPathOf(image, built.descriptor.digest);
  }

  /** The status of the answer to this host, asked as the containerd of a node or as a peer. */
  async function statusOf(from: Host, to: string, layer: 0 | 1, isPeer = false): Promise<number> {
    // Over a connection of its own: one that is kept alive would not have to be accepted.
    const socket = (await from.relay()).connect(to, PORTS.registry);
    const headers = ['connection: close', ...(isPeer ? ['x-spegel-mirrored: true'] : [])];
    socket.write(get(path(layer), ...headers));
    socket.setTimeout(20_000, () => socket.destroy(new Error(`${to} sent nothing for 20 s`)));
    const answer = await buffer(socket);
    return Number(/^HTTP\/1.1 (\d+)/.exec(answer.toString('latin1', 0, 20))?.[1] ?? 0);
  }

  /** Opens connections from this host, on each of which it sends the text. */
  async function open(from: Host, count: number, text: string): Promise<Socket[]> {
    const relay = await from.relay();
    const opened: Socket[] = [];
    for (let index = 0; index < count; index++) {
      const socket = relay.connect(holder.address, PORTS.registry);
      socket.on('error', () => undefined);
      socket.write(text);
      opened.push(socket);
      if (index % 64 === 63) await sleep(5);
    }
    sockets.push(...opened);
    return opened;
  }

  /** Waits for an answer, or for the end of a connection, which may have been before. */
  async function answered(socket: Socket): Promise<void> {
    if (socket.closed) return;
    await Promise.race([once(socket, 'data'), once(socket, 'close')]);
  }

  async function closeAll(): Promise<void> {
    await Promise.all(
      sockets.splice(0).map(async (socket) => {
        if (socket.closed) return;
        socket.destroy();
        await once(socket, 'close');
      }),
    );
  }

  const get = (target: string, ...headers: string[]): string =>
    `${[`GET ${target} HTTP/1.1`, 'host: mirror', ...headers].join('\r\n')}\r\n\r\n`;

  async function inflight(): Promise<number> {
    const url = `http://127.0.0.1:${PORTS.metrics}/metrics`;
    const text = await (await holder.fetch(url)).text();
    return Number(/^peerglass_uploads_inflight (\d+)$/m.exec(text)?.[1]);
  }

  for (const header of ['x-spegel-mirrored: true', 'x-nothing: at all']) {
    test(`bodies that are not read leave uploads to a peer (${header})`, PATIENCE, async () => {
      await start();
      await open(first(), UPLOADS, get(path(0), header));
      // As many as the address gets; the others hear 503.
      await waitFor('the bodies are under way', async () => (await inflight()) >= UPLOADS / 4);
      assert.equal(await statusOf(peer, holder.address, 0, true), 200);
      assert.equal(await statusOf(peer, holder.address, 1), 200);
      assert.equal(await statusOf(holder, '127.0.0.1', 1), 200);
      await closeAll();
    });
  }

  test('idle connections leave one to the node itself, and to a peer', PATIENCE, async () => {
    await start();
    for (const host of greedy) {
      // A few at a time, so that none is lost on the way.
      for (let count = 0; count < PER_ADDRESS; count += BATCH) {
        const batch = await open(host, BATCH, get('/v2/'));
        await Promise.all(batch.map(answered));
      }
    }
    await sleep(1_500); // Only a connection that was idle for a second is closed for another.
    for (let round = 0; round < 5; round++) {
      assert.equal(await statusOf(holder, '127.0.0.1', 1), 200);
      assert.equal(await statusOf(holder, holder.address, 1), 200);
      assert.equal(await statusOf(peer, holder.address, 1, true), 200);
    }
    await closeAll();
  });

  test('--upload-limit holds for a client that does not say to be a peer', PATIENCE, async () => {
    await start('--upload-limit', '1MiB');
    const [socket] = await open(first(), 1, get(path(0)));
    let bytes = 0;
    socket?.on('data', (chunk: Buffer) => (bytes += chunk.length));
    await waitFor('the body has begun', () => bytes > 0);
    // The node itself gets all of it meanwhile.
    assert.equal(await statusOf(holder, '127.0.0.1', 0), 200);
    assert.equal(await statusOf(holder, holder.address, 0), 200);
    assert.ok(bytes < LARGE / 2, `${bytes} bytes`);
    await closeAll();
  });
});
