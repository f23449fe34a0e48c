import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Child } from './child.ts';
import type { Zone } from './dns-message.ts';
import type { Host } from './namespaces.ts';

const PROGRAM = fileURLToPath(new URL('name-server-main.ts', import.meta.url));

/** A name server on its own machine, for the processes that are started through {@link within}. */
export class NameServer implements AsyncDisposable {
  readonly host: Host;
  readonly #child: Child;

  private constructor(host: Host, child: Child) {
    this.host = host;
    this.#child = child;
  }

  static async start(host: Host): Promise<NameServer> {
    await writeFile(zoneFile(host), '{}');
    await writeFile(resolverFile(host), `nameserver ${host.address}\n`);
    const command = [process.execPath, PROGRAM, zoneFile(host), host.address] as const;
    return new NameServer(host, host.start('name-server', { command: [...command] }));
  }

  /** What it answers from now on. */
  async serve(zone: Zone): Promise<void> {
    const next = `${zoneFile(this.host)}.next`;
    await writeFile(next, JSON.stringify(zone));
    await rename(next, zoneFile(this.host));
  }

  /**
   * The command as one whose processes ask this server: they see an `/etc/resolv.conf` of their own, in a
   * mount namespace that ends with them. Each of the words executes the next, so the pid is the program's.
   */
  within(command: readonly string[]): [string, ...string[]] {
    const script = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"';
    return ['unshare', '--mount', 'sh', '-c', script, 'sh', resolverFile(this.host), ...command];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stop();
  }
}

function zoneFile({ directory }: Host): string {
  return join(directory, 'zone.json');
}

function resolverFile({ directory }: Host): string {
  return join(directory, 'resolv.conf');
}
