import type { Readable } from 'node:stream';

import type { Dispatcher } from 'undici';

import { hasCode } from '../../errors/system-error.ts';
import { raceSignal } from '../../timing/race-signal.ts';
import type { DirectResponse } from '../../transfer/client/direct/direct-connection.ts';
import { PeerError } from '../../transfer/client/peer-error.ts';
import type { Authorizer } from '../auth/authorizer.ts';
import { parseChallenges } from '../auth/challenge.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { UpstreamEndpoint } from '../where/upstream-endpoints.ts';
import { discard, single } from './answer-text.ts';
import { ChunkedBody } from './chunked-body.ts';
import { isSameOrigin, type UpstreamAgents } from './upstream-agents.ts';
import { failureOf, toUpstreamError } from './upstream-failure.ts';

/** Redirects of one request. Registries need one, some of them two. */
const MAX_REDIRECTS = 5;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/** A request to the API of a registry. */
export interface RegistryRequest {
  readonly method: 'GET' | 'HEAD';
  /** As the endpoint calls it. */
  readonly repository: string;
  /** Below the repository: `manifests/1.27`, `blobs/sha256:…`. */
  readonly path: string;
  readonly accept: string;
  /** The header `Range`. Default: none. */
  readonly range?: string | undefined;
  /** Whether it is for a blob: its body is a `DirectBody` then, but behind a proxy, and where there are too many. Default: no. */
  readonly isBlob?: boolean;
}

/** An answer of any status. */
interface Answer extends Pick<Dispatcher.ResponseData, 'statusCode' | 'headers'> {
  readonly body: Readable;
}

/** An answer with content: 200 or 206. Its body is to be read or destroyed. */
export interface RegistryAnswer extends Answer {
  /** The host that gave it, for messages. */
  readonly host: string;
}

/** What a {@link RegistryClient} uses. */
export interface RegistryClientComponents {
  readonly agents: Pick<UpstreamAgents, 'for' | 'direct'>;
  readonly authorizer: Pick<Authorizer, 'header' | 'answer'>;
  /** Called with the head of each answer of the endpoint itself. */
  readonly onAnswer?: (
    endpoint: UpstreamEndpoint,
    repository: string,
    headers: Dispatcher.ResponseData['headers'],
  ) => void;
}

/** Options of a {@link RegistryClient}. */
export interface RegistryClientInit {
  /** Time until the head of an answer, tokens and redirects included, in milliseconds. */
  readonly timeout: number;
  readonly userAgent: string;
}

/**
 * Asks registries: answers their challenges, and follows their redirects to storage. Credentials go to the endpoint alone.
 *
 * @see OCI distribution specification, "Pulling manifests" and "Pulling blobs"
 */
export class RegistryClient {
  readonly #components: RegistryClientComponents;
  readonly #init: RegistryClientInit;

  constructor(components: RegistryClientComponents, init: RegistryClientInit) {
    this.#components = components;
    this.#init = init;
  }

  /**
   * @param signal ends everything, the body included
   * @throws UpstreamError for every failure and each status other than 200 and 206; the signal's reason when that is aborted
   */
  async fetch(
    endpoint: UpstreamEndpoint,
    request: RegistryRequest,
    signal: AbortSignal,
  ): Promise<RegistryAnswer> {
    const { timeout } = this.#init;
    const { host } = endpoint.base;
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort(new UpstreamError('timeout', `${host}: no answer in ${timeout} ms`));
    }, timeout);
    try {
      const given = AbortSignal.any([signal, late.signal]);
      const answer = await this.#authorized(endpoint, request, given);
      if (answer.statusCode === 200 || answer.statusCode === 206) return answer;
      throw await failureOf(answer, answer.host);
    } catch (error) {
      signal.throwIfAborted();
      throw toUpstreamError(late.signal.aborted ? late.signal.reason : error, 'body', host);
    } finally {
      clearTimeout(timer);
    }
  }

  /** One new try after a challenge: a token may have expired in the middle of an image. */
  async #authorized(
    endpoint: UpstreamEndpoint,
    request: RegistryRequest,
    signal: AbortSignal,
  ): Promise<RegistryAnswer> {
    const { authorizer } = this.#components;
    const { repository } = request;
    const refused = authorizer.header(endpoint, repository);
    const first = await this.#redirected(endpoint, request, refused, signal);
    if (first.statusCode !== 401 || !first.isOfEndpoint) return first;
    const challenges = parseChallenges(first.headers['www-authenticate']);
    if (challenges.length === 0) return first;
    discard(first.body);
    const header = await authorizer.answer(endpoint, repository, { challenges, refused }, signal);
    return await this.#redirected(endpoint, request, header, signal);
  }

  async #redirected(
    endpoint: UpstreamEndpoint,
    request: RegistryRequest,
    authorization: string | undefined,
    signal: AbortSignal,
  ): Promise<RegistryAnswer & { readonly isOfEndpoint: boolean }> {
    const visited = new Set<string>();
    let url = urlOf(endpoint, request);
    for (;;) {
      visited.add(url.href);
      const isOfEndpoint = isSameOrigin(url, endpoint.base);
      const answer = await this.#once(
        endpoint,
        url,
        request,
        isOfEndpoint ? authorization : undefined,
        signal,
      );
      if (isOfEndpoint) this.#components.onAnswer?.(endpoint, request.repository, answer.headers);
      if (!REDIRECTS.includes(answer.statusCode))
        return { ...answer, host: url.host, isOfEndpoint };
      discard(answer.body);
      url = nextOf(url, single(answer.headers['location']));
      if (visited.has(url.href) || visited.size > MAX_REDIRECTS) {
        throw new UpstreamError(
          'redirect',
          `${endpoint.base.host} redirects in a loop, or more than ${MAX_REDIRECTS} times`,
        );
      }
    }
  }

  /** A connection that was kept may be closed at the moment of the request, which is then sent once more. */
  async #once(
    endpoint: UpstreamEndpoint,
    url: URL,
    request: RegistryRequest,
    authorization: string | undefined,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { agents } = this.#components;
    const { method, accept, range } = request;
    const headers = {
      accept,
      'accept-encoding': 'identity',
      'user-agent': this.#init.userAgent,
      ...(range !== undefined && { range }),
      ...(authorization !== undefined && { authorization }),
    };
    if (request.isBlob === true) {
      const client = await raceSignal(agents.direct(endpoint, url), signal);
      // In the same turn as the request: others that begin together would all see the last place.
      const isFree = client?.hasCapacity(url.origin) === true;
      const got = isFree ? client.get(url, headers, signal) : undefined;
      const answer = await got?.catch((error: unknown) => {
        throwUnlessAskedAgain(error, signal);
        return undefined;
      });
      // What comes behind an interim answer, which none asked for, undici knows.
      if (answer !== undefined && answer.statusCode >= 200) return withoutChunks(answer);
      if (answer !== undefined) discard(answer.body);
    }
    const agent = await raceSignal(agents.for(endpoint, url), signal);
    const send = async (): Promise<Dispatcher.ResponseData> =>
      await agent.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        headers,
        signal,
        reset: false, // or undici closes the connection after every HEAD
      });
    const exchange = send().catch((error: unknown) => {
      if (signal.aborted || !hasCode(error, 'UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE')) throw error;
      return send();
    });
    const answer = await untilAborted(exchange, signal);
    // When a body is destroyed, undici emits an error on it. Without a listener that would end the process.
    answer.body.on('error', () => undefined);
    return answer;
  }
}

function withoutChunks({ statusCode, headers, body }: DirectResponse): Answer {
  const isChunked = headers['transfer-encoding'] !== undefined;
  return { statusCode, headers, body: isChunked ? new ChunkedBody(body) : body };
}

/**
 * What the small client cannot read, and a connection that ends before the answer, are asked for once more, by undici: a load
 * balancer drops one now and then.
 *
 * @throws every other error
 */
function throwUnlessAskedAgain(error: unknown, signal: AbortSignal): void {
  signal.throwIfAborted();
  const isUnread = error instanceof PeerError && ['protocol', 'body'].includes(error.reason);
  if (!isUnread && !hasCode(error, 'ECONNRESET', 'EPIPE')) throw error;
}

function urlOf(
  { base, registry, isMirror }: UpstreamEndpoint,
  { repository, path }: RegistryRequest,
): URL {
  const url = new URL(base.href);
  url.pathname = `${base.pathname.replace(/\/+$/, '')}/${repository}/${path}`;
  // As containerd tells a mirror which registry is meant.
  if (isMirror) url.searchParams.set('ns', registry);
  return url;
}

/** Where a redirect leads. @throws UpstreamError for what is no address of storage */
function nextOf(from: URL, location: string | undefined): URL {
  const refuse = (why: string): UpstreamError =>
    new UpstreamError('redirect', `${from.host} redirects ${why}`);
  if (location === undefined || !URL.canParse(location, from.href)) throw refuse('to no address');
  const url = new URL(location, from);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refuse(`by ${url.protocol}`);
  if (url.protocol === 'http:' && from.protocol === 'https:') throw refuse('from https to http');
  if (url.username !== '' || url.password !== '') throw refuse('with a password in the address');
  url.hash = '';
  return url;
}

/** Gives up the exchange at once when the signal is aborted. undici does not while a request waits for a connection. */
async function untilAborted(
  exchange: Promise<Dispatcher.ResponseData>,
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData> {
  try {
    return await raceSignal(exchange, signal);
  } catch (error) {
    exchange.then(
      ({ body }) => {
        discard(body);
      },
      () => undefined,
    );
    throw error;
  }
}
