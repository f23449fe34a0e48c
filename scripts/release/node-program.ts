import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';

import type { Platform } from '../image/platform.ts';
import { blobPath, readIndex, readManifest, type Descriptor } from '../oci-image/oci-layout.ts';
import { runCommand } from '../system/command.ts';

// Only Node.js itself and tar are used here, no packages of npm: one of those brings the program that is compared.

/** Where the program is in the image. */
const IMAGE_PATH = 'usr/bin/node';

/** Options of {@link releasedNode}. */
export interface ReleasedNodeInit {
  /** Path of SHASUMS256.txt of the version. */
  readonly sums: string;
  /** Folder with the archives of the Node.js project, `node-v24.0.0-linux-x64.tar.gz`. */
  readonly downloads: string;
  /** Version of Node.js, `24.0.0`. */
  readonly version: string;
  readonly platform: Platform;
}

/**
 * The program in an archive of the Node.js project, after the archive was compared with the sums. They list archives, not the
 * program itself.
 *
 * @returns the name of the archive, and the SHA-256 of its `bin/node`, in hexadecimal
 * @throws Error when the sums do not list the archive, or list another sum
 */
export async function releasedNode({
  sums,
  downloads,
  version,
  platform,
}: ReleasedNodeInit): Promise<{ readonly archive: string; readonly sum: string }> {
  const name = `node-v${version}-linux-${platform.node}`;
  const archive = `${name}.tar.gz`;
  const expected = parseSums(await readFile(sums, 'utf8')).get(archive);
  if (expected === undefined) throw new Error(`${sums} does not list ${archive}`);
  const actual = await hashOf(createReadStream(join(downloads, archive)));
  if (actual !== expected) {
    throw new Error(`${archive} has SHA-256 ${actual}, and ${sums} says ${expected}`);
  }
  return { archive, sum: await archivedNode(join(downloads, archive), `${name}/bin/node`) };
}

/**
 * Parses the output of `sha256sum`.
 *
 * @returns the sums in hexadecimal, by file name
 * @throws Error for a line of another form, or for two sums of one file
 */
export function parseSums(lines: string): Map<string, string> {
  const sums = new Map<string, string>();
  for (const line of lines.split('\n').filter((it) => it !== '')) {
    const [, sum, file] = /^([0-9a-f]{64}) [ *](\S+)$/.exec(line) ?? [];
    if (sum === undefined || file === undefined) throw new Error(`"${line}" is no line of sums`);
    if (sums.has(file)) throw new Error(`two sums of ${file}`);
    sums.set(file, sum);
  }
  return sums;
}

/** The SHA-256 of a file in a `.tar.gz`, in hexadecimal. */
export async function archivedNode(archive: string, path: string): Promise<string> {
  const child = spawn('tar', ['-xzOf', archive, path]);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  const [sum, problems, code] = await Promise.all([
    hashOf(child.stdout),
    text(child.stderr),
    ended,
  ]);
  if (code !== 0) throw new Error(`${archive}: no ${path}: ${problems.trim()}`);
  return sum;
}

/**
 * The programs at `/usr/bin/node` in the image of a platform. More than one layer may have it.
 *
 * @param file the OCI image layout as a tar file
 * @returns their SHA-256 in hexadecimal, by the digest of the layer
 * @throws Error when there is no image for the platform, or none of its layers has the program
 */
export async function imageNodes(file: string, platform: Platform): Promise<Map<string, string>> {
  const layout = await mkdtemp(join(tmpdir(), 'peerglass-image-'));
  try {
    await runCommand(['tar', '-xf', file, '-C', layout]);
    const sums = new Map<string, string>();
    for (const { digest } of await imagesOf(layout, platform)) {
      const { layers = [] } = await readManifest(layout, digest);
      for (const layer of layers) {
        const blob = blobPath(layout, layer.digest);
        const names = (await runCommand(['tar', '-tzf', blob])).split('\n');
        // The name as it stands in the layer: `./usr/bin/node` is the same file.
        for (const name of names.filter((it) => posix.normalize(it) === IMAGE_PATH)) {
          sums.set(`layer ${layer.digest}`, await archivedNode(blob, name));
        }
      }
    }
    if (sums.size === 0) {
      throw new Error(`${file}: no ${IMAGE_PATH} for linux/${platform.architecture}`);
    }
    return sums;
  } finally {
    await rm(layout, { recursive: true });
  }
}

/** The manifests of a platform, of every index in the layout. */
async function imagesOf(
  layout: string,
  { architecture }: Platform,
): Promise<readonly Descriptor[]> {
  const found: Descriptor[] = [];
  for (const { mediaType, digest } of await readIndex(layout)) {
    if (!mediaType.endsWith('.index.v1+json')) continue;
    const { manifests = [] } = await readManifest(layout, digest);
    found.push(...manifests.filter((it) => it.platform?.architecture === architecture));
  }
  return found;
}

async function hashOf(bytes: Readable): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of bytes) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
