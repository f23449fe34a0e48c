import type { RegistryConfig } from '../../config/options.ts';
import type { ContentSource } from '../../content/content-source.ts';
import type { TailWriter } from '../../content/tail-writer.ts';
import { Arbiter } from '../../fanout/arbiter/arbiter.ts';
import { Downloads } from '../../fanout/downloads/downloads.ts';
import { ParentFinder } from '../../fanout/downloads/parent-finder.ts';
import { KnownHolders } from '../../fanout/following/known-holders.ts';
import { FanOutSource } from '../../fanout/following/fan-out-source.ts';
import { HoldersSource } from '../../fanout/following/holders-source.ts';
import { LeaseSource } from '../../fanout/following/lease-source.ts';
import { FollowedSource } from '../../fanout/serving/followed-source.ts';
import { DownloadFollowers } from '../../fanout/serving/followers.ts';
import { Tails } from '../../fanout/serving/tail/tails.ts';
import { ArbiterAnswers } from '../../fanout/wire/arbiter-answers.ts';
import { Arbiters } from '../../fanout/wire/arbiters.ts';
import { NamedMembers } from '../../fanout/wire/named-members.ts';
import { BoundedLabels } from '../../metrics/bounded-labels.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { FollowedContent } from '../../mirror/mirror-sources.ts';
import type { DataPlane } from '../../native/data-plane.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import type { SharePolicy } from '../../oci/share-policy.ts';
import type { QuestionHandler } from '../../routing/questions/question-handler.ts';
import type { Router } from '../../routing/router.ts';
import type { ContentStore } from '../../store/content-store.ts';
import type { ComponentLogger } from '../component-logger.ts';
import { reportFanOut, type FanOutReport } from '../fan-out-report.ts';
import { whyNoFanOut } from '../fan-out-state.ts';
import type { TransferStage } from './transfer.ts';

/** What this node decides for others. Made before the router, which announces that it answers questions. */
export interface ArbiterStage {
  readonly arbiter: Arbiter;
  /** Answers the questions of other nodes. */
  readonly questions: QuestionHandler;
}

/**
 * Makes the arbiter of this node.
 *
 * @param locate where the mirror of a peer is, see `Router.locate`
 * @returns undefined when the options switch it off, or no peer could follow this node: its store has no unfinished
 *   downloads
 */
export function arbiterStage(
  config: Pick<RegistryConfig, 'fan-out' | 'upstream-fetchers'>,
  { store, locate }: { readonly store: ContentStore; readonly locate: Router['locate'] },
): ArbiterStage | undefined {
  if (whyNoFanOut(config, store) !== undefined) return undefined;
  const fetchers = config['upstream-fetchers'];
  const arbiter = new Arbiter(
    fetchers === 'zone' ? { fetchersPerZone: true } : { fetchers: Number(fetchers) },
  );
  return { arbiter, questions: new ArbiterAnswers({ router: { locate }, arbiter }) };
}

/**
 * Bytes up to which content that is still arriving is verified before it is forwarded, where `--hold-back-size` is more. In a line
 * of nodes each waits for all of it: on links of 10 Mbit/s, which four layers of 3 MB shared, none of seven nodes
 * received one in time.
 */
const MAX_VERIFIED_BYTES = 512 * 1024;

/** What {@link fanOutStage} needs of the stages before it. */
export interface FanOutStageComponents {
  readonly arbiter: Arbiter;
  readonly router: Router;
  readonly store: ContentStore;
  readonly transfer: Pick<TransferStage, 'follow' | 'take' | 'watchFetched'>;
  readonly dataPlane: DataPlane;
  /** See `DownloadsComponents`. */
  readonly mayFetch?: (request: ContentRequest) => boolean;
  /** Knows which names are not for all. */
  readonly policy: Pick<SharePolicy, 'showsName'>;
  readonly metrics: Metrics;
  readonly log: ComponentLogger;
}

/** One download of fresh content for all nodes, as far as this node takes part. */
export interface FanOutStage {
  /** Sends the client upstream where this node has just become the one that fetches; asked before peers. */
  readonly lease: ContentSource;
  /** Watches the peers that hold content for images that other nodes lead. */
  readonly holders: (holders: ContentSource) => ContentSource;
  /** Gives content that another node receives at this moment; asked after peers. */
  readonly source: ContentSource;
  /** Gives other nodes what this one receives; see `MirrorStageComponents`. */
  readonly followed: (local: ContentSource) => FollowedContent;
  /** Gets what this node fetches itself, for its followers. */
  readonly tails: TailWriter;
  /** What this node has received has another digest. */
  readonly wrong: (digest: Digest) => void;
  /** Downloads of this node, and what it decides for others, for people. */
  readonly report: () => FanOutReport;
  /** Brings the gauges up to date. */
  readonly refresh: () => void;
  /** Lets followers go on elsewhere, and ends all reports. */
  stop(): Promise<void>;
}

/** Makes what lets one node download for all. */
export function fanOutStage(
  config: Pick<RegistryConfig, 'follow-timeout' | 'hold-back-size' | 'zone'>,
  {
    arbiter,
    router,
    store,
    transfer,
    dataPlane,
    mayFetch,
    policy,
    metrics,
    log,
  }: FanOutStageComponents,
): FanOutStage {
  const registries = new BoundedLabels();
  const timeout = config['follow-timeout'];
  const verifiedSize = Math.min(config['hold-back-size'], MAX_VERIFIED_BYTES);
  const followers = new DownloadFollowers({ dataPlane });
  const tails = new Tails();
  const arbiters = new Arbiters({
    router,
    arbiter,
    observer: {
      asked: (seconds, outcome) => {
        metrics.fanOutQuestion.observe(seconds);
        const decision = outcome === 'unanswered' || outcome === 'no-arbiter' ? 'alone' : outcome;
        if (decision !== 'go-on') metrics.fanOutDecisions.inc({ decision });
      },
    },
  });
  const downloads = new Downloads(
    {
      store,
      arbiters,
      named: new NamedMembers({ router }),
      followers,
      mayFetch,
      observer: {
        received: ({ registry }, state, bytes) => {
          const source = state === 'fetching' ? 'upstream' : 'peers';
          metrics.fanOutBytes.inc({ registry: registries.label(registry), source }, bytes);
        },
        fetched: (digest, size) => {
          transfer.watchFetched(digest, size);
        },
      },
      logger: log('fan-out'),
    },
    { zone: config.zone },
  );
  const holders = new KnownHolders({ router });
  const source = new FanOutSource(
    {
      downloads,
      store,
      holders,
      following: transfer.follow(new ParentFinder(downloads), { timeout, verifiedSize }, tails),
      onWaited: (outcome) => {
        metrics.fanOutWaits.inc({ outcome });
      },
    },
    { verifiedSize, triesMs: timeout / 2 },
  );
  return {
    lease: new LeaseSource({ downloads, holders }),
    holders: (peers) => {
      const taken = transfer.take(tails, { verifiedSize });
      return new HoldersSource({ holders: peers, taken, downloads, fanOut: source });
    },
    source,
    tails,
    followed: (local) =>
      new FollowedSource(
        { store, local, followers, tails, dataPlane },
        { verifiedSize, waitMs: timeout },
      ),
    wrong: (digest) => {
      downloads.wrong(digest);
      followers.markWrong(digest);
    },
    report: () => reportFanOut({ downloads, arbiter, followers, router, policy }),
    refresh: () => {
      const all = downloads.status();
      const fetching = all.filter(({ state }) => state === 'fetching').length;
      metrics.fanOutDownloads.set({ state: 'fetching' }, fetching);
      metrics.fanOutDownloads.set({ state: 'following' }, all.length - fetching);
      metrics.fanOutFollowers.set(followers.count);
    },
    stop: async () => {
      followers.close();
      await downloads.stop();
    },
  };
}
