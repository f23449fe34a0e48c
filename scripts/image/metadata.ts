import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { runCommand } from '../system/command.ts';

/** What is said of an image. */
export interface ImageMetadata {
  readonly version: string;
  readonly description: string;
  readonly licence: string;
  /** RFC 3339; the commit's time, not that of the build. */
  readonly created: string;
  /** The commit; with `-dirty` behind it when the folder has changes that are in none. */
  readonly revision: string | undefined;
  /** Where the sources are published. */
  readonly source: string | undefined;
}

interface PackageJson {
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly repository?: { readonly url: string };
}

/** What whoever builds knows better than the sources. */
export interface GivenMetadata {
  /** URL of the repository that the sources are published in. */
  readonly source?: string | undefined;
  /** The commit. */
  readonly revision?: string | undefined;
}

/**
 * Reads package.json and asks git. The time is that of `SOURCE_DATE_EPOCH` (seconds since 1970, see
 * reproducible-builds.org) where it is set, and the only thing that is needed of git.
 *
 * @throws Error when there is no time to be had, or what is given cannot be
 */
export async function readMetadata(
  root: string,
  environment: Readonly<Record<string, string | undefined>>,
  given: GivenMetadata = {},
): Promise<ImageMetadata> {
  if (given.source !== undefined && !/^https?:\/\/[^\s@]+$/.test(given.source)) {
    throw new Error(`--source ${given.source}: not a URL of http or https without credentials`);
  }
  if (given.revision !== undefined && !/^[0-9a-f]{7,64}$/.test(given.revision)) {
    throw new Error(`--revision ${given.revision}: not a commit`);
  }
  const text = await readFile(join(root, 'package.json'), 'utf8');
  const { version, description, license, repository } = JSON.parse(text) as PackageJson;
  const git = async (...words: string[]): Promise<string | undefined> =>
    (await runCommand(['git', '-C', root, ...words]).catch(() => undefined))?.trim();
  // A folder within somebody else's repository has no commit of its own.
  const isTop = (await git('rev-parse', '--show-prefix')) === '';
  const commit = isTop ? await git('rev-parse', 'HEAD') : undefined;
  const changed = commit !== undefined && (await git('status', '--porcelain')) !== '';
  const time =
    environment['SOURCE_DATE_EPOCH'] ?? (commit && (await git('show', '-s', '--format=%ct')));
  if (time === undefined || !/^\d+$/.test(time)) {
    throw new Error('no commit and no SOURCE_DATE_EPOCH: nothing tells the time of the sources');
  }
  return {
    version,
    description,
    licence: license,
    created: new Date(Number(time) * 1000).toISOString().replace('.000Z', 'Z'),
    revision:
      given.revision ?? (commit === undefined ? undefined : `${commit}${changed ? '-dirty' : ''}`),
    source: (given.source ?? repository?.url)?.replace(/^git\+/, '').replace(/\.git$/, ''),
  };
}

/** The annotations of the specification (annotations.md), which are the image's labels as well. */
export function annotationsOf(metadata: ImageMetadata): Record<string, string> {
  const { created, description, licence, revision, source, version } = metadata;
  const prefix = 'org.opencontainers.image';
  return {
    // Built on no other image; what it is made of is in its SBOM.
    [`${prefix}.base.name`]: 'scratch',
    [`${prefix}.created`]: created,
    [`${prefix}.description`]: description,
    [`${prefix}.licenses`]: licence,
    ...(revision === undefined ? {} : { [`${prefix}.revision`]: revision }),
    ...(source === undefined ? {} : { [`${prefix}.source`]: source }),
    [`${prefix}.title`]: 'Peerglass',
    [`${prefix}.version`]: version,
  };
}
