import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach } from 'node:test';

import { parseHostsToml, type HostsFile } from '../hosts/hosts-toml.ts';

/** A folder of `hosts.toml` files in a folder of its own. */
export interface CertsFolder {
  /** The folder around it, for other files. */
  readonly folder: string;
  readonly certs: string;
  /** The option that names it. */
  readonly where: readonly string[];
  /** The content of the `hosts.toml` of a registry. */
  readonly parsed: (registry: string) => HostsFile;
}

/** To be called in a suite: gives each of its tests an empty folder, and removes it after the last. */
export function useCertsFolder(): CertsFolder {
  const folder = mkdtempSync(join(tmpdir(), 'peerglass-hosts-'));
  const certs = join(folder, 'certs.d');
  beforeEach(() => {
    rmSync(certs, { recursive: true, force: true });
    mkdirSync(certs);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });
  return {
    folder,
    certs,
    where: ['--containerd-registry-config-path', certs],
    parsed: (registry) => parseHostsToml(readFileSync(join(certs, registry, 'hosts.toml'), 'utf8')),
  };
}

/** The entry of a mirror in a `hosts.toml` that the agent writes. */
export function mirrorEntry(url: string, capabilities = ['pull', 'resolve']): object {
  return { url, capabilities, dialTimeout: '2s' };
}
