/** Something that is under way, and whether it still is. */
export interface Watched<T> {
  readonly pending: boolean;
  readonly result: Promise<T>;
}

/** Lets a test look at whether something is done without waiting for it. */
export function watch<T>(work: Promise<T>): Watched<T> {
  const state = { pending: true, result: work };
  const done = (): void => {
    state.pending = false;
  };
  work.then(done, done);
  return state;
}
