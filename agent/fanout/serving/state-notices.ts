import type { Digest } from '../../oci/digest.ts';
import type { Followers } from '../question.ts';

/** The shortest time between two notices about one digest, in milliseconds. */
const PAUSE_MS = 200;

type State = ReturnType<Followers['state']>;
type Listener = (digest: Digest) => void;

/** The state that listeners know. */
interface Known {
  readonly state: State;
  /** Runs for {@link PAUSE_MS} after the notice. */
  timer: NodeJS.Timeout | undefined;
}

/** Tells listeners that the state of a digest has changed, at most five times a second for each. */
export class StateNotices {
  readonly #stateOf: (digest: Digest) => State;
  readonly #listeners = new Set<Listener>();
  readonly #known = new Map<Digest, Known>();

  /** @param stateOf the present state; a digest without children is taken for one that listeners need not remember */
  constructor(stateOf: (digest: Digest) => State) {
    this.#stateOf = stateOf;
  }

  /** @returns ends the calls */
  onChange(listener: Listener): () => void {
    // A function of its own, so that one listener may be added twice.
    const call: Listener = (digest) => {
      listener(digest);
    };
    this.#listeners.add(call);
    return () => {
      this.#listeners.delete(call);
    };
  }

  /** To be called when the state may have changed. */
  check(digest: Digest): void {
    const known = this.#known.get(digest);
    if (known?.timer !== undefined) return; // Looked at when the pause is over.
    const state = this.#stateOf(digest);
    if (known === undefined ? state.children > 0 : !isSame(state, known.state)) {
      this.#tell(digest, state);
    }
  }

  /** Ends the timers. */
  close(): void {
    for (const { timer } of this.#known.values()) clearTimeout(timer);
    this.#known.clear();
    this.#listeners.clear();
  }

  #tell(digest: Digest, state: State): void {
    const timer = setTimeout(() => {
      this.#afterPause(digest);
    }, PAUSE_MS).unref();
    this.#known.set(digest, { state, timer });
    for (const listener of [...this.#listeners]) listener(digest);
  }

  #afterPause(digest: Digest): void {
    const known = this.#known.get(digest);
    if (known === undefined) return;
    known.timer = undefined;
    this.check(digest);
    // Not when there was another notice, which begins a pause of its own.
    if (known.state.children === 0 && this.#known.get(digest) === known) this.#known.delete(digest);
  }
}

function isSame(a: State, b: State): boolean {
  return a.children === b.children && a.isRoomy === b.isRoomy;
}
