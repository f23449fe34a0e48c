import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  Server,
  ServerCredentials,
  status,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type sendUnaryData,
  type ServerWritableStream,
} from '@grpc/grpc-js';

import {
  ContentService,
  type AbortRequest,
  type InfoRequest,
  type InfoResponse,
  type ListContentRequest,
  type ListContentResponse,
  type ReadContentRequest,
  type ReadContentResponse,
} from '../../proto/generated/containerd/services/content/v1/content.ts';
import {
  EventsService,
  type SubscribeRequest,
} from '../../proto/generated/containerd/services/events/v1/events.ts';
import {
  ImagesService,
  type GetImageRequest,
  type GetImageResponse,
  type ListImagesRequest,
  type ListImagesResponse,
} from '../../proto/generated/containerd/services/images/v1/images.ts';
import {
  VersionService,
  type VersionResponse,
} from '../../proto/generated/containerd/services/version/v1/version.ts';
import type { Envelope } from '../../proto/generated/containerd/types/event.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { serveCri, type CriInit } from './cri-services.ts';
import type { TestImage } from './image.ts';

/** The state that a {@link ContainerdServer} starts with. */
export interface ContainerdServerInit extends CriInit {
  readonly version?: string;
  /** Images by namespace and name. */
  readonly images?: Readonly<Record<string, Readonly<Record<string, TestImage>>>>;
  /** Digests of blobs of the images that are missing. */
  readonly gone?: readonly string[];
}

interface Blob {
  readonly bytes: Buffer;
  readonly createdAt: Date | undefined;
}

/** Blobs in a message of `List`, as containerd has it. */
const LIST_BATCH = 100;
/** Bytes in a message of `Read`, as containerd has it. */
const READ_CHUNK = 1024 * 1024;

/**
 * The part of containerd's API that reads its state, on a real socket and with a state of the test's choice. The
 * state is public: a change is visible to the next call, and events are sent by {@link publish}.
 */
export class ContainerdServer implements Disposable {
  readonly socketPath: string;
  /** Blobs by namespace and digest. */
  readonly blobs = new Map<string, Map<string, Blob>>();
  /** Targets of images by namespace and name. */
  readonly images = new Map<string, Map<string, Descriptor>>();
  /** References of downloads that were aborted. */
  readonly aborted: string[] = [];
  readonly #init: ContainerdServerInit;
  readonly #folder: string;
  readonly #subscribers = new Set<ServerWritableStream<SubscribeRequest, Envelope>>();
  #server = new Server();

  private constructor(init: ContainerdServerInit) {
    this.#init = init;
    this.#folder = mkdtempSync(join(tmpdir(), 'pg-ctds-'));
    this.socketPath = join(this.#folder, 'c.sock');
    for (const [namespace, images] of Object.entries(init.images ?? {})) {
      for (const [name, { manifest, blobs }] of Object.entries(images)) {
        ensure(this.images, namespace).set(name, manifest);
        for (const [digest, bytes] of blobs) {
          if (init.gone?.includes(digest) === true) continue;
          ensure(this.blobs, namespace).set(digest, { bytes, createdAt: undefined });
        }
      }
    }
  }

  static async start(init: ContainerdServerInit = {}): Promise<ContainerdServer> {
    const server = new ContainerdServer(init);
    await server.listen();
    return server;
  }

  /** Listens again after {@link stop}, with the same state. */
  async listen(): Promise<void> {
    this.#server = new Server();
    this.#serve();
    await new Promise<void>((resolve, reject) => {
      const trust = ServerCredentials.createInsecure();
      this.#server.bindAsync(`unix:${this.socketPath}`, trust, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
  }

  /** Ends all connections, as a crash does. */
  stop(): void {
    this.#server.forceShutdown();
    this.#subscribers.clear();
  }

  /** Subscriptions to events that are open now. */
  get subscribers(): number {
    return this.#subscribers.size;
  }

  /** The blobs of a namespace, to be read and changed. */
  blobsOf(namespace: string): Map<string, Blob> {
    return ensure(this.blobs, namespace);
  }

  /** The images of a namespace, to be read and changed. */
  imagesOf(namespace: string): Map<string, Descriptor> {
    return ensure(this.images, namespace);
  }

  /** Sends an event to all subscribers. */
  publish(namespace: string, topic: string, value: Uint8Array): void {
    const event = { typeUrl: '', value: Buffer.from(value) };
    for (const call of this.#subscribers) call.write({ namespace, topic, event });
  }

  [Symbol.dispose](): void {
    this.stop();
    rmSync(this.#folder, { recursive: true });
  }

  #serve(): void {
    const { version = '2.1.9' } = this.#init;
    const answerVersion: handleUnaryCall<object, VersionResponse> = (_call, done) => {
      done(null, { version, revision: '' });
    };
    this.#server.addService(VersionService, { version: answerVersion });
    serveCri(this.#server, this.#init);
    this.#serveImages();
    this.#serveContent();
    const subscribe: handleServerStreamingCall<SubscribeRequest, Envelope> = (call) => {
      this.#subscribers.add(call);
      call.on('cancelled', () => this.#subscribers.delete(call));
    };
    this.#server.addService(EventsService, { subscribe });
  }

  #serveImages(): void {
    const list: handleUnaryCall<ListImagesRequest, ListImagesResponse> = (call, done) => {
      const records = [...this.imagesOf(namespaceOf(call))];
      done(null, { images: records.map(([name, target]) => recordOf(name, target)) });
    };
    const get: handleUnaryCall<GetImageRequest, GetImageResponse> = (call, done) => {
      const { name } = call.request;
      const target = this.imagesOf(namespaceOf(call)).get(name);
      if (target === undefined) notFound(done);
      else done(null, { image: recordOf(name, target) });
    };
    this.#server.addService(ImagesService, { list, get });
  }

  #serveContent(): void {
    const list: handleServerStreamingCall<ListContentRequest, ListContentResponse> = (call) => {
      const all = [...this.blobsOf(namespaceOf(call))].map(([digest, blob]) =>
        infoOf(digest, blob),
      );
      for (let first = 0; first < all.length; first += LIST_BATCH) {
        call.write({ info: all.slice(first, first + LIST_BATCH) });
      }
      call.end();
    };
    const info: handleUnaryCall<InfoRequest, InfoResponse> = (call, done) => {
      const { digest } = call.request;
      const found = this.blobsOf(namespaceOf(call)).get(digest);
      if (found === undefined) notFound(done);
      else done(null, { info: infoOf(digest, found) });
    };
    const read: handleServerStreamingCall<ReadContentRequest, ReadContentResponse> = (call) => {
      const { digest, offset, size } = call.request;
      const bytes = this.blobsOf(namespaceOf(call)).get(digest)?.bytes;
      if (bytes === undefined) {
        call.emit('error', { code: status.NOT_FOUND, details: 'not found' });
        return;
      }
      const end = size === 0 ? bytes.length : Math.min(bytes.length, offset + size);
      for (let at = offset; at < end; at += READ_CHUNK) {
        call.write({ offset: 0, data: bytes.subarray(at, Math.min(end, at + READ_CHUNK)) });
      }
      call.end();
    };
    const abort: handleUnaryCall<AbortRequest, object> = (call, done) => {
      this.aborted.push(call.request.ref);
      done(null, {});
    };
    this.#server.addService(ContentService, { list, info, read, abort });
  }
}

function ensure<T>(all: Map<string, Map<string, T>>, namespace: string): Map<string, T> {
  const found = all.get(namespace) ?? new Map<string, T>();
  all.set(namespace, found);
  return found;
}

function namespaceOf({ metadata }: Parameters<handleUnaryCall<unknown, unknown>>[0]): string {
  return String(metadata.get('containerd-namespace')[0]);
}

function recordOf(name: string, target: Descriptor): NonNullable<GetImageResponse['image']> {
  return { name, labels: {}, target: { ...target, annotations: {} } };
}

function infoOf(digest: string, { bytes, createdAt }: Blob): NonNullable<InfoResponse['info']> {
  return { digest, size: bytes.length, createdAt, labels: {} };
}

function notFound(done: sendUnaryData<never>): void {
  done({ code: status.NOT_FOUND, details: 'not found' });
}
