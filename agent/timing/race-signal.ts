/**
 * Waits for work that continues when the signal is aborted, because others wait for it too.
 *
 * @throws what the work throws; the signal's reason as soon as that is aborted
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
    // The race includes the work even if the signal is aborted already: otherwise its rejection would be unhandled.
    return await Promise.race([aborted.promise, work]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
