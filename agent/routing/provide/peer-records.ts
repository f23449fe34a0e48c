import type { RoutingKey } from '../dht/key.ts';
import { nextState, workOf } from './record-state.ts';
import type { RecordEvent, RecordState, Work } from './record-state.ts';

type RestingState = 'provided' | 'surplus';
type ActiveState = Exclude<RecordState, RestingState>;

/**
 * The state of each of our records with one peer. `record-state.ts` decides on the states; this class stores them.
 *
 * A key is in one of three collections. Nearly all records are `provided`, and 100 peers may have thousands each. A set
 * for that state takes 33 bytes a key, a map to states 46. So only records with work to do or in an exchange are in the
 * map, the latest last.
 */
export class PeerRecords {
  readonly #resting: Readonly<Record<RestingState, Set<RoutingKey>>> = {
    provided: new Set(),
    surplus: new Set(),
  };
  readonly #active = new Map<RoutingKey, ActiveState>();
  readonly #counts: Record<Work, number> = { provide: 0, withdraw: 0 };

  /** Records with the given work to do. */
  count(work: Work): number {
    return this.#counts[work];
  }

  stateOf(key: RoutingKey): RecordState | undefined {
    const state = this.#active.get(key);
    if (state !== undefined) return state;
    if (this.#resting.provided.has(key)) return 'provided';
    return this.#resting.surplus.has(key) ? 'surplus' : undefined;
  }

  /** Applies an event to the record of a key; the new state. */
  apply(key: RoutingKey, event: Exclude<RecordEvent, 'refresh'>): RecordState | undefined {
    return this.#apply(key, event);
  }

  applyAll(keys: Iterable<RoutingKey>, event: Exclude<RecordEvent, 'refresh'>): void {
    for (const key of keys) this.#apply(key, event);
  }

  /** Applies `refresh` to all records. The one that was confirmed first will be sent first. */
  refresh(): void {
    const { provided, surplus } = this.#resting;
    const keys = [...this.#active.keys(), ...[...provided].reverse(), ...surplus];
    for (const key of keys) this.#apply(key, 'refresh');
  }

  /** The latest keys to provide, at most `max`. */
  latestToProvide(max: number): RoutingKey[] {
    return this.#withWork('provide').slice(-max);
  }

  /** The oldest keys to withdraw, at most `max`. */
  oldestToWithdraw(max: number): RoutingKey[] {
    return this.#withWork('withdraw').slice(0, max);
  }

  #withWork(work: Work): RoutingKey[] {
    const keys: RoutingKey[] = [];
    this.#active.forEach((state, key) => {
      if (workOf(state) === work) keys.push(key);
    });
    return keys;
  }

  #apply(key: RoutingKey, event: RecordEvent): RecordState | undefined {
    const from = this.stateOf(key);
    const to = nextState(from, event);
    if (to === from) return to;
    const [done, toDo] = [workOf(from), workOf(to)];
    if (done !== undefined) this.#counts[done]--;
    if (toDo !== undefined) this.#counts[toDo]++;
    // A key that has other work to do than before becomes the latest.
    if (isResting(from)) this.#resting[from].delete(key);
    else if (to === undefined || isResting(to) || done !== toDo) this.#active.delete(key);
    if (isResting(to)) this.#resting[to].add(key);
    else if (to !== undefined) this.#active.set(key, to);
    return to;
  }
}

function isResting(state: RecordState | undefined): state is RestingState {
  return state === 'provided' || state === 'surplus';
}
