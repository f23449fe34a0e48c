import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';

import {
  ContentClient,
  WriteAction,
} from '../../proto/generated/containerd/services/content/v1/content.ts';
import { ImagesClient } from '../../proto/generated/containerd/services/images/v1/images.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { digestOf } from './conformance/content-store.ts';
import type { DownloadUnderTest } from './conformance/ingests.ts';
import { unary } from '../store/containerd/calls.ts';
import { ContainerdClient } from '../store/containerd/client.ts';

export interface PutBlobOptions {
  /** The fixture's `namespace` by default. */
  readonly namespace?: string;
  /** Whether garbage collection keeps the blob although no image refers to it; true by default. */
  readonly keep?: boolean;
}

/** A download that a client of the fixture's containerd writes. */
export interface ContainerdDownload extends DownloadUnderTest {
  /** Ends the client's call without a commit, as a client does that goes away. */
  leave(): Promise<void>;
}

/** Milliseconds that containerd may take to start. */
const PATIENCE = 30_000;

/**
 * A real containerd for tests, in its own folder and without plugins that touch the machine. It ends, and its folder
 * is removed, when the fixture is disposed of. It also ends when the process that started it dies. Needs root.
 */
export class ContainerdFixture implements AsyncDisposable {
  readonly namespace = 'k8s.io';
  readonly #binary: string;
  readonly #folder: string;
  #process: ChildProcess | undefined;
  #content: ContentClient;
  #images: ImagesClient;

  private constructor(binary: string, folder: string) {
    this.#binary = binary;
    this.#folder = folder;
    [this.#content, this.#images] = this.#connect();
  }

  /** @param binary path of the containerd to run: `PEERGLASS_CONTAINERD`, or the one that is installed */
  static async create(binary = containerdBinary()): Promise<ContainerdFixture> {
    // Paths of sockets are limited to 107 bytes.
    const folder = await mkdtemp(join(tmpdir(), 'pg-ctd-'));
    const fixture = new ContainerdFixture(binary, folder);
    await writeFile(fixture.#path('config.toml'), fixture.#configuration());
    return fixture;
  }

  get socketPath(): string {
    return this.#path('c.sock');
  }

  get contentPath(): string {
    return this.#path('root', 'io.containerd.content.v1.content');
  }

  /** A path in the fixture's folder. */
  scratch(name: string): string {
    return this.#path(name);
  }

  async start(): Promise<this> {
    const log = await open(this.#path('log'), 'a');
    try {
      const command = ['--pdeathsig', 'KILL', this.#binary, '--config', this.#path('config.toml')];
      this.#process = spawn('setpriv', command, { stdio: ['ignore', log.fd, log.fd] });
      await once(this.#process, 'spawn');
    } finally {
      await log.close();
    }
    await this.#answering();
    [this.#content, this.#images] = this.#connect();
    return this;
  }

  /** Kills the process, as a crash does. */
  async kill(): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    this.#content.close();
    this.#images.close();
    if (running?.exitCode !== null || running.signalCode !== null) return;
    const exited = once(running, 'exit');
    running.kill('SIGKILL');
    await exited;
  }

  /** Writes a blob that no image refers to. */
  async putBlob(bytes: Buffer, options: PutBlobOptions = {}): Promise<Digest> {
    const { namespace = this.namespace, keep = true } = options;
    const digest = digestOf(bytes);
    const call = this.#content.write(metadata(namespace));
    const ended = Promise.withResolvers<undefined>();
    call.on('data', () => undefined);
    call.on('end', ended.resolve);
    call.on('error', (error: ServiceError) => {
      if (error.code === status.ALREADY_EXISTS) ended.resolve(undefined);
      else ended.reject(error);
    });
    call.end({
      action: WriteAction.COMMIT,
      ref: `test-${digest}`,
      total: bytes.length,
      expected: digest,
      offset: 0,
      data: bytes,
      labels: keep ? { 'containerd.io/gc.root': '1' } : {},
    });
    await ended.promise;
    return digest;
  }

  /** Begins a download of a blob, as a client does that pulls it. */
  async begin(digest: Digest, total = 0): Promise<ContainerdDownload> {
    const ref = `layer-${digest}`;
    const call = this.#content.write(metadata(this.namespace));
    const ended = once(call, 'close').catch(() => undefined);
    call.on('error', () => undefined);
    let offset = 0;
    const send = async (action: WriteAction, data: Buffer = Buffer.alloc(0)): Promise<void> => {
      const answered = once(call, 'data');
      call.write({ action, ref, total, expected: digest, offset, data, labels: {} });
      await answered;
      offset += data.length;
    };
    const leave = async (): Promise<void> => {
      call.end();
      await ended;
    };
    await send(WriteAction.STAT);
    return {
      leave,
      write: (bytes) => send(WriteAction.WRITE, bytes),
      restart: () => assert.fail('containerd restarts a download only by itself'),
      commit: async () => {
        await send(WriteAction.COMMIT);
        await leave();
      },
      abort: async () => {
        await leave();
        await unary((done) => this.#content.abort({ ref }, metadata(this.namespace), done));
      },
    };
  }

  async deleteBlob(digest: Digest): Promise<void> {
    await unary((done) => this.#content.delete({ digest }, metadata(this.namespace), done));
  }

  /** Creates or updates the image record. */
  async putImage(name: string, target: Descriptor): Promise<void> {
    const image = { name, labels: {}, target: { ...target, annotations: {} } };
    const all = metadata(this.namespace);
    const found = await unary((done) => this.#images.get({ name }, all, done));
    if (found === undefined) await unary((done) => this.#images.create({ image }, all, done));
    else await unary((done) => this.#images.update({ image }, all, done));
  }

  /** Deletes the image record, and waits for the garbage collection that follows. */
  async deleteImage(name: string): Promise<void> {
    const request = { name, sync: true };
    await unary((done) => this.#images.delete(request, metadata(this.namespace), done));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #path(...names: string[]): string {
    return join(this.#folder, ...names);
  }

  /** In version 2 of the format, which containerd 1.6 to 2.x read. */
  #configuration(): string {
    const path = (...names: string[]) => JSON.stringify(this.#path(...names));
    return `version = 2
root = ${path('root')}
state = ${path('state')}
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime",
  "io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart",
]
[grpc]
address = ${path('c.sock')}
[ttrpc]
address = ${path('t.sock')}
`;
  }

  #connect(): [ContentClient, ImagesClient] {
    const address = `unix:${this.socketPath}`;
    const options = { 'grpc.use_local_subchannel_pool': 1 };
    const trust = credentials.createInsecure();
    return [new ContentClient(address, trust, options), new ImagesClient(address, trust, options)];
  }

  async #answering(): Promise<void> {
    using client = new ContainerdClient({
      socketPath: this.socketPath,
      namespace: this.namespace,
      callTimeout: 2_000,
    });
    const deadline = Date.now() + PATIENCE;
    for (;;) {
      try {
        await client.version();
        return;
      } catch (error) {
        const ended = this.#process?.exitCode !== null;
        if (ended || Date.now() > deadline) {
          const log = await readFile(this.#path('log'), 'utf8');
          assert.fail(`${this.#binary} does not answer: ${String(error)}\n${log.slice(-4_000)}`);
        }
      }
      await delay(20);
    }
  }
}

/** The containerd that tests run against. */
export function containerdBinary(): string {
  return process.env['PEERGLASS_CONTAINERD'] ?? '/usr/bin/containerd';
}

function metadata(namespace: string): Metadata {
  const all = new Metadata();
  all.set('containerd-namespace', namespace);
  return all;
}
