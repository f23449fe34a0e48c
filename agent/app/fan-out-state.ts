import type { RegistryConfig } from '../config/options.ts';
import { DOWNLOADS_PROTOCOL } from '../fanout/question.ts';
import type { Libp2pRouter } from '../routing/libp2p-router.ts';
import type { ContentStore } from '../store/content-store.ts';

/** Whether nodes can share one download, as `/debug/status` says it and `doctor` reads it. */
export interface FanOutState {
  /** Whether this node asks who goes upstream, answers others, and can be followed. */
  readonly enabled: boolean;
  /** Whether this process sees the unfinished downloads of its store. Otherwise it neither fetches for others nor is followed. */
  readonly seesDownloads: boolean;
  /** What is in the way, for people; absent when nothing is. */
  readonly reason?: string;
  /** Peers that this node is connected with. */
  readonly peers: number;
  /** Those of them that take part: not the nodes of Spegel, of older versions, and with `--fan-out=false`. */
  readonly speakers: number;
}

/** What {@link fanOutState} looks at. */
export interface FanOutStateComponents {
  readonly store: Pick<ContentStore, 'ingests'>;
  readonly router: Pick<Libp2pRouter, 'countSpeakers'>;
}

/** Why a node takes no part; undefined when it does. */
export function whyNoFanOut(
  config: Pick<RegistryConfig, 'fan-out'>,
  { ingests }: Pick<ContentStore, 'ingests'>,
): string | undefined {
  if (!config['fan-out']) return '--fan-out=false';
  return ingests === undefined
    ? 'the store has no unfinished downloads: an OCI image layout (--oci-layout)'
    : undefined;
}

/** Finds out whether this node takes part, and how many of its peers do. */
export async function fanOutState(
  config: Pick<RegistryConfig, 'fan-out'>,
  { store, router }: FanOutStateComponents,
): Promise<FanOutState> {
  const off = whyNoFanOut(config, store);
  const unseen = await store.ingests?.problem?.();
  const reason = off ?? unseen;
  return {
    enabled: off === undefined,
    seesDownloads: store.ingests !== undefined && unseen === undefined,
    ...(reason !== undefined && { reason }),
    ...router.countSpeakers(DOWNLOADS_PROTOCOL),
  };
}
