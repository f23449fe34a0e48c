import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { execute, type Child } from './child.ts';
import { containerdConfig, containerdPaths } from './containerd-config.ts';
import type { ContainerdRelease } from './containerd-versions.ts';
import { CriClient, type User } from './cri.ts';
import { writeHostsToml } from './hosts-toml.ts';
import type { Host } from './namespaces.ts';
import { waitFor } from './wait.ts';

/** Options of {@link ContainerdNode}. */
export interface ContainerdNodeInit {
  readonly host: Host;
  readonly release: ContainerdRelease;
  readonly fetchBufferBytes?: number | undefined;
  readonly fetchStreams?: number | undefined;
  /**
   * Whether the daemon sees its configuration and its root under the usual paths of a machine, without a `certs.d` at
   * first. Such a daemon cannot restart without its pods.
   */
  readonly usualPaths?: boolean;
}

/** How a test pulls: as a person with `ctr`, or as the kubelet over the CRI. */
export type Puller = 'ctr' | 'cri';

/** Where a containerd of its own has configuration and root. */
const USUAL_PATHS = { etc: '/etc/containerd', root: '/var/lib/containerd' } as const;

/** Longest that a pull of a test may take: a limit against hangs. */
const PULL_LIMIT_MS = 120_000;

/** A real containerd on a host of the test network, with everything it keeps in the host's folder. */
export class ContainerdNode implements AsyncDisposable {
  readonly host: Host;
  readonly release: ContainerdRelease;
  /** Its gRPC socket. */
  readonly socket: string;
  /** Its content store, as `--containerd-content-path` takes it. */
  readonly contentPath: string;
  /** Its folder of hosts.toml files; `_default` names the host's agent. */
  readonly certsDir: string;
  readonly #directory: string;
  readonly #etc: string;
  readonly #config: string;
  readonly #usualPaths: boolean;
  #daemon: Child | undefined;
  #mounts = 0;

  private constructor(init: ContainerdNodeInit) {
    this.host = init.host;
    this.release = init.release;
    this.#directory = init.host.directory;
    const paths = containerdPaths(this.#directory);
    this.socket = paths.socket;
    this.contentPath = paths.content;
    this.#usualPaths = init.usualPaths ?? false;
    this.#etc = this.#usualPaths ? join(this.#directory, 'etc') : this.#directory;
    this.certsDir = join(this.#etc, 'certs.d');
    this.#config = containerdConfig({
      ...init,
      directory: this.#directory,
      configPath: this.#usualPaths ? join(USUAL_PATHS.etc, 'certs.d') : this.certsDir,
      ...(this.#usualPaths ? { root: USUAL_PATHS.root } : {}),
    });
  }

  static async start(init: ContainerdNodeInit): Promise<ContainerdNode> {
    const node = new ContainerdNode(init);
    if (init.usualPaths !== true) await writeHostsToml(node.certsDir, '_default');
    await mkdir(node.#etc, { recursive: true });
    await mkdir(join(node.#directory, 'cni'), { recursive: true });
    await writeFile(join(node.#etc, 'config.toml'), node.#config);
    await node.#boot();
    return node;
  }

  /** `containerd 2.1.9 on b`, for the names of tests and messages. */
  toString(): string {
    return `containerd ${this.release.version} on ${this.host.name}`;
  }

  /** Ends the daemon (by default at once, as a crash does) without starting it again. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    this.#daemon?.signal(signal);
    await this.#daemon?.exited;
  }

  /** Sends the daemon a signal. */
  signal(signal: NodeJS.Signals): void {
    this.#daemon?.signal(signal);
  }

  /** Ends the daemon in order and starts it again on what it left, with these variables. */
  async restart(env: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.#daemon?.stop();
    await this.#boot(env);
  }

  /** `ctr -n k8s.io ...` on this node; gives what it printed. */
  ctr(...args: readonly string[]): Promise<string> {
    return execute(this.#ctrCommand(...args), {
      namespace: this.host.namespace,
      env: { TMPDIR: this.#directory },
      timeoutMs: PULL_LIMIT_MS,
    });
  }

  /** `ctr image import` of an archive made by `toArchive`; unpacks too, as it does by default. */
  async importArchive(file: string, ...options: readonly string[]): Promise<void> {
    await this.ctr('image', 'import', ...options, file);
  }

  /** Pulls through the node's hosts.toml files. */
  async pull(puller: Puller, reference: string): Promise<void> {
    if (puller === 'ctr') await this.pullWithCtr(reference);
    else await this.pullWithCri(reference);
  }

  /**
   * `ctr image pull`, which also unpacks. From 2.0 on it fetches the manifests of all platforms of an index, unless a
   * flag prevents that. Peers have no reason to hold those, and the CRI never fetches them.
   */
  async pullWithCtr(reference: string): Promise<void> {
    const options = this.release.isV2 ? ['--skip-metadata'] : [];
    await this.ctr('image', 'pull', '--hosts-dir', this.certsDir, ...options, reference);
  }

  /** What the kubelet does; gives the image's ID. */
  async pullWithCri(reference: string, user?: User, signal?: AbortSignal): Promise<string> {
    using cri = new CriClient(this.socket);
    return await cri.pullImage(reference, PULL_LIMIT_MS, { user, signal });
  }

  /** All image records: name to digest. */
  async images(): Promise<Map<string, string>> {
    const rows = (await this.ctr('image', 'list')).split('\n').slice(1).filter(Boolean);
    return new Map(
      rows.map((row) => {
        const [name = '', , digest = ''] = row.split(/\s+/);
        return [name, digest];
      }),
    );
  }

  /**
   * Removes the image under all its names, or all images, and waits until their content is gone. The CRI
   * adds names of its own (an alias by the config's digest, another by the index's) a moment after an
   * import, and each of them keeps the content: hence the loop.
   */
  async removeImage(reference?: string): Promise<void> {
    const first = await this.images();
    const digest = reference === undefined ? undefined : first.get(reference);
    if (reference !== undefined && digest === undefined) return;
    await waitFor(`${String(this)} has removed ${reference ?? 'all images'}`, async () => {
      const images = [...(await this.images())];
      const names = images.filter(([, it]) => digest === undefined || it === digest);
      if (names.length === 0) return true;
      await this.ctr('image', 'rm', '--sync', ...names.map(([name]) => name));
      return false;
    });
  }

  /** Digests of all finished blobs. */
  async contentDigests(): Promise<Set<string>> {
    return new Set((await this.ctr('content', 'list', '-q')).split('\n').filter(Boolean));
  }

  /** Reads the blob's file in the content store and gives the digest of what is in it. */
  async digestOfContent(digest: string): Promise<string> {
    const hash = createHash('sha256');
    const file = join(this.contentPath, 'blobs', ...digest.split(':'));
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
      hash.update(chunk as Buffer);
    }
    return `sha256:${hash.digest('hex')}`;
  }

  /** Bytes of the largest unfinished download, or 0: how far a pull of one large layer has come. */
  async bytesIngested(): Promise<number> {
    const folder = join(this.contentPath, 'ingest');
    let most = 0;
    for (const name of await readdir(folder)) {
      // It may be finished, and gone, by now.
      const size = await stat(join(folder, name, 'data')).then(
        (it) => it.size,
        () => 0,
      );
      most = Math.max(most, size);
    }
    return most;
  }

  /** Mounts the image's unpacked file system for as long as the result lives (`ctr image mount`). */
  async mountImage(reference: string): Promise<AsyncDisposable & { readonly path: string }> {
    const path = join(this.#directory, `mount-${this.#mounts++}`);
    await mkdir(path);
    // The daemon names the paths of its snapshots, and may see other paths than the test.
    await this.#executeInside(this.#ctrCommand('image', 'mount', reference, path));
    return {
      path: `/proc/${this.#daemon?.pid ?? 0}/root${path}`,
      [Symbol.asyncDispose]: async () => {
        await this.#executeInside(this.#ctrCommand('image', 'unmount', '--rm', path));
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon?.stop();
  }

  /** For programs of the node, which see the paths that the daemon sees. */
  seenFromInside(): {
    readonly host: Pick<Host, 'execute'>;
    readonly containerd: Pick<ContainerdNode, 'socket' | 'certsDir'>;
  } {
    const execute: Host['execute'] = (...args) => this.#executeInside(...args);
    const certsDir = this.#usualPaths ? join(USUAL_PATHS.etc, 'certs.d') : this.certsDir;
    return { host: { execute }, containerd: { socket: this.socket, certsDir } };
  }

  #executeInside(...[command, timeoutMs]: Parameters<Host['execute']>): Promise<string> {
    const namespace = `--mount=/proc/${this.#daemon?.pid ?? 0}/ns/mnt`;
    return this.host.execute(['nsenter', namespace, ...command], timeoutMs);
  }

  #ctrCommand(...args: readonly string[]): [string, ...string[]] {
    return [this.release.ctr, '-a', this.socket, '-n', 'k8s.io', ...args];
  }

  async #command(): Promise<[string, ...string[]]> {
    const command = [this.release.containerd, '--config', join(this.#etc, 'config.toml')] as const;
    if (!this.#usualPaths) return [...command];
    const { root } = containerdPaths(this.#directory);
    for (const folder of [root, USUAL_PATHS.root]) await mkdir(folder, { recursive: true });
    // Each of the words executes the next, so the pid is the daemon's.
    const script = 'mount --bind "$1" "$2" && mount --bind "$3" "$4" && shift 4 && exec "$@"';
    const mounts = [this.#etc, USUAL_PATHS.etc, root, USUAL_PATHS.root];
    return ['unshare', '--mount', 'sh', '-c', script, 'sh', ...mounts, ...command];
  }

  async #boot(env: Readonly<Record<string, string>> = {}): Promise<void> {
    const daemon = this.host.start('containerd', {
      command: await this.#command(),
      // Its own shim comes before that of the machine's containerd.
      env: { PATH: `${dirname(this.release.containerd)}:${process.env['PATH'] ?? ''}`, ...env },
    });
    this.#daemon = daemon;
    await waitFor(`${String(this)} is up`, async () => {
      if (!daemon.isRunning) return false;
      using cri = new CriClient(this.socket);
      await cri.version();
      return true;
    }).catch(async (error: unknown) => {
      throw new Error(`${String(this)} did not start:\n${await daemon.logTail()}`, {
        cause: error,
      });
    });
  }
}
