import type { TestContext } from 'node:test';

import type { Content } from '../content/content-source.ts';
import type { SharedChecks } from '../content/registry-tags.ts';
import type { TailWriter } from '../content/tail-writer.ts';
import { parseRegistries } from '../hosts/registries/parse-registries.ts';
import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import { DataPlane, type DataPlaneMode } from '../native/data-plane.ts';
import type { RangeRequest } from '../oci/byte-range.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import type { Digest } from '../oci/digest.ts';
import type { AuthorizerComponents } from '../upstream/auth/authorizer.ts';
import {
  createUpstream,
  type CreateUpstreamInit,
  type Upstream,
} from '../upstream/create-upstream.ts';
import type { CurrentRegistries } from '../upstream/where/followed-registries.ts';
import { UpstreamCredentials } from '../upstream/where/upstream-credentials.ts';
import { UpstreamEndpoints, type UpstreamName } from '../upstream/where/upstream-endpoints.ts';
import { quiet } from './quiet.ts';

/** How a {@link upstreamTo} is set up. */
export interface UpstreamFixtureInit {
  /** registries.yaml. Default: none. */
  readonly yaml?: string;
  /** A registries.yaml that changes, instead. */
  readonly follows?: CurrentRegistries;
  /** A `config.json`. Default: none. */
  readonly credentialsFile?: string;
  /** Default 20 s, against hangs. */
  readonly timeout?: number;
  /** Default: no client does. */
  readonly isVerifiedByClient?: boolean;
  /** Default: none. */
  readonly tails?: TailWriter;
  /** See `AuthorizerComponents`. Default: none. */
  readonly tokenServers?: AuthorizerComponents['tokenServers'];
  /** Default: 0. */
  readonly tagTtl?: number;
  /** Default: a day. */
  readonly staleTags?: number;
  /** See `CreateUpstreamComponents`. */
  readonly sharing?: SharedChecks;
  /** The clock of tags. Default: the one of the process. */
  readonly now?: () => number;
  /** How bodies by http come. Default `auto`, as in an agent. */
  readonly dataPlane?: DataPlaneMode;
  /** Default: one connection for each blob. */
  readonly widening?: CreateUpstreamInit['widening'];
  /** With variables of proxies. Default: none. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** An upstream, and parts of it. */
export interface UpstreamFixture extends Upstream {
  readonly metrics: Metrics;
  readonly credentials: UpstreamCredentials;
  readonly dataPlane: DataPlane;
}

/** Makes the upstream of an agent for these registries, with all of its parts; it ends with the test. */
export async function upstreamTo(
  t: TestContext,
  names: readonly (UpstreamName | undefined)[],
  {
    yaml,
    follows,
    credentialsFile,
    timeout = 20_000,
    isVerifiedByClient = false,
    environment = {},
    tokenServers,
    dataPlane: mode = 'auto',
    widening,
    tails,
    sharing,
    staleTags = 24 * 3_600_000,
    ...tagInit
  }: UpstreamFixtureInit = {},
): Promise<UpstreamFixture> {
  const current = yaml === undefined ? undefined : parseRegistries(yaml).registries;
  const registries = follows ?? (current && { current });
  const credentials = await UpstreamCredentials.load(
    { file: credentialsFile, registries, interval: 20, settle: 10 },
    quiet,
  );
  const metrics = createMetrics();
  const dataPlane = new DataPlane({ logger: quiet }, mode);
  const upstream = createUpstream(
    {
      endpoints: new UpstreamEndpoints({ names, registries }),
      credentials,
      isVerifiedByClient: () => Promise.resolve(isVerifiedByClient),
      tails,
      sharing,
      dataPlane,
      metrics,
      logger: quiet,
    },
    {
      ...{ timeout, userAgent: 'peerglass/test', environment, tokenServers, staleTags },
      ...(widening && { widening }),
      ...tagInit,
    },
  );
  t.after(() => upstream.stop());
  return { ...upstream, metrics, credentials, dataPlane };
}

/** The name of a registry of a test, asked by http. */
export function byHttp({ origin }: { readonly origin: string }): UpstreamName {
  return { registry: new URL(origin).host, server: origin };
}

/** A request for a manifest or a blob. */
export function requestFor(
  registry: string,
  repository: string,
  reference: { readonly tag: string } | { readonly manifest: Digest } | { readonly blob: Digest },
  { method = 'GET', range }: { method?: 'GET' | 'HEAD'; range?: RangeRequest } = {},
): ContentRequest {
  const base = { method, registry, repository, ...(range && { range }) };
  if ('blob' in reference) return { ...base, kind: 'blob', digest: reference.blob };
  if ('manifest' in reference) return { ...base, kind: 'manifest', digest: reference.manifest };
  return { ...base, kind: 'manifest', tag: reference.tag };
}

/** All bytes of content. */
export async function bytesOf(content: Content | undefined): Promise<Buffer> {
  if (content?.kind === 'whole') return content.bytes;
  if (content?.kind !== 'stream') throw new Error(`no bytes: ${content?.kind ?? 'no content'}`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.body) chunks.push(chunk);
  await content.held?.[Symbol.asyncDispose]();
  return Buffer.concat(chunks);
}
