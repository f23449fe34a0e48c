import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Child } from '../../harness/child.ts';
import type { Host } from '../../harness/namespaces.ts';
import { waitFor } from '../../harness/wait.ts';

/** Not the port of the agent, though that does not run beside it. */
const PORT = 5010;

/** docker-registry as a pull-through cache on a node, empty at first: what a cluster without Peerglass may have. */
export class PullThroughCache implements AsyncDisposable {
  readonly origin: string;
  readonly #child: Child;
  readonly #folder: string;

  private constructor(origin: string, child: Child, folder: string) {
    this.origin = origin;
    this.#child = child;
    this.#folder = folder;
  }

  /** @param upstream origin of the registry that it fetches from */
  static async start(host: Host, upstream: string): Promise<PullThroughCache> {
    const folder = join(host.directory, 'pull-through-cache');
    await mkdir(folder);
    const config = join(folder, 'config.yml');
    await writeFile(
      config,
      JSON.stringify({
        version: '0.1',
        log: { level: 'warn', accesslog: { disabled: true } },
        storage: {
          cache: { blobdescriptor: 'inmemory' },
          filesystem: { rootdirectory: join(folder, 'storage') },
        },
        http: { addr: `:${PORT}` },
        proxy: { remoteurl: upstream },
      }),
    );
    const child = host.start('pull-through-cache', {
      command: ['docker-registry', 'serve', config],
      env: { OTEL_TRACES_EXPORTER: 'none' },
    });
    const cache = new PullThroughCache(`http://${host.address}:${PORT}`, child, folder);
    await waitFor('the pull-through cache is up', async () => {
      if (!child.isRunning) throw new Error(await child.logTail());
      return (await host.fetch(`${cache.origin}/v2/`)).status === 200;
    });
    return cache;
  }

  /** Ends it, and removes what it holds. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
