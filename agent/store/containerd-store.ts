import type { Logger } from 'pino';

import type { Image } from '../../proto/generated/containerd/services/images/v1/images.ts';
import { parseDigest, type Digest } from '../oci/digest.ts';
import { SingleFlight } from '../timing/single-flight.ts';
import { raceSignal } from '../timing/race-signal.ts';
import { ChangeHub } from './change-hub.ts';
import { blobPath, type BlobFile } from './blob-file.ts';
import { ContainerdClient } from './containerd/client.ts';
import { isAsCommitted } from './containerd/commit-verification.ts';
import { ContainerdFeed } from './containerd/containerd-feed.ts';
import { ContentFolder } from './containerd/content-folder.ts';
import { IngestFolder } from './containerd/ingest-folder.ts';
import { LabelProvenance } from './containerd/label-provenance.ts';
import { KnownBlobs } from './containerd/known-blobs.ts';
import { RemoteBlob } from './containerd/remote-blob.ts';
import type {
  ContentStore,
  OpenBlob,
  StoreChange,
  StoredBlob,
  StoredImage,
} from './content-store.ts';
import type { Ingests } from './ingests.ts';
import type { Provenance } from './provenance.ts';

export interface ContainerdStoreInit {
  /** Path of containerd's gRPC socket. */
  readonly socketPath: string;
  /** `k8s.io` on Kubernetes nodes. */
  readonly namespace: string;
  /**
   * containerd's content folder, `<root>/io.containerd.content.v1.content`. Blobs are read from it, or through gRPC,
   * at a fraction of the speed, while it cannot be read.
   */
  readonly contentPath: string;
  readonly logger: Logger;
  /** Called when the store can be reached, and when it no longer can. */
  readonly onReachable?: (reachable: boolean) => void;
  /** Milliseconds that a unary call may take; 10,000 by default. */
  readonly callTimeout?: number;
  /**
   * Milliseconds between two `relist` changes for safety, give or take a tenth; 300,000 by default. It bounds how
   * long a change stays unnoticed when the kernel drops a watch event.
   */
  readonly comparisonInterval?: number;
  /**
   * Milliseconds between two listings of all blobs, while the content folder cannot be watched and containerd does
   * not publish new blobs either (before 2.1); 2,000 by default.
   */
  readonly pollInterval?: number;
  /**
   * Blobs that are remembered as ours, at about 200 bytes each; 200,000 by default. A blob beyond it costs a call
   * each time that it is requested.
   */
  readonly maxKnownBlobs?: number;
}

/**
 * One namespace of the node's containerd. Images and changes come through gRPC, and bytes from disk. While containerd
 * is down, known blobs stay readable. Works with containerd 1.6 to 2.x.
 */
export class ContainerdStore implements ContentStore, Disposable {
  readonly ingests: Ingests;
  readonly provenance: Provenance;
  readonly #client: ContainerdClient;
  readonly #contentPath: string;
  readonly #folder: ContentFolder;
  readonly #known: KnownBlobs;
  readonly #hub: ChangeHub;
  readonly #logger: Logger;
  /** All nodes of a cluster may ask for the same tag at the same time. */
  readonly #imageCalls = new SingleFlight<Image | undefined>();

  constructor(init: ContainerdStoreInit) {
    const { logger, contentPath, namespace } = init;
    this.#logger = logger;
    this.#client = new ContainerdClient(init);
    this.provenance = new LabelProvenance(this.#client);
    this.#contentPath = contentPath;
    this.#folder = new ContentFolder(contentPath, logger);
    this.ingests = new IngestFolder({
      namespace,
      contentPath,
      abort: (ref, signal) => this.#client.abort(ref, signal),
    });
    this.#known = new KnownBlobs(init.maxKnownBlobs ?? 200_000);
    this.#hub = new ChangeHub({
      onReachable: init.onReachable,
      produce: (signal) =>
        new ContainerdFeed({
          client: this.#client,
          namespace,
          contentPath,
          known: this.#known,
          hub: this.#hub,
          logger,
          comparisonInterval: init.comparisonInterval ?? 300_000,
          pollInterval: init.pollInterval ?? 2_000,
        }).run(signal),
    });
  }

  async images(signal?: AbortSignal): Promise<StoredImage[]> {
    const images = await this.#client.images(signal);
    return images.map((image) => this.#toStored(image)).filter((image) => image !== undefined);
  }

  async image(name: string, signal?: AbortSignal): Promise<StoredImage | undefined> {
    signal?.throwIfAborted();
    const call = this.#imageCalls.run(name, () => this.#client.image(name));
    const image = await raceSignal(call, signal);
    return image && this.#toStored(image);
  }

  async *blobs(signal?: AbortSignal): AsyncGenerator<readonly StoredBlob[], void, undefined> {
    const listing = this.#known.beginListing();
    for await (const infos of this.#client.list(signal)) {
      const blobs: StoredBlob[] = [];
      for (const { digest: text, size, createdAt } of infos) {
        const digest = parseDigest(text);
        if (digest === undefined) continue;
        this.#known.add(digest, size, createdAt);
        blobs.push({ digest, size });
      }
      yield blobs;
    }
    listing.complete();
  }

  async stat(digest: Digest, signal?: AbortSignal): Promise<StoredBlob | undefined> {
    signal?.throwIfAborted();
    const found = await this.#folder.size(digest);
    if (found === 'missing') {
      signal?.throwIfAborted();
      return undefined;
    }
    if (found === 'unreadable') return await this.#ask(digest, signal);
    return await this.#ours(digest, signal);
  }

  async open(digest: Digest, signal?: AbortSignal): Promise<OpenBlob | undefined> {
    signal?.throwIfAborted();
    const file = await this.#folder.open(digest);
    if (file === 'missing') {
      signal?.throwIfAborted();
      return undefined;
    }
    if (file === 'unreadable') {
      const blob = await this.#ask(digest, signal);
      if (blob === undefined) return undefined;
      this.#folder.noteBypass();
      return new RemoteBlob(this.#client, blob);
    }
    return await this.#keepIfOurs(file, signal);
  }

  changes(signal: AbortSignal): AsyncGenerator<StoreChange, void, undefined> {
    return this.#hub.follow(signal);
  }

  async verifiedAtCommit({ digest, size, file }: OpenBlob, signal?: AbortSignal): Promise<boolean> {
    if (file === undefined) return false;
    const committed = (): boolean => {
      const committedAt = this.#known.committedAt(digest);
      if (committedAt === undefined || this.#known.size(digest) !== size) return false;
      return isAsCommitted(file.state, committedAt);
    };
    if (committed()) return true;
    // Events do not carry the time of the commit, and a known time may be of an earlier commit of the same blob.
    await this.#ask(digest, signal);
    return committed();
  }

  async lostFile(digest: Digest, signal?: AbortSignal): Promise<string | undefined> {
    // Without this, each request for a blob that is nowhere would cost a call.
    if (this.#known.size(digest) === undefined) return undefined;
    const isMissing = async (): Promise<boolean> => (await this.#folder.size(digest)) === 'missing';
    if (!(await isMissing()) || (await this.#ask(digest, signal)) === undefined) return undefined;
    // containerd puts the file there before the record, and deletes it after: the blob may have come meanwhile.
    return (await isMissing()) ? blobPath(this.#contentPath, digest) : undefined;
  }

  /** Closes the connection to containerd. Open blobs from disk stay readable. */
  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }

  async #keepIfOurs(file: BlobFile, signal?: AbortSignal): Promise<OpenBlob | undefined> {
    let keep = false;
    try {
      const blob = await this.#ours(file.digest, signal);
      signal?.throwIfAborted();
      keep = blob !== undefined;
    } finally {
      if (!keep) await file[Symbol.asyncDispose]();
    }
    return keep ? file : undefined;
  }

  /** The blob if it belongs to our namespace, from memory if possible. */
  async #ours(digest: Digest, signal?: AbortSignal): Promise<StoredBlob | undefined> {
    const size = this.#known.size(digest);
    return size === undefined ? await this.#ask(digest, signal) : { digest, size };
  }

  async #ask(digest: Digest, signal?: AbortSignal): Promise<StoredBlob | undefined> {
    const info = await this.#client.info(digest, signal);
    if (info === undefined) return undefined;
    this.#known.add(digest, info.size, info.createdAt);
    return { digest, size: info.size };
  }

  #toStored({ name, target }: Image): StoredImage | undefined {
    const digest = parseDigest(target?.digest ?? '');
    if (target === undefined || digest === undefined) {
      this.#logger.debug({ name }, 'image record without a valid target ignored');
      return undefined;
    }
    const mediaType = target.mediaType === '' ? 'application/octet-stream' : target.mediaType;
    return { name, target: { mediaType, digest, size: target.size } };
  }
}
