import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import {
  debianCodename,
  downloadPackages,
  unpackPackages,
} from '../../scripts/system/debian-suite.ts';
import { execute } from './child.ts';
import { withLock } from './debian.ts';

/** A Debian suite that a containerd is taken from, oldest first: 1.6, 1.7 and 2.1 at the time of writing. */
export type Suite = 'bookworm' | 'trixie' | 'forky';

/** All of them. */
export const SUITES: readonly Suite[] = ['bookworm', 'trixie', 'forky'];

/** A containerd that can be started. */
export interface ContainerdRelease {
  readonly suite: Suite;
  /** As the daemon reports it, `2.1.9`; suites move on, so it may be newer than the one this was written with. */
  readonly version: string;
  readonly containerd: string;
  readonly ctr: string;
  /** 2.x: its configuration is version 3, pulls go through the transfer service, and content has events. */
  readonly isV2: boolean;
}

const CACHE = fileURLToPath(new URL('../../.e2e-cache/', import.meta.url));

/**
 * The containerd of the suite: the machine's own where it is of that suite, otherwise the suite's package
 * unpacked below `.e2e-cache/` (fetched once). They are Go binaries and run on any of these releases.
 */
export async function containerdRelease(suite: Suite): Promise<ContainerdRelease> {
  if ((await debianCodename()) === suite) return describeRelease(suite, '/');
  const root = join(CACHE, `containerd-${suite}`);
  return withLock(join(CACHE, `containerd-${suite}.lock`), async () => {
    try {
      return await describeRelease(suite, root);
    } catch {
      // Not there yet, or not whole.
    }
    // A name of its own: a lock whose owner died may be taken over by two at once.
    const incoming = `${root}.${process.pid}`;
    const cache = `${incoming}.apt`;
    const debs = await downloadPackages({ suite, cache }, ['containerd'], `${cache}/debs`);
    await unpackPackages(debs, incoming);
    await describeRelease(suite, incoming);
    await rm(root, { recursive: true, force: true });
    await rename(incoming, root);
    // Some 30 MB of package lists that are not needed again.
    await rm(cache, { recursive: true, force: true });
    return describeRelease(suite, root);
  });
}

/** Every containerd of {@link SUITES}, fetched if need be. */
export async function allContainerdReleases(): Promise<ContainerdRelease[]> {
  const releases: ContainerdRelease[] = [];
  for (const suite of SUITES) releases.push(await containerdRelease(suite));
  return releases;
}

async function describeRelease(suite: Suite, root: string): Promise<ContainerdRelease> {
  const folder = join(root, 'usr/bin');
  const names = await readdir(folder);
  if (!names.includes('containerd') || !names.includes('ctr')) {
    throw new Error(`no containerd in ${folder}`);
  }
  const containerd = join(folder, 'containerd');
  const version = /\s(\d+\.\d+\.\d+)/.exec(await execute([containerd, '--version']))?.[1];
  if (version === undefined) throw new Error(`${containerd} does not tell its version`);
  return { suite, version, containerd, ctr: join(folder, 'ctr'), isV2: !version.startsWith('1.') };
}
