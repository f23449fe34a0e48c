/**
 * Where one record of ours is in its life with one peer. The usual life of a record:
 *
 * ```
 *  assign           send            confirm             refresh            send              confirm
 * --------> queued ------> sending ---------> provided ---------> requeued ------> resending ---------> provided
 * ```
 *
 * `retract` ends it from every state, with a withdrawal if the peer may have the record. `release` makes a record
 * `surplus`: other peers keep it now, so it is not renewed, but it must be withdrawn with the others.
 */
export type RecordState =
  /** To be sent; the peer does not have it. */
  | 'queued'
  /** In an exchange that is under way. */
  | 'sending'
  /** Retracted while it was in an exchange: the peer may get it, so it is to be withdrawn after that. */
  | 'sending-then-withdraw'
  /** The peer has it. */
  | 'provided'
  /** The peer has it, or may have it after an exchange that failed, and it is to be sent again. */
  | 'requeued'
  /** The peer has it, and it is in an exchange again. */
  | 'resending'
  /** In an exchange, and to be sent once more: a refresh came while the exchange was under way. */
  | 'resending-requeued'
  /** The peer has it, and others are to keep it. */
  | 'surplus'
  /** As `surplus`, and to be sent again: it was released during an exchange that failed. */
  | 'surplus-requeued'
  /** As `surplus`, and in an exchange: it was released during that exchange, or sent as `surplus-requeued`. */
  | 'surplus-resending'
  /** The peer may have it, and is to forget it. */
  | 'withdrawing';

/** What happens to a record. */
export type RecordEvent =
  /** The peer is among the closest to the key. */
  | 'assign'
  /** The key is no longer advertised. */
  | 'retract'
  /** The peer is no longer among the closest to the key. */
  | 'release'
  /** Every record is to be sent again. */
  | 'refresh'
  /** An exchange that carries the record begins. */
  | 'send'
  /** The peer has confirmed the exchange. */
  | 'confirm'
  /** The exchange failed. */
  | 'fail'
  /** The peer has forgotten the record, or the withdrawal is given up. */
  | 'forget';

/** `none`: we have no record with the peer. */
type MaybeState = RecordState | 'none';

/** The next state by state and event. An event that is missing changes nothing. */
const NEXT: Readonly<Record<MaybeState, Readonly<Partial<Record<RecordEvent, MaybeState>>>>> = {
  none: { assign: 'queued' },
  queued: { retract: 'none', release: 'none', send: 'sending' },
  sending: {
    retract: 'sending-then-withdraw',
    refresh: 'resending-requeued',
    confirm: 'provided',
    fail: 'queued',
  },
  'sending-then-withdraw': { assign: 'sending', confirm: 'withdrawing', fail: 'withdrawing' },
  provided: { retract: 'withdrawing', release: 'surplus', refresh: 'requeued' },
  requeued: { retract: 'withdrawing', release: 'surplus', send: 'resending' },
  resending: {
    retract: 'sending-then-withdraw',
    release: 'surplus-resending',
    refresh: 'resending-requeued',
    confirm: 'provided',
    fail: 'requeued',
  },
  'resending-requeued': {
    retract: 'sending-then-withdraw',
    release: 'surplus-resending',
    confirm: 'requeued',
    fail: 'requeued',
  },
  surplus: { assign: 'queued', retract: 'withdrawing', refresh: 'none' },
  'surplus-requeued': {
    assign: 'queued',
    retract: 'withdrawing',
    release: 'surplus',
    refresh: 'queued',
    send: 'surplus-resending',
  },
  'surplus-resending': {
    assign: 'sending',
    retract: 'sending-then-withdraw',
    refresh: 'sending',
    confirm: 'provided',
    fail: 'surplus-requeued',
  },
  withdrawing: { assign: 'queued', forget: 'none' },
};

/** The state after an event; `undefined` stands for a record that the peer neither has nor is to get. */
export function nextState(
  state: RecordState | undefined,
  event: RecordEvent,
): RecordState | undefined {
  const next = NEXT[state ?? 'none'][event] ?? state;
  return next === 'none' ? undefined : next;
}

/** What is to be done for a record in a state. */
export type Work = 'provide' | 'withdraw';

const WORK: Readonly<Partial<Record<RecordState, Work>>> = {
  queued: 'provide',
  requeued: 'provide',
  'resending-requeued': 'provide',
  'surplus-requeued': 'provide',
  withdrawing: 'withdraw',
  'sending-then-withdraw': 'withdraw',
};

/** Undefined where nothing is to be done but what the exchange that is under way does. */
export function workOf(state: RecordState | undefined): Work | undefined {
  return state === undefined ? undefined : WORK[state];
}
