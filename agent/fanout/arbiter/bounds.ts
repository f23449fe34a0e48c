/** Digests that one arbiter keeps; the one that was heard of longest ago goes first. */
export const MAX_DIGESTS = 10_000;
/** Members of one digest. A further one does as if there were no arbiter. */
export const MAX_MEMBERS = 10_000;
/** Members of all digests together; some 500 bytes each. Beyond it digests go, the one that was heard of longest ago first. */
export const MAX_MEMBERSHIPS = 200_000;
/** Digests of which one peer is a member at a time. */
export const MAX_DIGESTS_OF_PEER = 1_000;
/** How long a digest is kept after its last member left or was heard, in milliseconds. */
export const FORGET_MS = 30_000;
/** Characters of a zone that count. */
export const MAX_ZONE_LENGTH = 64;

/** Time without a report after which a fetcher has lost its lease, in renewals: one second at the least. */
export const LEASE_RENEWALS = 4;
/**
 * For how long after its last report it counts that a fetcher is heard about other digests, in milliseconds: a busy node that
 * downloads many at once reports each of them late.
 */
export const BUSY_MS = 3_000;
/** Shortest time between two reports of a fetcher, in milliseconds. */
export const FETCHER_RENEW_MS = 250;
/** Shortest time between two reports of a follower, in milliseconds. */
export const FOLLOWER_RENEW_MS = 1_000;
/** Time between two reports is at least so many milliseconds for each member: 200 reports a second for all of them. */
export const RENEW_MS_PER_MEMBER = 5;
/** Renewals after which a member that was not heard gets no follower. */
export const FRESH_RENEWALS = 3;
/** A fetcher whose offset has been the same for so long has stalled, in milliseconds. */
export const STALL_MS = 1_500;
/** A silence may be this many times as long as one before it, and no longer than this in milliseconds. */
export const STALL_FACTOR = 3;
export const MAX_STALL_MS = 30_000;
/** What counts of the time until the first byte for that, at most, in milliseconds: it may be that of a slow registry. */
export const MAX_FIRST_GAP_MS = 3_000;
/** Time that a fetcher has for its first byte, in milliseconds: the default. */
export const FIRST_BYTE_MS = 10_000;
/** Failures of fetchers of one digest within {@link FAILURES_MS} after which each node is on its own. */
export const MAX_FAILURES = 3;
/** How long a failure of a fetcher counts, in milliseconds. */
export const FAILURES_MS = 60_000;
/** For how long a node does as if there were no arbiter, in milliseconds. */
export const ALONE_MS = 5_000;
/** How many fetchers a digest may have by option. */
export const MAX_FETCHERS = 3;
/** Leases of one digest at a time, with those of orphans, of fetchers that came back, and of zones. */
export const MAX_LEASES = 8;
/** After the last fetcher is lost, a node with fewer bytes than a known one follows for so long, in milliseconds. */
export const HANDOVER_MS = 500;

/** How long a member that received a wrong digest is neither parent nor holder, in milliseconds, unless the digest is forgotten. */
export const WRONG_MS = 60_000;
/**
 * How long a holder is named after it was heard, in milliseconds: as long as a member that is silent is known. By then its
 * provider records are in the DHT.
 */
export const HOLDER_MS = 30_000;
/** Holders in one answer. */
export const MAX_HOLDERS_NAMED = 4;
/** Holders that one answer looks at. */
export const MAX_HOLDERS_EXAMINED = 32;
/**
 * How often a holder is the first one in an answer: of small content in a second, of large content while those that were sent to it
 * receive it. Others follow those: a herd that comes when one node has it must not ask this one node.
 */
export const HOLDER_FAN_OUT = { small: 8, large: 1 };
/** From so many bytes on content is large. A chain costs some milliseconds a level, and each further body its share of the link. */
export const LARGE_BYTES = 1 << 20;
/** The time in which small content is counted, in milliseconds. */
export const HOLDER_WINDOW_MS = 1_000;
/** Followers of one parent. */
export const MAX_FAN_OUT = 8;
/**
 * Levels of followers below a fetcher that are filled with one child each, until parents get a second one that they have
 * not said they have room for: at most. docs/design/fan-out.md has the simulation that it is chosen by.
 */
export const MAX_CHAIN = 128;
/** Such levels while the size is unknown: it may be a manifest. */
export const CHAIN_OF_UNKNOWN_SIZE = 16;
/**
 * There is one such level for each so many bytes: a level costs some 3 ms, which is a third of the time of these bytes at 200 Mbit/s.
 * A level too many costs milliseconds, and a second child too many half of the rate. Small content, which each node forwards
 * only when it has all of it, gets a flat tree.
 */
export const BYTES_PER_LEVEL = 256 << 10;
/** Levels in the index of free places. All deeper levels share its last entry. */
export const MAX_LEVEL = 1_023;
/** Levels that a place in the zone of the node may be deeper than the best one elsewhere. */
export const ZONE_LEVELS = 4;
/** A newcomer gets a parent with children, which may turn out too slow for one more, when it would be deeper than this otherwise. */
export const PROBE_LEVEL = 16;
/** Places that one question looks at in a search, each with its line of parents. */
export const MAX_EXAMINED = 64;
/**
 * How long a child that was assigned may take until its parent counts it, in milliseconds. On busy nodes it was seen to take more
 * than a second: then the parent got another child, and both half of the rate.
 */
export const ASSIGNED_MS = 3_000;
/**
 * A fetcher whose offset has been the same for so long explains that all below it are silent, in milliseconds. Less than the
 * 1.2 s after which a follower asks again.
 */
export const QUIET_MS = 750;
/** The same in times of the longest that it has taken to grow so far. */
export const QUIET_GAPS = 1.5;
/** For so long a member that asked again explains that those below it are silent, in milliseconds. */
export const DISTURBED_MS = 1_500;
/** A member that was to keep its parent and asks again sooner was refused, in milliseconds. */
export const KEEP_MS = 1_000;
/** How long a parent that two of its children named as failed gets no child, unless it says that it is roomy, in milliseconds. */
export const AVOID_MS = 60_000;
/** How long no parent with children gets a newcomer after one turned out too slow, in milliseconds. */
export const PROBE_PAUSE_MS = 5_000;
/** How long it is waited for the outcome of a probe, in milliseconds. */
export const PROBE_MS = 3_000;
/** Probes of one digest at a time. */
export const MAX_PROBES = 64;
