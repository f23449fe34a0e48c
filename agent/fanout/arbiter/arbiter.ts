import type { Digest } from '../../oci/digest.ts';
import type { Member, Question, Decision } from '../question.ts';
import { FORGET_MS, MAX_DIGESTS } from './bounds.ts';
import { Download, type DownloadInit } from './download.ts';
import { Load } from './load.ts';
import { describeDownload, MAX_STATUS_DIGESTS, type DownloadStatus } from './status.ts';

/** Options of {@link Arbiter}. */
export interface ArbiterInit extends DownloadInit {
  /** Milliseconds of a monotonic clock. Default: `performance.now`. */
  readonly now?: () => number;
}

/** What `/debug/` shows of an arbiter. */
export interface ArbiterStatus {
  readonly digests: number;
  /** Members of all digests. */
  readonly members: number;
  /** Peers that are a member of some digest. */
  readonly peers: number;
  /** Those that were heard of last. */
  readonly latest: readonly DownloadStatus[];
}

/**
 * Decides for the digests of which this node is the closest member: who fetches, who follows whom. All of it is in memory and is
 * forgotten soon after the last report; an answer believes of a node only what this node says of itself.
 *
 * @see docs/design/fan-out.md
 */
export class Arbiter {
  readonly #now: () => number;
  readonly #init: DownloadInit;
  readonly #load = new Load();
  /** The one that was heard of longest ago first. */
  readonly #downloads = new Map<Digest, Download>();

  constructor({ now = () => performance.now(), ...init }: ArbiterInit = {}) {
    this.#now = now;
    this.#init = init;
  }

  /**
   * Answers a question or takes a report.
   *
   * @param from the peer, authenticated by its connection
   */
  answer(from: Member, question: Question): Decision {
    const now = this.#now();
    this.#forget(now);
    let download = this.#downloads.get(question.digest);
    if (download === undefined) download = new Download(this.#load, this.#init);
    else this.#downloads.delete(question.digest);
    const answer = download.answer(from, question, now);
    // A peer with too many digests does not get one more by asking.
    if (download.members.size > 0) this.#downloads.set(question.digest, download);
    return answer;
  }

  status(): ArbiterStatus {
    const now = this.#now();
    this.#forget(now);
    const latest = [...this.#downloads].slice(-MAX_STATUS_DIGESTS).reverse();
    return {
      digests: this.#downloads.size,
      members: this.#load.members,
      peers: this.#load.peers,
      latest: latest.map(([digest, download]) => describeDownload(digest, download, now)),
    };
  }

  #forget(now: number): void {
    for (const [digest, download] of this.#downloads) {
      const isFull = this.#downloads.size > MAX_DIGESTS || this.#load.isFull;
      if (!isFull && now - download.heardAt <= FORGET_MS) return;
      this.#downloads.delete(digest);
      download.clear();
    }
  }
}
