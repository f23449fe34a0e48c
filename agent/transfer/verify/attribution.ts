import pLimit from 'p-limit';
import type { Logger } from 'pino';

import type { Metrics } from '../../metrics/metrics.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Provider } from '../../routing/router.ts';
import type { ContentStore } from '../../store/content-store.ts';
import { pause } from '../../timing/pause.ts';
import type { PeerScoreboard } from '../select/peer-scoreboard.ts';
import { wholeOf, type ContentRequest } from '../../oci/content-request.ts';
import { TransferRecord } from './transfer-record.ts';
import { CommitWatch, type CommitOutcome } from './commit-watch.ts';
import type { PeerClient } from '../client/peer-client.ts';
import { PeerError } from '../client/peer-error.ts';
import { verifyBody } from './verified-body.ts';

/** Blobs that are remembered while they are being delivered; of more, the oldest is forgotten. */
const MAX_OPEN = 256;

/** Blobs that are watched at once after they were delivered, with a file open for each; no more are. */
const MAX_FOLLOWED = 64;

/** Longest that a request waits for the verdict on what was delivered before, in milliseconds. */
const SETTLING_MS = 2_000;

/** What {@link Attribution} work with. */
export interface AttributionComponents {
  /** Where what is passed on should turn up. */
  readonly store: Pick<ContentStore, 'stat' | 'ingests'>;
  readonly client: Pick<PeerClient, 'fetch' | 'headTimeout'>;
  readonly scoreboard: Pick<PeerScoreboard, 'record'>;
  readonly metrics: Pick<Metrics, 'deliveryResults'>;
  readonly logger: Logger;
}

/** A blob after its delivery, until it is clear who delivered what. */
interface WatchedBlob {
  readonly followUp: CommitWatch;
  readonly concluded: Promise<void>;
  /** Whether the bytes were found wrong, and those who may have sent them are being looked at. */
  wrong: boolean;
}

/**
 * Large blobs that are passed on before they are verified. It follows what becomes of them, and has those banned who
 * sent wrong bytes.
 */
export class Attribution {
  readonly #components: AttributionComponents;
  readonly #open = new Map<string, TransferRecord>();
  readonly #trials = new Map<string, WatchedBlob>();
  readonly #stopping = new AbortController();
  /** One at a time: hashing and asking suspects are exceptions, and must not take what transfers need. */
  readonly #hashes = pLimit(1);
  readonly #enquiries = pLimit(1);

  constructor(components: AttributionComponents) {
    this.#components = components;
  }

  /**
   * Whether the client that asks verifies the blob itself: it is the store's own, and is about to receive it. The
   * bytes for others have to be seen, and hashed, in passing.
   */
  async isVerifiedByClient({ digest }: Descriptor): Promise<boolean> {
    return (await this.#components.store.ingests?.has(digest)) === true;
  }

  /** A body of the blob begins to be passed on to a client that verifies it: all of it, or a part. */
  begin(request: ContentRequest, descriptor: Descriptor): TransferRecord {
    const { digest } = descriptor;
    const delivery = this.#open.get(digest) ?? new TransferRecord(request, descriptor);
    this.#open.delete(digest);
    this.#open.set(digest, delivery);
    const [oldest] = this.#open.keys();
    if (this.#open.size > MAX_OPEN && oldest !== undefined) this.#open.delete(oldest);
    return delivery;
  }

  /** A body has ended, whole or not. */
  ended(delivery: TransferRecord): void {
    const { digest } = delivery.descriptor;
    if (!delivery.isComplete || this.#open.get(digest) !== delivery) return;
    const before = this.#trials.get(digest);
    if (before !== undefined || this.#trials.size >= MAX_FOLLOWED) return;
    const { store, logger } = this.#components;
    const { size } = delivery.descriptor;
    const followUp = new CommitWatch({ store, inTurn: this.#hashes, logger }, digest, size);
    const trial: WatchedBlob = {
      followUp,
      wrong: false,
      concluded: this.#follow(delivery, followUp, () => (trial.wrong = true)),
    };
    this.#trials.set(digest, trial);
    void trial.concluded.then(() => this.#trials.delete(digest));
  }

  /**
   * Waits, in bounded time, for the verdict on what was delivered of the blob before, so that whoever sent wrong
   * bytes is not asked for it again. Resolves at once when there is none to wait for.
   */
  async settled(key: string, signal: AbortSignal): Promise<void> {
    const trial = this.#trials.get(key);
    if (trial === undefined || !(trial.wrong || (await trial.followUp.isSettling()))) return;
    trial.followUp.hurry();
    const done = new AbortController();
    await Promise.race([
      trial.concluded,
      pause(SETTLING_MS, AbortSignal.any([signal, done.signal])),
    ]);
    done.abort();
  }

  /** A whole body was found wrong in passing; see {@link Attribution.isVerifiedByClient}. */
  async foundWrong(delivery: TransferRecord): Promise<void> {
    this.#components.metrics.deliveryResults.inc({ result: 'wrong' });
    await this.#convict(delivery, 'wrong');
  }

  /** Ends whatever is being watched. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Never rejects. */
  async #follow(
    delivery: TransferRecord,
    followUp: CommitWatch,
    onWrong: () => void,
  ): Promise<void> {
    const { metrics, logger } = this.#components;
    const { digest } = delivery.descriptor;
    let verdict: CommitOutcome = 'unknown';
    try {
      verdict = await followUp.run(this.#stopping.signal);
    } catch (err) {
      if (this.#stopping.signal.aborted) return;
      logger.debug({ err, digest }, 'what became of a delivered blob cannot be found out');
    }
    // From here on, whoever asks for the blob begins a new delivery.
    if (this.#open.get(digest) === delivery) this.#open.delete(digest);
    metrics.deliveryResults.inc({ result: verdict });
    if (verdict !== 'wrong' && verdict !== 'lost') return;
    onWrong();
    await this.#convict(delivery, verdict);
  }

  /** Finds out who has sent wrong bytes. Never rejects. */
  async #convict(delivery: TransferRecord, verdict: 'wrong' | 'lost'): Promise<void> {
    const { scoreboard, logger } = this.#components;
    const { deliverers, soleDeliverer, descriptor } = delivery;
    const { digest } = descriptor;
    const peers = deliverers.map(({ peerId }) => peerId);
    logger.warn({ digest, verdict, peers }, 'a blob from peers was not what its client wanted');
    if (verdict === 'wrong' && soleDeliverer !== undefined) {
      scoreboard.record(soleDeliverer, digest, { kind: 'digest-mismatch', noticed: 'passed-on' });
      return;
    }
    for (const suspect of deliverers) scoreboard.record(suspect, digest, { kind: 'unverified' });
    await Promise.all(
      deliverers.map((suspect) => this.#enquiries(() => this.#examine(suspect, delivery))),
    );
  }

  /** Has the suspect send all of the blob again, for us alone. Never rejects. */
  async #examine(suspect: Provider, { request, descriptor }: TransferRecord): Promise<void> {
    const { client, scoreboard, logger } = this.#components;
    const { digest } = descriptor;
    const [origin] = suspect.origins;
    const signal = this.#stopping.signal;
    if (signal.aborted || origin === undefined) return;
    try {
      const response = await client.fetch(
        origin,
        { ...wholeOf(request), digest },
        undefined,
        signal,
      );
      await verifyBody(response);
      scoreboard.record(suspect, digest, { kind: 'verified' });
    } catch (err) {
      if (err instanceof PeerError && err.reason === 'digest') {
        scoreboard.record(suspect, digest, { kind: 'digest-mismatch', noticed: 'passed-on' });
      } else {
        logger.debug({ err, digest, peer: suspect.peerId }, 'suspect does not send the blob again');
      }
    }
  }
}
