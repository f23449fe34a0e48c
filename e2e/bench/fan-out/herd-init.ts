import type { ArbiterInit } from '../../../agent/fanout/arbiter/arbiter.ts';

/** A herd: so many nodes want one blob. */
export interface HerdInit {
  readonly nodes: number;
  /** Bytes a millisecond of the upstream registry for all nodes. */
  readonly upstream: number;
  /** Bytes a millisecond of the link of a node in each direction. */
  readonly link: number;
  /** The nodes arrive within so many milliseconds. */
  readonly spreadMs: number;
  /** Part of the nodes that dies at half time. Default: none. */
  readonly killed?: number;
  /** Zones of the nodes. Default: none. */
  readonly zones?: number;
  /** The fetcher receives nothing from half time on. */
  readonly stalls?: boolean;
  /** Options of the arbiter, without its clock. */
  readonly arbiter?: Omit<ArbiterInit, 'now'>;
  /** Bytes of the blob. Default: 500 MB. */
  readonly size?: number;
  /** Nodes do not know the size before they receive it. */
  readonly isSizeUnknown?: boolean;
  /** Nodes forward the content so many milliseconds after they have all of it. Default: while it arrives. */
  readonly commitMs?: number;
  /** Part of the nodes whose links carry a tenth. Default: none. */
  readonly slow?: number;
  readonly seed?: number;
}

/** What became of a herd. */
export interface HerdResult {
  /** Time of the last node, from its own arrival on, to the time of one node alone; and the median and p99. */
  readonly last: number;
  readonly p50: number;
  readonly p99: number;
  /** Time from the first arrival until all are done, likewise. */
  readonly all: number;
  readonly depth: number;
  /** Questions and reports at the arbiter in the second with most of them, and on average. */
  readonly peakQuestions: number;
  readonly meanQuestions: number;
  /** Questions of nodes that want the blob, for each node. */
  readonly asked: number;
  /** Microseconds of CPU for an answer. */
  readonly answerUs: number;
  /** Bytes from the upstream registry to those of the blob. */
  readonly images: number;
  /** Part of the bytes between nodes that crossed zones. */
  readonly crossed: number;
  readonly unfinished: number;
}
