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
  /** The namespace that every call is about; `k8s.io` on Kubernetes nodes. */
  readonly namespace: string;
  /** Milliseconds that a unary call may take; 10,000 by default. */
  readonly callTimeout?: number;
}

/** Milliseconds that listing all blobs may take. */
const LIST_TIMEOUT = 300_000;

/** containerd's own bound on a message, in bytes; the list of all images is one message. */
const MAX_MESSAGE = 16 * 1024 * 1024;

/**
 * containerd's API as far as it is used, one namespace of it. Nothing is connected before the first call, and
 * a lost connection is made anew by the next one. `calls.ts` says what the methods throw.
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
      // The defaults are meant for networks: containerd is back a second or two after it went.
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

  /** Every image record. */
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

  /** What the namespace knows of a finished blob. */
  async info(digest: Digest, signal?: AbortSignal): Promise<Info | undefined> {
    const response = await unary<{ info?: Info | undefined }>(
      (done) => this.#content.info({ digest }, this.#metadata, this.#within(), done),
      signal,
    );
    return response?.info;
  }

  /** Every finished blob of the namespace, in batches. */
  async *list(signal?: AbortSignal): AsyncGenerator<Info[], void, undefined> {
    const start = () =>
      this.#content.list({ filters: [] }, this.#metadata, this.#within(LIST_TIMEOUT));
    for await (const { info } of serverStream(start, signal)) yield info;
  }

  /** The bytes of an interval of a blob, in order, in pieces of at most 1 MiB. */
  async *read(
    digest: Digest,
    range: ByteRange,
    signal?: AbortSignal,
  ): AsyncGenerator<Buffer, void, undefined> {
    const request = { digest, offset: range.start, size: rangeLength(range) };
    const start = () => this.#content.read(request, this.#metadata);
    for await (const { data } of serverStream(start, signal)) yield data;
  }

  /** Gives an unfinished download up and removes its bytes, whatever is being done with it. */
  async abort(ref: string, signal?: AbortSignal): Promise<void> {
    await unary<object>(
      (done) => this.#content.abort({ ref }, this.#metadata, this.#within(), done),
      signal,
    );
  }

  /** Events that match one of the filters, of all namespaces. */
  events(filters: string[], signal: AbortSignal): AsyncGenerator<Envelope, void, undefined> {
    return serverStream(() => this.#events.subscribe({ filters }, this.#metadata), signal);
  }

  /** containerd's version, such as `1.6.20` or `v2.1.9`. */
  async version(signal?: AbortSignal): Promise<string> {
    const response = await unary<{ version: string }>(
      (done) => this.#version.version({}, this.#metadata, this.#within(), done),
      signal,
    );
    if (response === undefined) throw new StoreUnavailableError('containerd tells no version');
    return response.version;
  }

  /** Closes the connection; calls under way fail. */
  [Symbol.dispose](): void {
    this.#channel.close();
  }

  #within(milliseconds = this.#callTimeout): { deadline: number } {
    return { deadline: Date.now() + milliseconds };
  }
}
