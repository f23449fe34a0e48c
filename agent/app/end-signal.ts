/** Signals on which the program ends in order. */
export const END_SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/** @returns a signal that aborts on SIGTERM or SIGINT; after that, a second one ends the process at once */
export function endSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of END_SIGNALS) {
    process.once(name, () => {
      controller.abort(new Error(`ended by ${name}`));
    });
  }
  return controller.signal;
}
