import type { Socket } from 'node:net';

import { socketDescriptor } from '../../native/kernel.ts';
import type { DataPlane } from '../../native/data-plane.ts';
import type { ByteRange } from '../../oci/byte-range.ts';
import type { IngestProgress } from '../../store/ingests.ts';

/** Bytes by which a follower may always be behind. */
const MIN_LAG = 256 * 1024;

/** How a {@link Follower} learns what has been sent, and how it leaves. */
export interface FollowerComponents {
  /** How far the download that it follows has come. */
  readonly progress: () => Promise<IngestProgress>;
  /** Knows what the system has not sent yet. Default: only what waits in this process counts as unsent. */
  readonly dataPlane?: Pick<DataPlane, 'kernel'>;
  /** Called once, when it is disposed of. */
  readonly onLeave: (follower: Follower) => void;
}

/**
 * One body that follows an unfinished download, and how well it keeps up. To be disposed of when the body has ended.
 * Times are in milliseconds of the clock of `Followers`.
 */
export class Follower implements Disposable {
  /** How far the download has come that it follows. */
  readonly progress: () => Promise<IngestProgress>;
  readonly #components: FollowerComponents;
  readonly #controller = new AbortController();
  readonly #end: number;
  #position: number;
  /** Offset up to which it had got bytes at the last {@link mark}; 0 while it has got none. */
  #marked = 0;
  #hasBytes = false;
  #socket: Socket | undefined;
  #keptUpSince: number | undefined;
  #behindSince: number | undefined;
  /** Bytes that it was behind by at {@link #behindSince}. */
  #behindBy = 0;

  /** @param range what it was asked for */
  constructor(components: FollowerComponents, range: ByteRange) {
    this.progress = components.progress;
    this.#components = components;
    this.#position = range.start;
    this.#end = range.end + 1;
  }

  /** Aborted when the body has to end before its last byte, with the reason as an Error. */
  get ended(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether the connection is known, so that bytes count as handed over when they are written to it. */
  get isAttached(): boolean {
    return this.#socket !== undefined;
  }

  /** Since when it has kept up without a break; `undefined` while it does not. */
  get keptUpSince(): number | undefined {
    return this.#keptUpSince;
  }

  /** The IP address that the bytes go to, once the connection is known. */
  get address(): string | undefined {
    return this.#socket?.remoteAddress;
  }

  /** Names the connection that the bytes go to. */
  attach(socket: Socket): void {
    this.#socket = socket;
  }

  /** Counts bytes that were handed to the connection. */
  handed(bytes: number): void {
    this.#position += bytes;
    this.#hasBytes = true;
  }

  /** To be called before the download is asked how far it has come: the body goes on meanwhile. */
  mark(): void {
    if (this.#hasBytes) this.#marked = this.#position;
  }

  /** Whether it had got more than is there, so that the download has begun anew. */
  isBeyond(offset: number): boolean {
    return this.#marked > offset;
  }

  /** Has the body end with this failure. */
  end(reason: Error): void {
    this.#controller.abort(reason);
  }

  /**
   * Looks how far it is behind.
   *
   * @param offset bytes of the download that are there
   * @param recent bytes of it that have arrived of late
   */
  check(offset: number, recent: number, now: number): void {
    const lag = Math.min(offset, this.#end) - (this.#position - this.#unsent());
    if (lag < Math.max(MIN_LAG, recent)) {
      this.#keptUpSince ??= now;
      this.#behindSince = undefined;
      return;
    }
    this.#keptUpSince = undefined;
    // Nothing arrives, or it came late and gains on the download: it has as much of the link as it needs.
    const gains = lag < this.#behindBy - MIN_LAG;
    if (recent === 0) this.#behindSince = undefined;
    else if (this.#behindSince === undefined || gains) {
      this.#behindSince = now;
      this.#behindBy = lag;
    }
  }

  /** Whether it has fallen further behind for at least this time. */
  isBehind(milliseconds: number, now: number): boolean {
    return this.#behindSince !== undefined && now - this.#behindSince >= milliseconds;
  }

  /** Measures anew, because the load has changed. */
  forgive(): void {
    this.#behindSince = undefined;
  }

  [Symbol.dispose](): void {
    this.#components.onLeave(this);
  }

  #unsent(): number {
    const socket = this.#socket;
    if (socket === undefined) return 0;
    // The library is not loaded for a connection with TLS, of which it cannot tell.
    const kernel = socketDescriptor(socket) && this.#components.dataPlane?.kernel();
    const inSystem = kernel ? (kernel.unsent(socket) ?? 0) : 0;
    return inSystem + socket.writableLength;
  }
}
