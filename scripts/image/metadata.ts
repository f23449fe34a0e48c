import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { runCommand } from '../system/command.ts';

/** Metadata of an image, for its labels and annotations. */
export interface ImageMetadata {
  readonly version: string;
  readonly description: string;
  readonly licence: string;
  /** Time of the commit, not of the build, in the format of RFC 3339. */
  readonly created: string;
  /** The commit, followed by `-dirty` if the folder has uncommitted changes. */
  readonly revision: string | undefined;
  /** URL of the published sources. */
  readonly source: string | undefined;
}

interface PackageJson {
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly repository?: { readonly url: string };
}

/** Metadata given on the command line. */
export interface GivenMetadata {
  /** URL of the repository of the published sources. */
  readonly source?: string | undefined;
  /** The commit. */
  readonly revision?: string | undefined;
}

/**
 * Reads package.json and git. `SOURCE_DATE_EPOCH` (seconds since 1970, see reproducible-builds.org) replaces the time of the
 * commit; with it, git is not needed.
 *
 * @throws Error without a time, or when the given metadata is invalid
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
  // A folder within another repository has no commit of its own.
  const isTop = (await git('rev-parse', '--show-prefix')) === '';
  const commit = isTop ? await git('rev-parse', 'HEAD') : undefined;
  const changed = commit !== undefined && (await git('status', '--porcelain')) !== '';
  const time =
    environment['SOURCE_DATE_EPOCH'] ?? (commit && (await git('show', '-s', '--format=%ct')));
  if (time === undefined || !/^\d+$/.test(time)) {
    throw new Error('no commit and no SOURCE_DATE_EPOCH: the time of the sources is unknown');
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

/** The annotations of the specification (annotations.md), which are also the labels of the image. */
export function annotationsOf(metadata: ImageMetadata): Record<string, string> {
  const { created, description, licence, revision, source, version } = metadata;
  const prefix = 'org.opencontainers.image';
  return {
    // The image has no base image. Its parts are listed in its SBOM.
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
