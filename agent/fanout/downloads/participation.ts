import type { Logger } from 'pino';

import type { Digest } from '../../oci/digest.ts';
import type { ContentStore } from '../../store/content-store.ts';
import type { Ingest, IngestProgress } from '../../store/ingests.ts';
import { isAborted, pause } from '../../timing/pause.ts';
import type { DownloadState, Followers, Question } from '../question.ts';
import type { Arbiters } from '../wire/arbiters.ts';
import type { FailedPeers } from './failed-peers.ts';

/** How often the ingest is looked at, in milliseconds: it costs the `stat` of a file, and ends the participation. */
const LOOK_MS = 100;
/** Shortest time between two reports, in milliseconds, however often followers come and go. */
const MIN_REPORT_MS = 200;
/** Bounds of the time between two reports that an arbiter may name, in milliseconds. */
const MIN_RENEW_MS = 50;
const MAX_RENEW_MS = 5000;
/** How often, and after how many milliseconds each, the store is asked for the content when the ingest has gone. */
const COMMIT_LOOKS = 10;
const COMMIT_LOOK_MS = 100;
/**
 * Without a byte for so long a download counts as failed, in milliseconds: containerd keeps what it has of a pull that it gave up,
 * so that a later one goes on from there.
 */
const IDLE_MS = 180_000;
/** Time over which the rate is measured, in milliseconds. */
const RATE_MS = 1000;

/** What this node does for a digest. `taking`: it receives it from a node that holds it, and others follow it. */
export type Role =
  | { readonly state: 'fetching' | 'taking' }
  | { readonly state: 'following'; readonly parent: string };

export interface ParticipationComponents {
  /** The participation disposes of it. */
  readonly ingest: Ingest;
  readonly store: Pick<ContentStore, 'stat'>;
  readonly arbiters: Pick<Arbiters, 'ask'>;
  readonly followers: Pick<Followers, 'state'>;
  readonly failed: Pick<FailedPeers, 'of'>;
  readonly observer?: ParticipationObserver;
  readonly logger: Logger;
}

/** Learns how a download of this node goes on. */
interface ParticipationObserver {
  /** The store has received so many more bytes, in this role. */
  received(state: Role['state'], bytes: number): void;
  /** All bytes from the registry are there: the store is about to commit them. Called once. */
  fetched(digest: Digest, size: number): void;
}

/** Options of {@link Participation}. */
export interface ParticipationInit {
  readonly zone: string;
  readonly role: Role;
  /** When the arbiter wants the first report, in milliseconds. */
  readonly renewMs: number;
  /** Called when it has ended, however it did. */
  readonly onEnd: () => void;
}

/** How far the download has come. */
export interface ParticipationStatus {
  readonly state: Role['state'];
  readonly parent?: string;
  readonly offset: number;
  readonly size?: number;
  /** Over the last second. */
  readonly bytesPerSecond: number;
  readonly children: number;
}

/**
 * Reports to the arbiter of a digest what this node does for it, from the answer that has made it fetch or follow until its
 * download ends. A report that cannot be sent does no harm: the next one goes to the arbiter that there is by then.
 */
export class Participation {
  readonly #components: ParticipationComponents;
  readonly #init: ParticipationInit;
  readonly #digest: Digest;
  readonly #stopped = new AbortController();
  readonly #ended: Promise<void>;
  #role: Role;
  #renewMs: number;
  #progress: Pick<IngestProgress, 'offset' | 'total'>;
  /** Offsets of the last second, and when they were read. */
  #samples: { readonly at: number; readonly offset: number }[] = [];
  /** When the last report was sent, and from when the time to the next one counts, on the clock of `performance`. */
  #reportedAt = -Infinity;
  #renewedAt = performance.now();
  #followersChanged = false;
  #isWrong = false;
  #isEnding = false;
  #isWhole = false;
  /** When bytes came last, the download began anew, or the client asked once more. */
  #movedAt = performance.now();
  #wake = new AbortController();

  constructor(
    components: ParticipationComponents,
    init: ParticipationInit,
    progress: IngestProgress,
  ) {
    this.#components = components;
    this.#init = init;
    this.#digest = components.ingest.digest;
    this.#role = init.role;
    this.#progress = progress;
    this.#renewMs = bounded(init.renewMs);
    this.#ended = this.#run();
  }

  /** Whether the download goes on, as far as it is known. */
  get isRunning(): boolean {
    return !this.#isEnding && !this.#isWrong && !this.#stopped.signal.aborted;
  }

  /** The arbiter has answered a question of this node once more. */
  change(role: Role, renewMs?: number): void {
    this.#role = role;
    this.#renewedAt = performance.now();
    this.#movedAt = this.#renewedAt;
    if (renewMs !== undefined) this.#renewMs = bounded(renewMs);
  }

  /** Reports soon: what it says of the followers has changed. */
  followersChanged(): void {
    this.#followersChanged = true;
    this.#wake.abort();
  }

  /** What has arrived has another digest. The next report says so, and is the last. */
  wrong(): void {
    this.#isWrong = true;
    this.#wake.abort();
  }

  status(): ParticipationStatus {
    const { offset, total } = this.#progress;
    return {
      ...this.#role,
      offset,
      ...(total !== undefined && { size: total }),
      bytesPerSecond: this.#rate(),
      children: this.#components.followers.state(this.#digest).children,
    };
  }

  /** Ends it without a word: the arbiter does not wait for a node for longer than a second. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#wake.abort();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { ingest, logger } = this.#components;
    try {
      await this.#renew(this.#stopped.signal);
    } catch (err) {
      logger.debug({ digest: this.#digest, err }, 'the reports of a download ended');
    } finally {
      this.#isEnding = true;
      this.#init.onEnd();
      await ingest[Symbol.asyncDispose]();
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { ingest } = this.#components;
    for (;;) {
      await this.#pause(signal);
      if (isAborted(signal)) return;
      const progress = await ingest.progress();
      this.#note(progress);
      if (this.#isWrong || progress.state === 'removed') {
        await this.#finish(signal);
        return;
      }
      if (performance.now() - this.#movedAt > IDLE_MS) {
        this.#isEnding = true;
        await this.#send('failed', signal);
        return;
      }
      if (performance.now() >= this.#dueAt) await this.#send(stateOf(this.#role), signal);
    }
  }

  /** Waits until the ingest is to be looked at, or a report is due. */
  async #pause(signal: AbortSignal): Promise<void> {
    const untilDue = Math.ceil(this.#dueAt - performance.now());
    if (!this.#isWrong) {
      await pause(Math.max(1, Math.min(LOOK_MS, untilDue)), this.#wake.signal);
    }
    if (!signal.aborted) this.#wake = new AbortController();
  }

  /** The ingest has gone: it was committed, and then the store has the content in a moment, or it was given up. */
  async #finish(signal: AbortSignal): Promise<void> {
    this.#isEnding = true;
    for (let look = 0; look < COMMIT_LOOKS && !this.#isWrong; look++) {
      // A store that cannot be reached at this moment may answer the next time.
      const blob = await this.#components.store.stat(this.#digest, signal).catch(() => undefined);
      if (blob !== undefined) {
        this.#advance({ offset: blob.size, total: blob.size });
        await this.#send('held', signal);
        return;
      }
      await pause(COMMIT_LOOK_MS, signal);
      if (isAborted(signal)) return;
    }
    await this.#send(this.#isWrong ? 'wrong' : 'failed', signal);
  }

  async #send(state: DownloadState, signal: AbortSignal): Promise<void> {
    this.#reportedAt = performance.now();
    this.#renewedAt = this.#reportedAt;
    this.#followersChanged = false;
    const decision = await this.#components.arbiters.ask(this.#question(state), signal);
    if ('renewMs' in decision) this.#renewMs = bounded(decision.renewMs);
  }

  #question(state: DownloadState): Question {
    const { followers, failed } = this.#components;
    const { offset, total } = this.#progress;
    return {
      digest: this.#digest,
      state,
      offset,
      ...(total !== undefined && { size: total }),
      ...(state === 'following' && this.#role.state === state && { parent: this.#role.parent }),
      failed: failed.of(this.#digest),
      canFetch: true,
      ...followers.state(this.#digest),
      zone: this.#init.zone,
    };
  }

  get #dueAt(): number {
    return this.#followersChanged
      ? this.#reportedAt + MIN_REPORT_MS
      : this.#renewedAt + this.#renewMs;
  }

  #advance(progress: Pick<IngestProgress, 'offset' | 'total'>): void {
    const more = progress.offset - this.#progress.offset;
    this.#progress = progress;
    if (more !== 0) this.#movedAt = performance.now();
    if (more > 0) this.#components.observer?.received(this.#role.state, more);
  }

  #note({ offset, total, state }: IngestProgress): void {
    this.#advance({ offset, total });
    if (state === 'whole' && this.#role.state === 'fetching' && !this.#isWhole) {
      this.#isWhole = true;
      this.#components.observer?.fetched(this.#digest, offset);
    }
    const at = performance.now();
    // A download that has begun anew has no rate from before.
    const before = this.#samples.filter((it) => it.at > at - RATE_MS && it.offset <= offset);
    this.#samples = [...before, { at, offset }];
  }

  #rate(): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.at === first.at) return 0;
    return Math.round(((last.offset - first.offset) / (last.at - first.at)) * 1000);
  }
}

/** As the arbiter knows it: to those that follow it is the same where the one at the head gets its bytes. */
function stateOf({ state }: Role): DownloadState {
  return state === 'taking' ? 'fetching' : state;
}

/** The time between two reports within its bounds. */
function bounded(renewMs: number): number {
  return Math.min(MAX_RENEW_MS, Math.max(MIN_RENEW_MS, renewMs));
}
