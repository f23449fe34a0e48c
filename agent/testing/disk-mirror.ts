import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { DataPlane, type DataPlaneMode } from '../native/data-plane.ts';
import type { Digest } from '../oci/digest.ts';
import { blobPath } from '../store/blob-file.ts';
import { OciLayoutStore } from '../store/oci-layout-store.ts';
import { sha256 } from './image.ts';
import { startMirror, type MirrorNode } from './mirror-node.ts';
import { quiet } from './quiet.ts';

/** A mirror that serves blobs from files. */
export interface DiskMirror extends Omit<MirrorNode, 'store' | 'refusals'> {
  readonly dataPlane: DataPlane;
  readonly port: number;
  /** Adds a blob, and returns its digest. */
  put(bytes: Uint8Array): Promise<Digest>;
  /** The file of a blob. */
  path(digest: Digest): string;
  /** The URL of a blob. */
  url(digest: Digest): string;
}

/** Starts a mirror over an image layout, which sends large blobs in the given way. */
export async function startDiskMirror(
  way: DataPlaneMode | DataPlane,
  logger = quiet,
): Promise<DiskMirror> {
  const root = await mkdtemp(join(tmpdir(), 'peerglass-disk-'));
  await mkdir(join(root, 'blobs', 'sha256'), { recursive: true });
  const disk = new OciLayoutStore({ path: root, logger: quiet });
  const dataPlane = typeof way === 'string' ? new DataPlane({ logger: quiet }, way) : way;
  const { origin, metrics, ...node } = await startMirror({ disk, dataPlane, logger });
  return {
    dataPlane,
    origin,
    metrics,
    port: Number(new URL(origin).port),
    async put(bytes) {
      const digest = sha256(bytes);
      await writeFile(blobPath(root, digest), bytes);
      return digest;
    },
    path: (digest) => blobPath(root, digest),
    url: (digest) => `${origin}/v2/team/app/blobs/${digest}`,
    async [Symbol.asyncDispose]() {
      await node[Symbol.asyncDispose]();
      await rm(root, { recursive: true });
    },
  };
}
