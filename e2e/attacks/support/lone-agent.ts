import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

import { PORTS, PROGRAM } from '../../harness/agent-process.ts';
import type { Child } from '../../harness/child.ts';
import { REGISTRY } from '../../harness/fixtures.ts';
import { sumOfSamples } from '../../harness/metric-text.ts';
import { blobPathOf } from '../../harness/mirror.ts';
import { Network, type Host } from '../../harness/namespaces.ts';
import { waitFor } from '../../harness/wait.ts';
import { buildImage, type BuiltImage } from '../../images/image.ts';

/** Bytes of the layer `large`, and of `small`. */
const LAYERS = { large: 64 << 20, small: 1 << 20 } as const;
/** Connections that are opened at once. */
const BATCH = 50;
/** How long an answer may be silent, in milliseconds. */
const SILENT_MS = 20_000;

export type Layer = keyof typeof LAYERS;

/** Bytes of the large layer. */
export const LARGE: number = LAYERS.large;

/** Options of {@link LoneAgent}. */
export interface LoneAgentInit {
  /** Names of the other hosts. */
  readonly others: readonly string[];
  /** Options of the agent in every test, beside its ports and folders. */
  readonly flags?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The port at which the node itself asks. */
  readonly port: number;
}

/** A real agent on a host of its own, with an image of two layers, and other hosts that connect to it as they like. */
export class LoneAgent implements AsyncDisposable {
  readonly #init: LoneAgentInit;
  readonly #network: Network;
  readonly #image: BuiltImage;
  readonly #sockets: Socket[] = [];
  readonly node: Host;
  readonly others: readonly Host[];
  #agent: Child | undefined;

  private constructor(
    init: LoneAgentInit,
    network: Network,
    image: BuiltImage,
    [node, ...others]: readonly [Host, ...Host[]],
  ) {
    this.#init = init;
    this.#network = network;
    this.#image = image;
    this.node = node;
    this.others = others;
  }

  /** Makes the hosts and the image; {@link start} starts the agent. */
  static async create(init: LoneAgentInit): Promise<LoneAgent> {
    const network = await Network.create();
    const node = await network.addHost('node');
    const others: Host[] = [];
    for (const name of init.others) others.push(await network.addHost(name));
    const image = await buildImage(join(node.directory, 'layout'), {
      name: `${REGISTRY}/team/app:1.0`,
      layers: Object.values(LAYERS).map((bytes) => ({ bytes, compression: 'none' as const })),
    });
    return new LoneAgent(init, network, image, [node, ...others]);
  }

  /** The first of the other hosts. */
  get first(): Host {
    const [host] = this.others;
    assert.ok(host !== undefined);
    return host;
  }

  /** Starts the agent anew, and waits until it serves its node. */
  async start(...flags: string[]): Promise<void> {
    await this.#agent?.stop();
    const { node } = this;
    this.#agent = node.start('agent', {
      command: [
        process.execPath,
        ...[PROGRAM, 'registry', '--oci-layout', join(node.directory, 'layout')],
        ...['--registry-addr', `:${PORTS.registry}`, '--router-addr', `:${PORTS.router}`],
        ...['--metrics-addr', `:${PORTS.metrics}`, '--data-dir', join(node.directory, 'agent')],
        ...['--bootstrap-kind', 'static', ...(this.#init.flags ?? []), ...flags],
      ],
      env: this.#init.env,
    });
    await waitFor('the agent serves', async () => (await this.ask(node, '127.0.0.1')) === 200);
  }

  /** A request for a layer. */
  get(layer: Layer, ...headers: string[]): string {
    const at = Object.keys(LAYERS).indexOf(layer);
    const built = this.#image.manifests[0]?.layers[at];
    assert.ok(built !== undefined);
    return getOf(blobPathOf(this.#image, built.descriptor.digest), ...headers);
  }

  /** The status of the answer over a connection of its own; 0 when it is closed without a byte. */
  async ask(
    from: Host,
    to: string,
    {
      port = this.#init.port,
      layer = 'small',
      headers = [],
    }: { port?: number; layer?: Layer; headers?: readonly string[] } = {},
  ): Promise<number> {
    const socket = (await from.relay()).connect(to, port);
    socket.on('error', () => undefined);
    // One that is kept alive would not have to be accepted.
    socket.write(this.get(layer, 'connection: close', ...headers));
    socket.setTimeout(SILENT_MS, () => socket.destroy(new Error(`${to} was silent`)));
    const answer = await buffer(socket).catch(() => Buffer.alloc(0));
    return Number(/^HTTP\/1.1 (\d+)/.exec(answer.toString('latin1', 0, 20))?.[1] ?? 0);
  }

  /** Opens connections, and sends the text on each. What comes is not read. */
  async open(from: Host, count: number, text: string, port = this.#init.port): Promise<Socket[]> {
    const relay = await from.relay();
    const opened: Socket[] = [];
    for (let index = 0; index < count; index += 1) {
      const socket = relay.connect(from === this.node ? '127.0.0.1' : this.node.address, port);
      socket.on('error', () => undefined);
      socket.write(text);
      opened.push(socket);
      if (index % BATCH === BATCH - 1) await sleep(5);
    }
    this.#sockets.push(...opened);
    return opened;
  }

  /** The same, a few at a time, so that none is lost on the way: each is answered or closed. */
  async openAnswered(from: Host, count: number, text: string, port?: number): Promise<void> {
    for (let opened = 0; opened < count; opened += BATCH) {
      const batch = await this.open(from, Math.min(BATCH, count - opened), text, port);
      await Promise.all(batch.map(answered));
    }
  }

  async closeAll(): Promise<void> {
    await Promise.all(
      this.#sockets.splice(0).map(async (socket) => {
        if (socket.closed) return;
        socket.destroy();
        await once(socket, 'close');
      }),
    );
  }

  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const url = `http://127.0.0.1:${PORTS.metrics}/metrics`;
    return sumOfSamples(await (await this.node.fetch(url)).text(), name, labels);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.closeAll();
    await this.#agent?.stop();
    await this.#network[Symbol.asyncDispose]();
  }
}

/** A request. */
export function getOf(path: string, ...headers: string[]): string {
  return `${[`GET ${path} HTTP/1.1`, 'host: mirror', ...headers].join('\r\n')}\r\n\r\n`;
}

async function answered(socket: Socket): Promise<void> {
  if (socket.closed) return;
  await Promise.race([once(socket, 'data'), once(socket, 'close')]);
  socket.pause();
}
