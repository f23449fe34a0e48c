import { createHash } from 'node:crypto';

import type { Descriptor } from '../../oci/descriptor.ts';
import { digestAlgorithm, parseDigest, type Digest } from '../../oci/digest.ts';
import { ManifestError, MAX_MANIFEST_BYTES, parseManifest } from '../../oci/manifest.ts';
import { isIndexType, isManifestType, MANIFEST_ACCEPT } from '../../oci/media-type.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { UpstreamEndpoint } from '../where/upstream-endpoints.ts';
import { discard, isHtml, single } from './answer-text.ts';
import type { RegistryAnswer, RegistryClient } from './registry-client.ts';

/** Time for the body of a manifest, in milliseconds. It has 4 MiB at most, and mostly some KiB. */
const BODY_MS = 30_000;
/** How a registry answers that knows no HEAD. */
const NO_HEAD: readonly (number | undefined)[] = [405, 501];

/** Which manifest is asked for. */
export interface ManifestRequest {
  readonly endpoint: UpstreamEndpoint;
  /** As the endpoint calls it. */
  readonly repository: string;
  /** One of both is there. */
  readonly tag?: string | undefined;
  readonly digest?: Digest | undefined;
}

/**
 * Asks what a manifest is by HEAD, which no registry counts as a pull.
 *
 * @returns undefined where the registry does not tell type, size and digest, or knows no HEAD: it is to be fetched then
 * @throws UpstreamError
 */
export async function headManifest(
  client: Pick<RegistryClient, 'fetch'>,
  request: ManifestRequest,
  signal: AbortSignal,
): Promise<Descriptor | undefined> {
  let answer: RegistryAnswer;
  try {
    answer = await ask(client, 'HEAD', request, signal);
  } catch (error) {
    if (error instanceof UpstreamError && NO_HEAD.includes(error.status)) return undefined;
    throw error;
  }
  const { headers, body } = answer;
  body.resume();
  const stated = parseDigest(single(headers['docker-content-digest']) ?? '');
  const { digest = stated } = request;
  const mediaType = typeOf(headers);
  const length = single(headers['content-length']) ?? '';
  const size = /^\d{1,15}$/.test(length) ? Number(length) : 0;
  if (digest === undefined || digest !== (stated ?? digest)) return undefined;
  if (!isManifestType(mediaType) || size === 0 || size > MAX_MANIFEST_BYTES) return undefined;
  return { mediaType, digest, size };
}

/**
 * Fetches a manifest. Its digest is computed, also that of a tag: what registries state of it is often wrong.
 *
 * @throws UpstreamError `digest` for other bytes than were asked for, `protocol` for what is no manifest
 */
export async function fetchManifest(
  client: Pick<RegistryClient, 'fetch'>,
  request: ManifestRequest,
  signal: AbortSignal,
): Promise<{ readonly descriptor: Descriptor; readonly bytes: Buffer }> {
  const answer = await ask(client, 'GET', request, signal);
  const { headers, body, host } = answer;
  const wrong = (what: string): UpstreamError =>
    new UpstreamError('protocol', `${host} answers with ${what}`);
  if (answer.statusCode !== 200 || isHtml(headers)) {
    discard(body);
    throw wrong(
      isHtml(headers) ? 'an HTML page: a captive portal or a proxy may be in between' : 'a part',
    );
  }
  if ((single(headers['content-encoding']) ?? 'identity') !== 'identity') {
    discard(body);
    throw wrong('an encoded body');
  }
  const bytes = await readWhole(answer, signal);
  const digest = digestOf(bytes, request.digest);
  if (request.digest !== undefined && digest !== request.digest) {
    throw new UpstreamError('digest', `${host} sends other bytes than the digest names`);
  }
  return {
    descriptor: { mediaType: mediaTypeOf(bytes, headers, wrong), digest, size: bytes.length },
    bytes,
  };
}

async function ask(
  client: Pick<RegistryClient, 'fetch'>,
  method: 'GET' | 'HEAD',
  { endpoint, repository, tag, digest }: ManifestRequest,
  signal: AbortSignal,
): Promise<RegistryAnswer> {
  const path = `manifests/${digest ?? tag ?? ''}`;
  return await client.fetch(
    endpoint,
    { method, repository, path, accept: MANIFEST_ACCEPT },
    signal,
  );
}

async function readWhole(
  { body, headers, host }: RegistryAnswer,
  signal: AbortSignal,
): Promise<Buffer> {
  const timer = setTimeout(() => {
    body.destroy(new UpstreamError('timeout', `${host}: no whole manifest in ${BODY_MS} ms`));
  }, BODY_MS);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > MAX_MANIFEST_BYTES)
        throw new UpstreamError('protocol', `${host}: manifest too large`);
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(timer);
    discard(body);
  }
  signal.throwIfAborted();
  const stated = single(headers['content-length']);
  if (stated !== undefined && Number(stated) !== length) {
    throw new UpstreamError('body', `${host}: the manifest ended early`);
  }
  return Buffer.concat(chunks);
}

function digestOf(bytes: Buffer, asked: Digest | undefined): Digest {
  const algorithm = asked === undefined ? 'sha256' : digestAlgorithm(asked);
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest;
}

/** The type that the registry states, unless the bytes are of another kind; some state `application/json`. */
function mediaTypeOf(
  bytes: Buffer,
  headers: RegistryAnswer['headers'],
  wrong: (what: string) => UpstreamError,
): string {
  const stated = typeOf(headers);
  try {
    const { mediaType } = parseManifest(bytes);
    const fits = isManifestType(stated) && isIndexType(stated) === isIndexType(mediaType);
    return fits ? stated : mediaType;
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    throw wrong(`no manifest (${error.message})`);
  }
}

function typeOf(headers: RegistryAnswer['headers']): string {
  const [stated = ''] = (single(headers['content-type']) ?? '').split(';');
  return stated.trim().toLowerCase();
}
