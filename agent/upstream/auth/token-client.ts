import type { Dispatcher } from 'undici';

import { UpstreamError } from '../upstream-error.ts';
import { discard, isHtml, readJson, single, wordsOf } from '../client/answer-text.ts';
import type { Credential } from '../where/docker-config.ts';
import type { UpstreamEndpoint } from '../where/upstream-endpoints.ts';

/** How long a token holds that does not say so, in seconds; also what one with less is taken to hold, as by containerd. */
const DEFAULT_LIFE = 60;
/** Longest life that is believed, in seconds. A token that is refused is renewed at once anyway. */
const MAX_LIFE = 24 * 3600;
const TOKEN = /^[\x21-\x7e]{1,16384}$/;

/** How a token server answers that takes no POST, or no refresh token. */
const NO_POST: readonly number[] = [400, 401, 404, 405];

/** What a token is asked for. */
export interface TokenRequest {
  readonly endpoint: UpstreamEndpoint;
  readonly realm: URL;
  readonly service: string | undefined;
  /** `repository:library/nginx:pull` */
  readonly scope: string;
  /** What the token server gets. Default: nothing, for an anonymous token. */
  readonly credential: Credential | undefined;
}

/** A token, and how long it holds, in milliseconds from its request. */
export interface Token {
  readonly token: string;
  readonly lifeMs: number;
}

/** What a {@link TokenClient} uses. */
export interface TokenClientComponents {
  /** Connections with the token servers that an endpoint names. */
  readonly agents: { for(endpoint: UpstreamEndpoint, url: URL): Promise<Dispatcher> };
  readonly userAgent: string;
  /** Called for each request. */
  readonly onRequest?: (endpoint: UpstreamEndpoint) => void;
}

/**
 * Gets tokens for pulls, anonymous ones too. Redirects are not followed: they would lead credentials elsewhere.
 *
 * @see distribution, docs/spec/auth/token.md and oauth.md
 */
export class TokenClient {
  readonly #components: TokenClientComponents;

  constructor(components: TokenClientComponents) {
    this.#components = components;
  }

  /** @throws UpstreamError `denied` where the token server refuses, `token` for any other answer that is no token */
  async fetch(request: TokenRequest, signal: AbortSignal): Promise<Token> {
    const { credential } = request;
    if (credential?.identityToken !== undefined) {
      const token = await this.#post(request, credential.identityToken.reveal(), signal);
      if (token !== undefined) return token;
    }
    const { realm, service, scope } = request;
    const url = new URL(realm);
    if (service !== undefined) url.searchParams.set('service', service);
    // Of several scopes some servers read the first only.
    url.searchParams.set('scope', scope);
    const authorization = basicOf(credential);
    const answer = await this.#send(request, url, { authorization }, signal);
    if (answer.statusCode === 200) return await tokenOf(answer, url);
    throw await refusal(answer, url);
  }

  /** @returns undefined when the server does not take refresh tokens by POST */
  async #post(
    request: TokenRequest,
    refresh: string,
    signal: AbortSignal,
  ): Promise<Token | undefined> {
    const { realm, service, scope } = request;
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: refresh,
      scope,
    });
    form.set('client_id', 'peerglass');
    if (service !== undefined) form.set('service', service);
    const answer = await this.#send(request, realm, { form }, signal);
    if (answer.statusCode === 200) return await tokenOf(answer, realm);
    if (!NO_POST.includes(answer.statusCode) || basicOf(request.credential) === undefined) {
      throw await refusal(answer, realm);
    }
    discard(answer.body);
    return undefined;
  }

  async #send(
    { endpoint }: TokenRequest,
    url: URL,
    { authorization, form }: { authorization?: string | undefined; form?: URLSearchParams },
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const { agents, userAgent, onRequest } = this.#components;
    const agent = await agents.for(endpoint, url);
    onRequest?.(endpoint);
    const answer = await agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: form === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'application/json',
        'accept-encoding': 'identity',
        'user-agent': userAgent,
        ...(authorization !== undefined && { authorization }),
        ...(form !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      ...(form !== undefined && { body: form.toString() }),
      signal,
    });
    answer.body.on('error', () => undefined);
    return answer;
  }
}

/** The header of Basic authentication; undefined without a name and a password. */
export function basicOf(credential: Credential | undefined): string | undefined {
  const { username, password } = credential ?? {};
  if (username === undefined || password === undefined) return undefined;
  return `Basic ${Buffer.from(`${username.reveal()}:${password.reveal()}`).toString('base64')}`;
}

async function refusal(answer: Dispatcher.ResponseData, url: URL): Promise<UpstreamError> {
  const { statusCode } = answer;
  const isRefused = statusCode === 401 || statusCode === 403;
  const words = await wordsOf(answer);
  const message = `token server ${url.host} answers ${statusCode}${words}`;
  return new UpstreamError(isRefused ? 'denied' : 'token', message);
}

async function tokenOf({ headers, body }: Dispatcher.ResponseData, url: URL): Promise<Token> {
  const wrong = (what: string): UpstreamError =>
    new UpstreamError('token', `token server ${url.host} answers with ${what}`);
  if (isHtml(headers)) {
    discard(body);
    throw wrong('an HTML page: a captive portal or a proxy may be in between');
  }
  if ((single(headers['content-encoding']) ?? 'identity') !== 'identity') {
    discard(body);
    throw wrong('an encoded body');
  }
  const json = await readJson(body);
  if (json === undefined) throw wrong('no JSON');
  const { token = json['access_token'], expires_in: seconds } = json; // Some have one, some the other.
  if (typeof token !== 'string' || !TOKEN.test(token)) throw wrong('no token');
  const life = typeof seconds === 'number' && seconds > DEFAULT_LIFE ? seconds : DEFAULT_LIFE;
  return { token, lifeMs: Math.min(life, MAX_LIFE) * 1000 };
}
