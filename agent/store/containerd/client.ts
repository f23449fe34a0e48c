import { Channel, credentials, Metadata } from '@grpc/grpc-js';

import {
  ContentClient,
  type Info,
} from '../../../proto/generated/containerd/services/content/v1/content.ts';
import { EventsClient } from '../../../proto/generated/containerd/services/events/v1/events.ts';
import {
  ImagesClient,
  type Image,
} from '../../../proto/generated/containerd/services/images/v1/images.ts';
import { VersionClient } from '../../../proto/generated/containerd/services/version/v1/version.ts';
import type { Envelope } from '../../../proto/generated/containerd/types/event.ts';
import type { ByteRange } from '../../oci/byte-range.ts';
import { rangeLength } from '../../oci/byte-range.ts';
import type { Digest } from '../../oci/digest.ts';
import { StoreUnavailableError } from '../content-store.ts';
import { serverStream, unary } from './calls.ts';

export interface ContainerdClientInit {
  /** Path of containerd's gRPC socket. */
  readonly socketPath: string;
  /** The namespace of every call; `k8s.io` on Kubernetes nodes. */
  readonly namespace: string;
  /** Milliseconds that a unary call may take; 10,000 by default. */
  readonly callTimeout?: number;
}

/** Milliseconds that listing all blobs may take. */
const LIST_TIMEOUT_MS = 300_000;

/** Bytes of a message; containerd has the same bound. The list of all images is one message. */
const MAX_MESSAGE = 16 * 1024 * 1024;

/**
 * The part of containerd's API that is used here, in one namespace. The first call connects, and a call after a lost
 * connection reconnects. The methods throw as `unary` and `serverStream` in `calls.ts`.
 */
export class ContainerdClient implements Disposable {
  readonly #channel: Channel;
  readonly #metadata = new Metadata();
  readonly #callTimeout: number;
  readonly #content: ContentClient;
  readonly #events: EventsClient;
  readonly #images: ImagesClient;
  readonly #version: VersionClient;

  constructor(init: ContainerdClientInit) {
    this.#callTimeout = init.callTimeout ?? 10_000;
    this.#metadata.set('containerd-namespace', init.namespace);
    const address = `unix:${init.socketPath}`;
    const trust = credentials.createInsecure();
    this.#channel = new Channel(address, trust, {
      'grpc.max_receive_message_length': MAX_MESSAGE,
      // The defaults are for networks. A containerd that restarts is back within a second or two.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 2_000,
      'grpc.enable_http_proxy': 0,
    });
    const options = { channelOverride: this.#channel };
    this.#content = new ContentClient(address, trust, options);
    this.#events = new EventsClient(address, trust, options);
    this.#images = new ImagesClient(address, trust, options);
    this.#version = new VersionClient(address, trust, options);
  }

  /** All image records. */
  async images(signal?: AbortSignal): Promise<Image[]> {
    const request = { filters: [] };
    const response = await unary<{ images: Image[] }>(
      (done) => this.#images.list(request, this.#metadata, this.#within(), done),
      signal,
    );
    return response?.images ?? [];
  }

  /** The image record of exactly this name. */
  async image(name: string, signal?: AbortSignal): Promise<Image | undefined> {
    const response = await unary<{ image?: Image | undefined }>(
      (done) => this.#images.get({ name }, this.#metadata, this.#within(), done),
      signal,
    );
    return response?.image;
  }

  /** The namespace's record of a finished blob. */
  async info(digest: Digest, signal?: AbortSignal): Promise<Info | undefined> {
    const response = await unary<{ info?: Info | undefined }>(
      (done) => this.#content.info({ digest }, this.#metadata, this.#within(), done),
      signal,
    );
    return response?.info;
  }

  /** Sets one label of a finished blob; its others stay. Without effect on a blob that is gone. */
  async label(digest: Digest, key: string, value: string, signal?: AbortSignal): Promise<void> {
    const info = { digest, size: 0, createdAt: undefined, labels: { [key]: value } };
    const request = { info, updateMask: [`labels.${key}`] };
    await unary<object>(
      (done) => this.#content.update(request, this.#metadata, this.#within(), done),
      signal,
    );
  }

  /** All finished blobs of the namespace, in batches. */
  async *list(signal?: AbortSignal): AsyncGenerator<Info[], void, undefined> {
    const start = () =>
      this.#content.list({ filters: [] }, this.#metadata, this.#within(LIST_TIMEOUT_MS));
    for await (const { info } of serverStream(start, signal)) yield info;
  }

  /** The bytes of a range of a blob, in order, in chunks of at most 1 MiB. */
  async *read(
    digest: Digest,
    range: ByteRange,
    signal?: AbortSignal,
  ): AsyncGenerator<Buffer, void, undefined> {
    const request = { digest, offset: range.start, size: rangeLength(range) };
    const start = () => this.#content.read(request, this.#metadata);
    for await (const { data } of serverStream(start, signal)) yield data;
  }

  /** Removes an unfinished download and its bytes, also while it is being written. */
  async abort(ref: string, signal?: AbortSignal): Promise<void> {
    await unary<object>(
      (done) => this.#content.abort({ ref }, this.#metadata, this.#within(), done),
      signal,
    );
  }

  /** Events of all namespaces that match one of the filters. */
  events(filters: string[], signal: AbortSignal): AsyncGenerator<Envelope, void, undefined> {
    return serverStream(() => this.#events.subscribe({ filters }, this.#metadata), signal);
  }

  /** containerd's version, such as `1.6.20` or `v2.1.9`. */
  async version(signal?: AbortSignal): Promise<string> {
    const response = await unary<{ version: string }>(
      (done) => this.#version.version({}, this.#metadata, this.#within(), done),
      signal,
    );
    if (response === undefined)
      throw new StoreUnavailableError('containerd does not give its version');
    return response.version;
  }

  /** Closes the connection. Calls under way fail. */
  [Symbol.dispose](): void {
    this.#channel.close();
  }

  #within(milliseconds = this.#callTimeout): { deadline: number } {
    return { deadline: Date.now() + milliseconds };
  }
}
