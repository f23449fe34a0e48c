import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { agentEnvironment, PORTS, PROGRAM } from '../harness/agent-process.ts';
import type { Child } from '../harness/child.ts';
import { REGISTRY } from '../harness/fixtures.ts';
import { sumOfSamples } from '../harness/metric-text.ts';
import { blobPathOf } from '../harness/mirror.ts';
import { Network, type Host } from '../harness/namespaces.ts';
import { waitFor } from '../harness/wait.ts';
import { buildImage, type BuiltImage } from '../images/image.ts';

/** The port for the containerd of the node. */
const MIRROR = 5002;
const LARGE = 64 << 20;
const SMALL = 1 << 20;
/** Idle connections of others to the port for peers, from four hosts. */
const IDLE = 4_000;
/** Connections that are opened at once. */
const BATCH = 50;
const PATIENCE = { timeout: 90_000 };

/** The listener that a node's own containerd has for itself, on a real agent: others take nothing of it. */
suite('the listener of the node', () => {
  let network: Network;
  let node: Host;
  let strangers: Host[];
  let image: BuiltImage;
  let agent: Child | undefined;
  const sockets: Socket[] = [];

  before(async () => {
    network = await Network.create();
    node = await network.addHost('node');
    strangers = [];
    for (const name of ['s1', 's2', 's3', 's4']) strangers.push(await network.addHost(name));
    image = await buildImage(join(node.directory, 'layout'), {
      name: `${REGISTRY}/team/app:1.0`,
      layers: [LARGE, SMALL].map((bytes) => ({ bytes, compression: 'none' as const })),
    });
  });
  after(async () => {
    await closeAll();
    await agent?.stop();
    await network[Symbol.asyncDispose]();
  });

  async function start(...flags: string[]): Promise<void> {
    await agent?.stop();
    agent = node.start('agent', {
      command: [
        process.execPath,
        ...[PROGRAM, 'registry', '--oci-layout', join(node.directory, 'layout')],
        ...['--registry-addr', `:${PORTS.registry}`, '--mirror-addr', `:${MIRROR}`],
        ...['--router-addr', `:${PORTS.router}`, '--metrics-addr', `:${PORTS.metrics}`],
        ...['--data-dir', join(node.directory, 'agent'), '--bootstrap-kind', 'static', ...flags],
      ],
      env: agentEnvironment(),
    });
    await waitFor('the agent serves', async () => (await ask(node, '127.0.0.1')) === 200);
  }

  function first(): Host {
    const [host] = strangers;
    assert.ok(host !== undefined);
    return host;
  }

  function get(layer: 0 | 1, ...headers: string[]): string {
    const built = image.manifests[0]?.layers[layer];
    assert.ok(built !== undefined);
    const path = blobPathOf(image, built.descriptor.digest);
    return `${[`GET ${path} HTTP/1.1`, 'host: mirror', ...headers].join('\r\n')}\r\n\r\n`;
  }

  /** The status of the answer over a connection of its own; 0 when it is closed without a byte. */
  async function ask(from: Host, to: string, port = MIRROR): Promise<number> {
    const socket = (await from.relay()).connect(to, port);
    socket.on('error', () => undefined);
    socket.write(get(1, 'connection: close'));
    socket.setTimeout(20_000, () => socket.destroy(new Error(`${to} sent nothing for 20 s`)));
    const answer = await buffer(socket).catch(() => Buffer.alloc(0));
    if (answer.length === 0) return 0;
    return Number(/^HTTP\/1.1 (\d+)/.exec(answer.toString('latin1', 0, 20))?.[1]);
  }

  /** Opens connections, a few at a time, sends the text on each, and waits until each is answered or closed. */
  async function open(from: Host, port: number, count: number, text: string): Promise<void> {
    const relay = await from.relay();
    for (let opened = 0; opened < count; opened += BATCH) {
      const batch = Array.from({ length: Math.min(BATCH, count - opened) }, () => {
        const socket = relay.connect(from === node ? '127.0.0.1' : node.address, port);
        socket.on('error', () => undefined);
        socket.write(text);
        return socket;
      });
      sockets.push(...batch);
      await Promise.all(batch.map(answered));
    }
  }

  async function answered(socket: Socket): Promise<void> {
    if (socket.closed) return;
    await Promise.race([once(socket, 'data'), once(socket, 'close')]);
    socket.pause();
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

  async function metric(name: string, labels: Record<string, string> = {}): Promise<number> {
    const url = `http://127.0.0.1:${PORTS.metrics}/metrics`;
    return sumOfSamples(await (await node.fetch(url)).text(), name, labels);
  }

  test('serves the node while others hold 4,000 idle connections of peers', PATIENCE, async () => {
    await start();
    const version = 'GET /v2/ HTTP/1.1\r\nhost: mirror\r\n\r\n';
    for (const host of strangers) await open(host, PORTS.registry, IDLE / 4, version);
    for (let round = 0; round < 10; round++) {
      assert.equal(await ask(node, '127.0.0.1'), 200);
      assert.equal(await ask(node, node.address), 200);
    }
    await closeAll();
  });

  test('counts no body of the node against --max-uploads', PATIENCE, async () => {
    // Open, so that the other host is served as a peer is.
    await start('--max-uploads', '1', '--open');
    await open(first(), PORTS.registry, 1, get(0));
    await waitFor('the upload is under way', async () => {
      return (await metric('peerglass_uploads_inflight')) === 1;
    });
    // Bodies that are not read, so that all of them are under way together; then one that is.
    await open(node, MIRROR, 8, get(0));
    assert.equal(await ask(node, '127.0.0.1'), 200);
    assert.equal(await metric('peerglass_uploads_inflight'), 1);
    await closeAll();
  });

  test(
    'refuses who is on another host, counts it, and logs the address once',
    PATIENCE,
    async () => {
      await start();
      const before = await metric('peerglass_refused_total', { reason: 'client' });
      for (let round = 0; round < 20; round++) assert.equal(await ask(first(), node.address), 0);
      await open(first(), MIRROR, 2_000, get(1));
      assert.equal(await ask(node, '127.0.0.1'), 200);
      const refused = (await metric('peerglass_refused_total', { reason: 'client' })) - before;
      assert.equal(refused, 2_020);
      const log = await readFile(join(node.directory, 'agent.log'), 'utf8');
      const lines = log.split('\n').filter((line) => line.includes('"reason":"client"'));
      assert.equal(lines.length, 1, lines.join('\n'));
      assert.ok(lines[0]?.includes(`"address":"${first().address}:`), lines[0]);
      assert.match(lines[0] ?? '', /--node-ip/);
      // The port for peers answers, and gives what it has to nodes of the cluster only.
      assert.equal(await ask(first(), node.address, PORTS.registry), 404);
      await closeAll();
    },
  );

  test(
    'serves others that --node-ip names, and all with --mirror-clients any',
    PATIENCE,
    async () => {
      const [one, other] = strangers as [Host, Host];
      await start('--node-ip', node.address, '--node-ip', one.address);
      assert.deepEqual([await ask(one, node.address), await ask(other, node.address)], [200, 0]);
      await start('--mirror-clients', 'any');
      assert.deepEqual([await ask(one, node.address), await ask(other, node.address)], [200, 200]);
    },
  );

  test('keeps /debug/ from other hosts, and not /metrics', PATIENCE, async () => {
    const status = async (from: Host, to: string, path: string): Promise<number> => {
      const response = await from.fetch(`http://${to}:${PORTS.metrics}${path}`);
      const text = await response.text();
      if (path.startsWith('/debug/') && response.status === 404)
        assert.match(text, /--debug-clients/);
      return response.status;
    };
    await start();
    // The router shows its state once it is up.
    await waitFor('/debug/ is there', async () => {
      return (await status(node, '127.0.0.1', '/debug/status').catch(() => 0)) === 200;
    });
    const paths = ['/debug/status', '/debug/peers', '/debug/providers?key=a', '/metrics', '/livez'];
    const seen = (from: Host, to: string): Promise<number[]> =>
      Promise.all(paths.map((path) => status(from, to, path)));
    assert.deepEqual(await seen(first(), node.address), [404, 404, 404, 200, 200]);
    assert.deepEqual(await seen(node, node.address), [404, 404, 404, 200, 200]);
    assert.deepEqual(await seen(node, '127.0.0.1'), [200, 200, 200, 200, 200]);
    await start('--debug-clients', 'node');
    await sleep(1_000);
    assert.deepEqual(await seen(first(), node.address), [404, 404, 404, 200, 200]);
    assert.deepEqual(await seen(node, node.address), [200, 200, 200, 200, 200]);
  });
});
