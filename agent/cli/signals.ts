/** Signals on which the program ends in order. */
const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/** A signal that is aborted when somebody asks the process to end; from then on a second one ends it at once. */
export function endSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of SIGNALS) {
    process.once(name, () => {
      controller.abort(new Error(`ended by ${name}`));
    });
  }
  return controller.signal;
}
