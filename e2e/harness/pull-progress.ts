import type { Host } from './namespaces.ts';
import { waitFor } from './wait.ts';

/**
 * Waits until hosts have sent this number of bytes together, because of a pull that has just begun. The ingest of the
 * puller is no measure: containerd 2.1 fetches chunks in parallel and writes them in order, so that a file of 5 MiB may
 * grow to 24 MiB when a late chunk arrives.
 *
 * @returns the bytes that each host has sent
 * @throws Error at once when the pull ends before that, with its reason when it failed
 */
export async function untilSent(
  pull: Promise<unknown>,
  hosts: readonly Host[],
  bytes: number,
): Promise<number[]> {
  let ended: Error | undefined;
  pull.then(
    () => (ended = new Error('the pull was over before anyone saw it under way')),
    (error: unknown) => (ended = new Error('the pull failed', { cause: error })),
  );
  const before = await bytesSent(hosts);
  const sent = await waitFor(`more than ${bytes} bytes have been sent`, async () => {
    const now = await bytesSent(hosts);
    const each = now.map((it, index) => it - (before[index] ?? 0));
    return sum(each) > bytes ? each : ended;
  });
  if (sent instanceof Error) throw sent;
  return sent;
}

function bytesSent(hosts: readonly Host[]): Promise<number[]> {
  return Promise.all(hosts.map((host) => host.bytesSent()));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, it) => total + it, 0);
}
