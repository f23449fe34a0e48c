import type { DownloadState } from '../../../agent/fanout/question.ts';

/**
 * What the peers ask. `distinct`: each question is about content that no other peer wants. `shared`: all peers want the same
 * content within a few milliseconds, and then the next. `reports`: the same, and each peer follows its question with reports
 * until it holds the content, as agents do.
 */
export const ASKED = ['reports', 'shared', 'distinct'] as const;
export type Asked = (typeof ASKED)[number];

/** Downloads of one peer at the same time, with `reports`: at 60 questions a second a report of each comes every 250 ms. */
const AT_ONCE = 16;
/** What a peer says of a download, one after the other. */
const STATES: readonly DownloadState[] = ['wants', 'following', 'following', 'following', 'held'];

/** A question of the schedule. */
export interface DueQuestion {
  /** Index of the peer that asks. */
  readonly peer: number;
  /** Index of the content. */
  readonly content: number;
  readonly state: DownloadState;
  /** What part of the content the peer has, from 0 to 1. */
  readonly part: number;
}

/** The question with this number in the schedule: the peers ask in turn, at equal distances. */
export function questionAt(asked: Asked, index: number, peers: number): DueQuestion {
  const peer = index % peers;
  const turn = Math.floor(index / peers);
  if (asked === 'distinct') return { peer, content: index, state: 'wants', part: 0 };
  if (asked === 'shared') return { peer, content: turn, state: 'wants', part: 0 };
  const batch = Math.floor(turn / (AT_ONCE * STATES.length));
  const step = Math.floor(turn / AT_ONCE) % STATES.length;
  return {
    peer,
    content: batch * AT_ONCE + (turn % AT_ONCE),
    state: STATES[step] ?? 'held',
    part: step / (STATES.length - 1),
  };
}

/** Contents that so many questions are about. */
export function contentsOf(asked: Asked, questions: number, peers: number): number {
  if (asked === 'distinct') return questions;
  const turns = Math.ceil(questions / peers);
  if (asked === 'shared') return turns;
  return Math.ceil(turns / (AT_ONCE * STATES.length)) * AT_ONCE;
}

/** What a process with peers is to ask. */
export interface AskOrder {
  readonly asked: Asked;
  /** The peer ID of the one that is asked. */
  readonly arbiter: string;
  /** Peers of all processes. */
  readonly peers: number;
  /** Index of the first peer of this process. */
  readonly first: number;
  /** When the question with number 0 is due, in milliseconds since 1970. */
  readonly startsAt: number;
  readonly questionsPerSecond: number;
  readonly questions: number;
  /** Questions before this one do not count. */
  readonly countedFrom: number;
  /** One for each content. */
  readonly digests: readonly string[];
}

/** What came of an {@link AskOrder}. Times are in milliseconds, one for each question that counts. */
export interface AskResult {
  /** From the time at which a question was due until its answer was there. */
  readonly fromDue: readonly number[];
  /** From the time at which it was asked. */
  readonly fromAsked: readonly number[];
  /** Of those the ones that want content. The others report. */
  readonly wants: readonly number[];
  /** Answers by kind. */
  readonly answers: Readonly<Record<string, number>>;
}
