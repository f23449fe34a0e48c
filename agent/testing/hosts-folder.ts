import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { pino } from 'pino';

import { nodeFileOperations } from '../hosts/file-operations.ts';
import { HostsConfigurator, type HostsReport } from '../hosts/hosts-configurator.ts';
import { parseHostsToml, type HostsFile, type RegistryHosts } from '../hosts/hosts-toml.ts';

/** A mirror as `hosts.toml` names it. */
export const MIRROR = {
  url: 'http://127.0.0.1:5000',
  capabilities: ['pull', 'resolve'],
  dialTimeout: '200ms',
} as const;

/** The file for every registry without a folder of its own. */
export const DEFAULT: RegistryHosts = { registry: '_default', file: { hosts: [MIRROR] } };

/** The file for Docker Hub. */
export const HUB: RegistryHosts = {
  registry: 'docker.io',
  file: { server: 'https://registry-1.docker.io', hosts: [MIRROR] },
};

/** A `hosts.toml` that an administrator wrote. */
export const THEIRS = [
  '# our cache',
  'server = "https://hub.example"   # not Docker',
  'client = [',
  '  ["a.cert", "a.key"],',
  ']',
  '',
  '# the cache',
  '[host."https://cache.example"]',
  '  capabilities = ["pull"]',
  '  ca = "cache.pem"',
  '[host."https://cache.example".header]',
  '  Authorization = "Basic c2VjcmV0"',
].join('\n');

const never = new AbortController().signal;

/** A folder of registries on the disk, and the configurator that writes it. */
export class HostsFolder {
  /** The folder above {@link root}. */
  readonly parent: string = mkdtempSync(join(tmpdir(), 'peerglass-hosts-'));
  /** containerd's `config_path`. */
  readonly root: string = join(this.parent, 'certs.d');

  constructor() {
    mkdirSync(this.root);
  }

  configurator(path = this.root): HostsConfigurator {
    return new HostsConfigurator(
      { files: nodeFileOperations, logger: pino({ level: 'silent' }) },
      { path, lock: { waitMs: 300, silenceMs: 200 } },
    );
  }

  async configure(
    wanted: readonly RegistryHosts[] = [DEFAULT],
    prependExisting = false,
  ): Promise<HostsReport> {
    return await this.configurator().configure(wanted, { prependExisting }, never);
  }

  async cleanup(): Promise<HostsReport> {
    return await this.configurator().cleanup(never);
  }

  /** Writes a file below the root, with its folder. */
  write(name: string, content: string, mode = 0o644): string {
    const path = join(this.root, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  }

  read(name: string): string {
    return readFileSync(join(this.root, name), 'utf8');
  }

  parsed(name: string): HostsFile {
    return parseHostsToml(this.read(name));
  }

  remove(): void {
    rmSync(this.parent, { recursive: true });
  }
}
