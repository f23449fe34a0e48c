import type { Descriptor } from './descriptor.ts';
import { parseDigest } from './digest.ts';
import { isManifestType, MEDIA_TYPE } from './media-type.ts';

/**
 * Largest manifest that is read or forwarded, in bytes. The distribution specification wants registries to accept at
 * least this size, and containerd reads no larger ones.
 *
 * It bounds the descriptors too, which take some 90 bytes each at least: registries and containerd count bytes only, and
 * a manifest that they take must not be refused here.
 */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

/** An index or image manifest, reduced to what distribution needs of it. */
export interface Manifest {
  readonly mediaType: string;
  /** Whether the bytes state their type. It is inferred from their form otherwise, and a record may know better. */
  readonly isStated: boolean;
  /** What it points to: the manifests of an index; config and layers of an image manifest. */
  readonly children: readonly Descriptor[];
}

/** The bytes are no index or image manifest. The message names what is wrong, and does not quote the bytes. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
  readonly code = 'ERR_MANIFEST';
}

/**
 * Parses an index or image manifest.
 *
 * A content store keeps no media types, and manifests need not state their own. The type is then inferred as
 * containerd does it: `manifests` makes an index, and `config` with `layers` an image manifest. The type of the config
 * distinguishes Docker's manifests from OCI's. An index is OCI's, also one of Docker's manifests: Docker's list has to
 * state its type.
 *
 * @throws ManifestError when the bytes are neither, or a descriptor in them is not well-formed
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  const json = parseObject(bytes);
  const { manifests, config, layers } = json;

  if (Array.isArray(manifests)) {
    return { ...typeOf(json, MEDIA_TYPE.ociIndex), children: manifests.map(descriptor) };
  }
  if (isObject(config) && Array.isArray(layers)) {
    const children = [config, ...(layers as unknown[])].map(descriptor);
    const docker = children[0]?.mediaType === MEDIA_TYPE.dockerConfig;
    const inferred = docker ? MEDIA_TYPE.dockerManifest : MEDIA_TYPE.ociManifest;
    return { ...typeOf(json, inferred), children };
  }
  throw new ManifestError('neither an index (manifests) nor an image manifest (config and layers)');
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  if (bytes.length > MAX_MANIFEST_BYTES) {
    throw new ManifestError(`${bytes.length} bytes, more than ${MAX_MANIFEST_BYTES}`);
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new ManifestError('not JSON');
  }
  if (!isObject(json)) throw new ManifestError('not a JSON object');
  return json;
}

function typeOf(
  { mediaType: stated }: Record<string, unknown>,
  inferred: string,
): Pick<Manifest, 'mediaType' | 'isStated'> {
  return typeof stated === 'string' && isManifestType(stated)
    ? { mediaType: stated, isStated: true }
    : { mediaType: inferred, isStated: false };
}

function descriptor(value: unknown, index: number): Descriptor {
  if (!isObject(value)) throw new ManifestError(`descriptor ${index} is not an object`);
  const { mediaType, digest, size } = value;
  const parsed = typeof digest === 'string' ? parseDigest(digest) : undefined;
  if (parsed === undefined) throw new ManifestError(`descriptor ${index} has no valid digest`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new ManifestError(`descriptor ${index} has no valid size`);
  }
  return {
    mediaType: typeof mediaType === 'string' ? mediaType : MEDIA_TYPE.binary,
    digest: parsed,
    size,
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
