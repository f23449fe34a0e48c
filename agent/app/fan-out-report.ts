import type { ArbiterStatus } from '../fanout/arbiter/arbiter.ts';
import type { DownloadStatus } from '../fanout/downloads/participations.ts';
import type { DownloadFollowers } from '../fanout/serving/followers.ts';
import { plainAddress } from '../http/local-clients.ts';
import type { Digest } from '../oci/digest.ts';
import type { SharePolicy } from '../oci/share-policy.ts';
import type { Router } from '../routing/router.ts';

/** Downloads of this node that a report lists; further ones are counted. */
const MAX_LISTED = 100;
/** Characters of a digest that tell it from others, and are of no use to get its content. */
const SHORT_DIGEST = 'sha256:'.length + 12;

/** What a node receives at this moment. */
interface DownloadReport {
  /** Whole where the name of the image is no secret: who knows the digest of a private image can get its bytes. */
  readonly digest: string;
  readonly registry: string;
  /** Absent where `--share` does not have all know the name. */
  readonly repository?: string;
  /** `fetching`: from the registry; `following`: from another node that receives it. */
  readonly state: string;
  /** The peer ID of that node, and where its mirror is, as far as this node knows. */
  readonly from?: string;
  readonly fromOrigin?: string;
  readonly bytes: number;
  /** Absent while containerd does not know it. */
  readonly sizeBytes?: number;
  /** Over the last second. */
  readonly bytesPerSecond: number;
  /** Nodes that receive it from this one. */
  readonly followers: number;
  /** The IP addresses of these, in the order in which they came, where the connection tells. */
  readonly followerAddresses: readonly string[];
}

/** What a node decides for all nodes about one digest. */
interface DecisionReport {
  readonly digest: string;
  /** How many nodes have said what of themselves. */
  readonly nodes: Readonly<Record<string, number>>;
  readonly holders: number;
  /** The nodes that go upstream, and why each of them does. */
  readonly fetchers: readonly {
    readonly peerId: string;
    readonly reason: string;
    readonly seconds: number;
    readonly bytes: number;
    readonly sizeBytes?: number;
  }[];
  /** Nodes between a fetcher and the one that is farthest from it, this one included. */
  readonly levels: number;
  /** Most followers of one node. */
  readonly mostFollowers: number;
}

/** The answer of `/debug/downloads`. */
export interface FanOutReport {
  readonly enabled: true;
  readonly downloads: readonly DownloadReport[];
  /** Downloads beyond those that are listed. */
  readonly notListed: number;
  /** The digests of which this node is the arbiter, the one that was heard of last first. */
  readonly arbiter: {
    readonly digests: number;
    readonly nodes: number;
    readonly latest: readonly DecisionReport[];
  };
}

/** What {@link reportFanOut} looks at. */
export interface FanOutReportComponents {
  readonly downloads: { status(): readonly DownloadStatus[] };
  readonly arbiter: { status(): ArbiterStatus };
  readonly followers: Pick<DownloadFollowers, 'addresses'>;
  readonly router: Pick<Router, 'locate'>;
  readonly policy: Pick<SharePolicy, 'showsName'>;
}

/** Describes for people what a node receives, from whom and for whom, and what it decides for others. */
export function reportFanOut(components: FanOutReportComponents): FanOutReport {
  const all = components.downloads.status();
  const { digests, peers, latest } = components.arbiter.status();
  return {
    enabled: true,
    downloads: all.slice(0, MAX_LISTED).map((it) => describeDownload(it, components)),
    notListed: Math.max(0, all.length - MAX_LISTED),
    arbiter: { digests, nodes: peers, latest: latest.map(describeDecision) },
  };
}

function describeDownload(
  { digest, registry, repository, state, parent, offset, size, ...rest }: DownloadStatus,
  { followers, router, policy }: FanOutReportComponents,
): DownloadReport {
  const isShown = policy.showsName(registry, repository);
  const [fromOrigin] = parent === undefined ? [] : (router.locate(parent)?.origins ?? []);
  return {
    digest: isShown ? digest : short(digest),
    registry,
    ...(isShown && { repository }),
    state,
    ...(parent !== undefined && { from: parent }),
    ...(fromOrigin !== undefined && { fromOrigin }),
    bytes: offset,
    ...(size !== undefined && { sizeBytes: size }),
    bytesPerSecond: rest.bytesPerSecond,
    followers: rest.children,
    followerAddresses: followers.addresses(digest).map(plainAddress),
  };
}

/** An arbiter knows no names, so it does not know which digests are of a private image. */
function describeDecision({
  digest,
  members,
  holders,
  fetchers,
  depth,
  fanOut,
}: ArbiterStatus['latest'][number]): DecisionReport {
  return {
    digest: short(digest),
    nodes: members,
    holders,
    fetchers: fetchers.map(({ peerId, reason, forMs, offset, size }) => ({
      peerId,
      reason,
      seconds: Math.round(forMs / 100) / 10,
      bytes: offset,
      ...(size !== undefined && { sizeBytes: size }),
    })),
    levels: depth,
    mostFollowers: fanOut,
  };
}

function short(digest: Digest): string {
  return `${digest.slice(0, SHORT_DIGEST)}…`;
}
