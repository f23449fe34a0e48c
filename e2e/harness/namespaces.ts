import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import type { RequestInit, Response } from 'undici';

import { Child, execute, type ChildInit } from './child.ts';
import { Relay } from './relay.ts';
import { runDirectory, runName } from './run.ts';

const SUBNET = '10.214.0';

/**
 * A private network for the nodes of a test: a bridge inside a namespace, and for each node a namespace with
 * one address on it. It has no routes or names that lead out, so every upstream is unreachable, and
 * the same addresses serve any number of runs side by side.
 */
export class Network implements AsyncDisposable {
  readonly #bridge: string;
  readonly #prefix: string;
  readonly #hosts: Host[] = [];
  readonly #bridges = new Set(['br0']);
  #next = 2;

  private constructor(prefix: string) {
    this.#prefix = prefix;
    this.#bridge = `${runName()}-${prefix}bridge`;
  }

  /** @param prefix begins the names of all machines: of several networks of one process each has another */
  static async create(prefix = ''): Promise<Network> {
    runDirectory();
    const network = new Network(prefix);
    const bridge = network.#bridge;
    await execute(['ip', 'netns', 'add', bridge]);
    await execute(['ip', '-n', bridge, 'link', 'set', 'lo', 'up']);
    await execute(['ip', '-n', bridge, 'link', 'add', 'br0', 'type', 'bridge']);
    await execute(['ip', '-n', bridge, 'link', 'set', 'br0', 'up']);
    return network;
  }

  /** Adds a machine to the network; `name` is short, unique in the network, and names its folder too. */
  async addHost(name: string): Promise<Host> {
    const own = `${this.#prefix}${name}`;
    const namespace = `${runName()}-${own}`;
    const address = `${SUBNET}.${this.#next++}`;
    const link = `to-${name}`;
    const bridge = this.#bridge;
    await execute(['ip', 'netns', 'add', namespace]);
    const ends = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace];
    await execute(['ip', '-n', bridge, 'link', 'add', link, ...ends]);
    await execute(['ip', '-n', bridge, 'link', 'set', link, 'master', 'br0', 'up']);
    await execute(['ip', '-n', namespace, 'address', 'add', `${address}/24`, 'dev', 'eth0']);
    await execute(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
    await execute(['ip', '-n', namespace, 'link', 'set', 'eth0', 'up']);
    const host = new Host({ name: own, namespace, address, bridge, link });
    this.#hosts.push(host);
    return host;
  }

  /**
   * Separates these machines from the others, but not from each other. Packets between two parts are lost without
   * an error, as between two switches without their cable. {@link rejoin} connects them again.
   *
   * @param part machines that are separated with another number are in another part; default 1
   */
  async separate(hosts: readonly Host[], part = 1): Promise<void> {
    const bridge = `br${String(part)}`;
    if (!this.#bridges.has(bridge)) {
      await execute(['ip', '-n', this.#bridge, 'link', 'add', bridge, 'type', 'bridge']);
      await execute(['ip', '-n', this.#bridge, 'link', 'set', bridge, 'up']);
      this.#bridges.add(bridge);
    }
    await Promise.all(hosts.map((host) => host.attachTo(bridge)));
  }

  /** Undoes {@link separate}. */
  async rejoin(hosts: readonly Host[]): Promise<void> {
    await Promise.all(hosts.map((host) => host.attachTo('br0')));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.#hosts) {
      await host[Symbol.asyncDispose]();
      await execute(['ip', 'netns', 'delete', host.namespace]);
      // Content stores are large. What is still mounted is left to the end of the run.
      await rm(host.directory, { recursive: true, force: true }).catch(() => undefined);
    }
    await execute(['ip', 'netns', 'delete', this.#bridge]);
  }
}

/** The queue of a limited link, as `tc` takes it. */
export interface LinkQueue {
  /** Bytes that may go at once after a pause. Packets above this size are cut. */
  readonly burst: string;
  /** How long a packet may wait before it is dropped. */
  readonly latency: string;
}

interface HostInit {
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
  readonly bridge: string;
  readonly link: string;
}

/** One machine of a {@link Network}. */
export class Host implements AsyncDisposable {
  readonly name: string;
  /** Its network namespace. */
  readonly namespace: string;
  /** Its IPv4 address. */
  readonly address: string;
  /** Its folder, made for it. */
  readonly directory: string;
  readonly #bridge: string;
  readonly #link: string;
  #relay: Promise<Relay> | undefined;

  constructor(init: HostInit) {
    this.name = init.name;
    this.namespace = init.namespace;
    this.address = init.address;
    this.directory = join(runDirectory(), init.name);
    this.#bridge = init.bridge;
    this.#link = init.link;
    mkdirSync(this.directory);
  }

  /** Starts a process on this machine, with a log file of this name in its folder. */
  start(log: string, init: Omit<ChildInit, 'namespace' | 'logFile'>): Child {
    return new Child({
      ...init,
      namespace: this.namespace,
      logFile: join(this.directory, `${log}.log`),
    });
  }

  /** Runs a command on this machine to its end and gives its standard output. */
  execute(command: readonly [string, ...string[]], timeoutMs?: number): Promise<string> {
    const limit = timeoutMs === undefined ? {} : { timeoutMs };
    return execute(command, { namespace: this.namespace, ...limit });
  }

  /** A relay on this machine, started when it is first needed. */
  relay(): Promise<Relay> {
    this.#relay ??= Relay.start(this.namespace, this.directory);
    return this.#relay;
  }

  /** `fetch` as a program on this machine would do it. */
  async fetch(url: string, init?: RequestInit): Promise<Response> {
    return (await this.relay()).fetch(url, init);
  }

  /** Limits the traffic to this machine, in Mbit/s; `undefined` lifts the limit. */
  limitDownload(mbit: number | undefined, queue?: LinkQueue): Promise<void> {
    return limitSending(this.#bridge, this.#link, mbit, queue);
  }

  /** Limits the traffic from this machine, in Mbit/s; `undefined` lifts the limit. */
  limitUpload(mbit: number | undefined, queue?: LinkQueue): Promise<void> {
    return limitSending(this.namespace, 'eth0', mbit, queue);
  }

  /** Plugs its cable into one of the network's bridges. */
  async attachTo(bridge: string): Promise<void> {
    await execute(['ip', '-n', this.#bridge, 'link', 'set', this.#link, 'master', bridge]);
  }

  /** Pulls its cable out of the bridge, or puts it back: it keeps its addresses. */
  async plug(plugged: boolean): Promise<void> {
    const state = plugged ? 'up' : 'down';
    await execute(['ip', '-n', this.#bridge, 'link', 'set', this.#link, state]);
  }

  /** Bytes that this machine has sent so far. */
  async bytesSent(): Promise<number> {
    const text = await execute(['ip', '-n', this.namespace, '-s', '-j', 'link', 'show', 'eth0']);
    const [link] = JSON.parse(text) as { stats64: { tx: { bytes: number } } }[];
    return link?.stats64.tx.bytes ?? 0;
  }

  /** TCP sockets of this machine in any state but listening and time-wait. */
  async openConnections(): Promise<number> {
    const text = await this.execute([
      'ss',
      '-Htan',
      'exclude',
      'time-wait',
      'exclude',
      'listening',
    ]);
    return text.split('\n').filter(Boolean).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#relay)?.[Symbol.asyncDispose]();
  }
}

async function limitSending(
  namespace: string,
  device: string,
  mbit: number | undefined,
  { burst, latency }: LinkQueue = { burst: '64kb', latency: '100ms' },
): Promise<void> {
  const queue = ['qdisc', mbit === undefined ? 'del' : 'replace', 'dev', device, 'root'];
  const shape =
    mbit === undefined ? [] : ['tbf', 'rate', `${mbit}mbit`, 'burst', burst, 'latency', latency];
  await execute(['tc', '-n', namespace, ...queue, ...shape]);
}
