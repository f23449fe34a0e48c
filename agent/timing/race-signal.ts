/**
 * Waits for something that others wait for too and that goes on without us: resolves or rejects as it does, or
 * rejects with the signal's reason as soon as that is aborted.
 */
export async function raceSignal<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return await work;
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => {
    aborted.reject(signal.reason as Error);
  };
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  try {
    // Waits for the work even then: its failure would be nobody's otherwise.
    return await Promise.race([aborted.promise, work]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
