import type { DataPlane } from '../../native/data-plane.ts';
import type { ByteRange } from '../../oci/byte-range.ts';
import type { Digest } from '../../oci/digest.ts';
import type { IngestProgress } from '../../store/ingests.ts';
import { WrongBodyError } from '../../streams/wrong-body-error.ts';
import { ExpiringSet } from '../../timing/expiring-set.ts';
import type { Followers, Question } from '../question.ts';
import { Follower } from './follower.ts';
import { FollowerGroup } from './follower-group.ts';
import { StateNotices } from './state-notices.ts';

/** Followers of one digest. A wider tree would not be deeper by less than one level, and each costs a part of the link. */
const MAX_PER_DIGEST = 8;

/** Followers of all digests together: eight of each of eight layers. */
const MAX_FOLLOWERS = 64;

/** Between two looks at the followers, in milliseconds. There are none without followers. */
const CHECK_MS = 50;

/** How long fewer followers are admitted after several have fallen behind, in milliseconds. */
const CROWDED_MS = 60_000;

/** How long content counts as wrong whose bytes were, in milliseconds. */
const WRONG_MS = 60_000;

/** Digests that are remembered for that. */
const MAX_WRONG = 1_000;

/** Components of {@link DownloadFollowers}. */
export interface DownloadFollowersComponents {
  /** Knows what the system has not sent yet. Default: only what waits in this process counts as unsent. */
  readonly dataPlane?: Pick<DataPlane, 'kernel'>;
  /** Milliseconds of a clock that never jumps. */
  readonly now?: () => number;
}

/** Options of {@link DownloadFollowers}. */
export interface DownloadFollowersInit {
  /** Followers of all digests together; {@link MAX_FOLLOWERS} by default. */
  readonly max?: number;
}

/**
 * Decides who may follow a download of this node, within bounds, and says whether there is room for one more: while all others
 * keep up with the download. The arbiter heeds that, so that the tree of a digest is a chain where links are short, and bushy
 * where they are not, and no node has to know a bandwidth. A follower that comes all the same has no better place.
 */
export class DownloadFollowers implements Followers {
  readonly #dataPlane: DownloadFollowersComponents['dataPlane'];
  readonly #now: () => number;
  readonly #max: number;
  readonly #groups = new Map<Digest, FollowerGroup>();
  readonly #wrong: ExpiringSet;
  readonly #notices = new StateNotices((digest) => this.state(digest));
  #count = 0;
  /** So many followers, of all digests, were too many for the link. */
  #crowd: { readonly count: number; readonly until: number } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isChecking = false;
  #isClosed = false;

  constructor(components: DownloadFollowersComponents = {}, init: DownloadFollowersInit = {}) {
    this.#dataPlane = components.dataPlane;
    this.#now = components.now ?? (() => performance.now());
    this.#max = init.max ?? MAX_FOLLOWERS;
    this.#wrong = new ExpiringSet(MAX_WRONG, this.#now);
  }

  /** Followers of all digests. */
  get count(): number {
    return this.#count;
  }

  state(digest: Digest): Pick<Question, 'children' | 'isRoomy'> {
    const children = this.#groups.get(digest)?.size ?? 0;
    return { children, isRoomy: this.#isRoomy(digest) };
  }

  /** The IP addresses of those that follow a digest, where they are known. */
  addresses(digest: Digest): readonly string[] {
    const members = this.#groups.get(digest)?.members ?? [];
    return members.map(({ address }) => address).filter((it) => it !== undefined);
  }

  /** Calls at most five times a second for a digest. A change to no followers is one, too. */
  onChange(listener: (digest: Digest) => void): () => void {
    return this.#notices.onChange(listener);
  }

  /**
   * Admits a follower.
   *
   * @param range what it asks for
   * @param progress how far the download has come
   * @returns `undefined` when it is refused
   */
  admit(
    digest: Digest,
    range: ByteRange,
    progress: () => Promise<IngestProgress>,
  ): Follower | undefined {
    if (this.#isFull(digest)) return undefined;
    const isProbe = this.#groups.has(digest) && this.#isRoomy(digest);
    const group = this.#groups.get(digest) ?? new FollowerGroup();
    this.#groups.set(digest, group);
    const onLeave = (leaving: Follower): void => {
      this.#leave(digest, group, leaving);
    };
    const dataPlane = this.#dataPlane;
    const follower = new Follower({ progress, onLeave, ...(dataPlane && { dataPlane }) }, range);
    group.add(follower, this.#now(), isProbe);
    this.#count += 1;
    this.#timer ??= setInterval(() => void this.#check(), CHECK_MS).unref();
    this.#notices.check(digest);
    return follower;
  }

  /** Ends all followers of a digest by a reset, since what they have is wrong, and refuses further ones for a minute. */
  markWrong(digest: Digest): void {
    this.#wrong.add(digest, WRONG_MS);
    this.#endAll(digest, new WrongBodyError('The bytes of the download are wrong'));
  }

  /** Whether {@link markWrong} was called in the last minute. */
  isWrong(digest: Digest): boolean {
    return !this.#wrong.empty && this.#wrong.has(digest);
  }

  /** Ends all followers, so that they go on elsewhere, and admits none. */
  close(): void {
    this.#isClosed = true;
    for (const digest of this.#groups.keys()) this.#endAll(digest, new Error('The agent ends'));
    this.#notices.close();
  }

  #isFull(digest: Digest): boolean {
    if (this.#isClosed || this.#count >= this.#max || this.isWrong(digest)) return true;
    return (this.#groups.get(digest)?.size ?? 0) >= MAX_PER_DIGEST;
  }

  #isRoomy(digest: Digest): boolean {
    if (this.#isFull(digest)) return false;
    const group = this.#groups.get(digest);
    if (group === undefined) return true;
    const now = this.#now();
    const crowd = this.#crowd;
    const isCrowded = crowd !== undefined && now < crowd.until && this.#count + 1 >= crowd.count;
    return !isCrowded && group.keepsUp(now);
  }

  async #check(): Promise<void> {
    if (this.#isChecking) return; // The disk is slow.
    this.#isChecking = true;
    try {
      for (const [digest, group] of this.#groups) {
        const { progress } = group.members[0] ?? {};
        group.mark();
        // It fails when that follower leaves meanwhile; the next look is at another one.
        const at = await progress?.().catch(() => undefined);
        if (at === undefined || group.size === 0) continue;
        const last = group.check(at.offset, this.#now());
        if (last !== undefined) this.#endLast(last);
        this.#notices.check(digest);
      }
    } finally {
      this.#isChecking = false;
    }
  }

  #endLast(last: Follower): void {
    const now = this.#now();
    const { count, until } = this.#crowd ?? { count: Infinity, until: 0 };
    const least = now < until ? Math.min(count, this.#count) : this.#count;
    this.#crowd = { count: least, until: now + CROWDED_MS };
    last.end(new Error('The followers of the download do not keep up'));
  }

  #endAll(digest: Digest, reason: Error): void {
    for (const follower of [...(this.#groups.get(digest)?.members ?? [])]) follower.end(reason);
  }

  #leave(digest: Digest, group: FollowerGroup, follower: Follower): void {
    if (!group.delete(follower)) return;
    this.#count -= 1;
    if (group.size === 0) this.#groups.delete(digest);
    if (this.#count === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    this.#notices.check(digest);
  }
}
