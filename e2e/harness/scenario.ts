import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

/** Folder that receives the logs of failed scenarios. */
export const FAILED_LOGS = fileURLToPath(new URL('../../.e2e-cache/failed/', import.meta.url));

/** Nodes that several scenarios use, one after the other. */
interface SharedNodes {
  /** Prepares them for the next scenario, whatever the last one left. */
  clear(): Promise<void>;
  /** Copies all logs into the folder. Returns the last lines of the agents. */
  saveLogs(folder: string): Promise<string>;
}

/** Options of {@link scenario}. */
export interface ScenarioOptions {
  /** A limit against hangs, not a measure. Default five minutes. */
  readonly timeoutMs?: number;
  /** Why it does not succeed yet: it runs all the same, and its failure is no failure of the run. */
  readonly todo?: string;
}

/**
 * A test on a cluster that all tests of the file share. It begins with empty nodes. When it fails or takes too long, it
 * prints the last lines of the agents, and keeps all logs below `.e2e-cache/`.
 *
 * @param cluster called when the test runs, because a hook starts the cluster
 */
export function scenario<C extends SharedNodes>(
  name: string,
  cluster: () => C,
  body: (cluster: C, t: TestContext) => Promise<void>,
  { timeoutMs = 300_000, todo }: ScenarioOptions = {},
): void {
  const options = { timeout: timeoutMs + 30_000, ...(todo !== undefined && { todo }) };
  void test(name, options, async (t) => {
    const it = cluster();
    // This limit is below that of node:test, which would leave no time to save the logs.
    const patience = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      patience.reject(new Error(`not done within ${timeoutMs} ms`));
    }, timeoutMs);
    try {
      await it.clear();
      await Promise.race([body(it, t), patience.promise]);
    } catch (error) {
      const folder = join(FAILED_LOGS, name.replaceAll(/[^a-z0-9]+/gi, '-'));
      await rm(folder, { recursive: true, force: true });
      t.diagnostic(`whole logs in ${folder}\n${await it.saveLogs(folder)}`);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  });
}
