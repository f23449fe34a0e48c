import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

import { parseRange, resolveRange } from '../oci/byte-range.ts';
import type { Digest } from '../oci/digest.ts';
import { MEDIA_TYPE } from '../oci/media-type.ts';

type Handler = (req: IncomingMessage, res: ServerResponse) => void;

/** Where a server of a test is. */
interface ServerAddress {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default: any that is free. */
  readonly port?: number;
}

/** Starts a plain HTTP server, or one with TLS, that ends with the test, and gives its origin. */
export async function serve(
  t: TestContext,
  handler: Handler,
  tls?: ServerOptions,
  { host = '127.0.0.1', port: wanted = 0 }: ServerAddress = {},
): Promise<string> {
  const server = tls === undefined ? createServer(handler) : createTlsServer(tls, handler);
  server.listen(wanted, host);
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const name = host.includes(':') ? `[${host}]` : host;
  return `${tls === undefined ? 'http' : 'https'}://${name}:${port}`;
}

/** A request that one of the servers has got. */
interface SeenRequest {
  readonly at: 'registry' | 'token' | 'storage';
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

/** How a {@link TokenRegistry} behaves. */
export interface TokenRegistryInit extends ServerAddress {
  /** Who may pull. Default: anyone, with an anonymous token. */
  readonly user?: { readonly username: string; readonly password: string };
  /** How clients show that. Default: by a token. */
  readonly scheme?: 'token' | 'basic' | 'none';
  /** Whether blobs are at another server, which refuses foreign credentials as S3 does. Default: yes. */
  readonly redirects?: boolean;
  /** Default: all of its servers speak http. */
  readonly tls?: ServerOptions;
}

/**
 * A registry in the form of Docker Hub, as real servers: it challenges, a token server gives tokens for a scope, and blobs are
 * redirected to storage. Tests replace single answers by {@link TokenRegistry.faults}.
 */
export class TokenRegistry {
  readonly seen: SeenRequest[] = [];
  /** Answers instead of a server, if it gives `true`. */
  faults: Partial<Record<SeenRequest['at'], (...exchange: Parameters<Handler>) => boolean>> = {};
  readonly #blobs = new Map<string, Buffer>();
  readonly #manifests = new Map<string, { readonly bytes: Buffer; readonly type: string }>();
  readonly #tokens = new Map<string, string>();
  readonly #init: TokenRegistryInit;
  origin = '';
  tokenOrigin = '';
  storageOrigin = '';
  /** Life that tokens state, in seconds; absent when undefined. */
  expiresIn: number | undefined = 300;

  private constructor(init: TokenRegistryInit) {
    this.#init = init;
  }

  static async start(t: TestContext, init: TokenRegistryInit = {}): Promise<TokenRegistry> {
    const registry = new TokenRegistry(init);
    const handle =
      (at: SeenRequest['at'], answer: Handler): Handler =>
      (req, res) => {
        const { method = '', url = '', headers } = req;
        const { authorization, range } = headers;
        registry.seen.push({ at, method, url, authorization, range });
        if (registry.faults[at]?.(req, res) !== true) answer(req, res);
      };
    const host = init.host === undefined ? {} : { host: init.host };
    registry.storageOrigin = await serve(
      t,
      handle('storage', registry.#answerStorage),
      init.tls,
      host,
    );
    registry.tokenOrigin = await serve(t, handle('token', registry.#answerToken), init.tls, host);
    const { port } = init;
    const place = { ...host, ...(port !== undefined && { port }) };
    registry.origin = await serve(t, handle('registry', registry.#answerRegistry), init.tls, place);
    return registry;
  }

  /** As image names have it: `127.0.0.1:41234`. */
  get name(): string {
    return new URL(this.origin).host;
  }

  /** Requests that a server has got, as `METHOD /path`. */
  requests(at: SeenRequest['at']): string[] {
    const own = this.seen.filter((it) => it.at === at);
    return own.map(({ method, url }) => `${method} ${url.split('?')[0] ?? ''}`);
  }

  addBlob(bytes: Buffer): Digest {
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
    this.#blobs.set(digest, bytes);
    return digest;
  }

  /** Adds an image manifest of the layers, by its digest and by a tag. */
  addImage(
    repository: string,
    tag: string,
    layers: readonly Digest[],
  ): { digest: Digest; bytes: Buffer } {
    const config = this.addBlob(Buffer.from(`{"of":"${repository}:${tag}"}`));
    const describe = (mediaType: string) => (digest: Digest) => ({
      ...{ mediaType, digest, size: this.#blobs.get(digest)?.length ?? 0 },
    });
    const manifest = {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociManifest,
      config: describe(MEDIA_TYPE.ociConfig)(config),
      layers: layers.map(describe('application/vnd.oci.image.layer.v1.tar')),
    };
    const bytes = Buffer.from(JSON.stringify(manifest));
    const digest = this.addBlob(bytes);
    for (const reference of [tag, digest]) {
      this.#manifests.set(`${repository} ${reference}`, { bytes, type: MEDIA_TYPE.ociManifest });
    }
    return { digest, bytes };
  }

  /** From now on no token is accepted that was given before. */
  revokeTokens(): void {
    this.#tokens.clear();
  }

  readonly #answerToken: Handler = (req, res) => {
    const url = new URL(req.url ?? '', this.tokenOrigin);
    const { user } = this.#init;
    if (user !== undefined && req.headers.authorization !== basic(user)) {
      sendError(res, 401, 'UNAUTHORIZED', 'incorrect username or password');
      return;
    }
    const token = randomUUID();
    this.#tokens.set(token, url.searchParams.get('scope') ?? '');
    const life = this.expiresIn === undefined ? {} : { expires_in: this.expiresIn };
    send(res, 200, 'application/json', Buffer.from(JSON.stringify({ token, ...life })));
  };

  readonly #answerRegistry: Handler = (req, res) => {
    const [, repository = '', kind = '', reference = ''] =
      /^\/v2\/(.+)\/(manifests|blobs)\/([^?]+)/.exec(req.url ?? '') ?? [];
    if (!this.#isAllowed(req, repository)) {
      const scope = `repository:${repository}:pull`;
      const realm = `realm="${this.tokenOrigin}/token",service="test",scope="${scope}"`;
      const challenge = this.#init.scheme === 'basic' ? 'Basic realm="test"' : `Bearer ${realm}`;
      res.setHeader('WWW-Authenticate', challenge);
      sendError(res, 401, 'UNAUTHORIZED', 'authentication required');
      return;
    }
    if (kind === 'blobs') {
      const bytes = this.#blobs.get(reference);
      if (bytes === undefined) sendError(res, 404, 'BLOB_UNKNOWN', 'blob unknown to registry');
      else if (this.#init.redirects === false) sendRange(req, res, bytes);
      else res.writeHead(307, { Location: `${this.storageOrigin}/${reference}?signature=x` }).end();
      return;
    }
    const manifest = this.#manifests.get(`${repository} ${reference}`);
    if (manifest === undefined) {
      sendError(res, 404, 'MANIFEST_UNKNOWN', 'manifest unknown');
      return;
    }
    res.setHeader('Docker-Content-Digest', this.addBlob(manifest.bytes));
    send(res, 200, manifest.type, manifest.bytes);
  };

  readonly #answerStorage: Handler = (req, res) => {
    const bytes = this.#blobs.get((req.url ?? '').slice(1).split('?')[0] ?? '');
    if (req.headers.authorization !== undefined) sendError(res, 400, 'InvalidArgument', 'one only');
    else if (bytes === undefined || req.method !== 'GET') sendError(res, 403, 'AccessDenied', 'no');
    else sendRange(req, res, bytes);
  };

  #isAllowed({ headers: { authorization = '' } }: IncomingMessage, repository: string): boolean {
    const { scheme = 'token', user } = this.#init;
    if (scheme === 'none') return true;
    if (scheme === 'basic') return user !== undefined && authorization === basic(user);
    const scope = this.#tokens.get(authorization.replace(/^Bearer /, ''));
    return scope === `repository:${repository}:pull`;
  }
}

/** The header of Basic authentication. */
function basic({ username, password }: { username: string; password: string }): string {
  return `Basic ${btoa(`${username}:${password}`)}`;
}

/** Answers with an error in the form of the specification. */
export function sendError(
  res: ServerResponse,
  status: number,
  code: string,
  message: string,
): void {
  send(
    res,
    status,
    'application/json',
    Buffer.from(JSON.stringify({ errors: [{ code, message }] })),
  );
}

/** Answers with a body of known length. */
export function send(res: ServerResponse, status: number, type: string, body: Buffer): void {
  res.writeHead(status, { 'Content-Type': type, 'Content-Length': body.length });
  if (res.req.method === 'HEAD') res.end();
  else res.end(body);
}

function sendRange(req: IncomingMessage, res: ServerResponse, bytes: Buffer): void {
  const asked = parseRange(req.headers.range);
  if (asked === undefined) {
    send(res, 200, MEDIA_TYPE.binary, bytes);
    return;
  }
  const range = resolveRange(asked, bytes.length);
  if (range === undefined) {
    res.writeHead(416, { 'Content-Range': `bytes */${bytes.length}`, 'Content-Length': 0 }).end();
    return;
  }
  const { start, end } = range;
  res.setHeader('Content-Range', `bytes ${start}-${end}/${bytes.length}`);
  send(res, 206, MEDIA_TYPE.binary, bytes.subarray(start, end + 1));
}
