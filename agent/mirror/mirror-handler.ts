import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Logger } from 'pino';

import type { HandlerLabel } from '../http/instrument.ts';
import type { RouteMatch, Routes } from '../http/routes.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { pinned, type ContentRequest } from '../oci/content-request.ts';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { SharedRequest, SharePolicy } from '../oci/share-policy.ts';
import { FOLLOW_HEADER } from '../transfer/client/peer-client.ts';
import { WRONG_HEADER } from '../transfer/client/peer-report.ts';
import { answerContent, type AnswerComponents, type Exchange } from './answer-content.ts';
import type { ImportedNames, Resolver } from './imported-names.ts';
import type { MirrorSources } from './mirror-sources.ts';
import { mirrorRoutes, refusalOf } from './mirror-routes.ts';
import type { OutageAnswers } from './outage-answers.ts';
import { parseContentRequest } from './parse-content-request.ts';
import { Callers } from './callers.ts';
import { PeerUploads } from './peer-uploads.ts';
import { PullLog, type RequestLog } from './pull-log.ts';
import { SourceAnswers, unknownContent } from './source-answers.ts';
import { TagAnswers } from './tag-answers.ts';

export interface MirrorHandlerComponents {
  readonly sources: MirrorSources;
  readonly policy: SharePolicy;
  /**
   * Whether content of this node is shared, whatever name a request uses: not when all images that it belongs to are
   * left out. Default: it is.
   */
  readonly sharesDigest?: (digest: Digest) => boolean;
  /** Whether a request is answered although the policy leaves it to a registry, which is away. Default: never. */
  readonly outage?: Pick<OutageAnswers, 'covers'>;
  /** Says who resolves a name that the policy resolves for imported images only. Default: the registry. */
  readonly names?: ImportedNames;
  /** Whether a client is one for which `MirrorSources.upstream` is asked, by its address. Default: none is. */
  readonly mayGoUpstream?: (address: string | undefined) => boolean;
  /** The registry that clients mean which name none, as Docker does; canonical. Default: none. */
  readonly unnamedRegistry?: string | undefined;
  /** Bounds what is sent to peers. Default: no bounds. */
  readonly uploads?: PeerUploads;
  /** Decides who asks. Default: anyone is served, and a field of the request tells who is a peer. */
  readonly callers?: Callers;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** A request whose route was found. */
interface Call extends Pick<RouteMatch<unknown> & { kind: 'found' }, 'params' | 'query'> {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly signal: AbortSignal;
}

type Endpoint = (call: Call) => Promise<HandlerLabel>;

/**
 * Answers the OCI distribution API: from the sources of this node first, then from the remote ones, else with 404, at
 * which containerd goes to the next host of its hosts.toml.
 */
export class MirrorHandler {
  readonly #routes: Routes<Endpoint>;
  readonly #sources: MirrorSources;
  readonly #policy: SharePolicy;
  readonly #outage: MirrorHandlerComponents['outage'];
  readonly #names: ImportedNames | undefined;
  readonly #mayGoUpstream: (address: string | undefined) => boolean;
  readonly #tags: TagAnswers | undefined;
  readonly #unnamed: string | undefined;
  readonly #answering: AnswerComponents;
  readonly #answers: SourceAnswers;
  readonly #callers: Callers;
  readonly #metrics: Metrics;
  readonly #pulls: PullLog;

  constructor(components: MirrorHandlerComponents) {
    this.#routes = mirrorRoutes<Endpoint>({
      versionCheck: answerVersionCheck,
      manifests: (call) => this.#answerContent('manifest', call),
      blobs: (call) => this.#answerContent('blob', call),
    });
    this.#sources = components.sources;
    this.#policy = components.policy;
    this.#outage = components.outage;
    this.#names = components.names;
    this.#mayGoUpstream = components.mayGoUpstream ?? (() => false);
    this.#unnamed = components.unnamedRegistry;
    const { metrics, logger, uploads = new PeerUploads({ metrics }) } = components;
    const { tags, local, remote } = components.sources;
    this.#tags =
      tags &&
      new TagAnswers({
        ...{ tags, policy: this.#policy, sources: [...local, ...remote], metrics, logger },
      });
    this.#answering = { uploads, metrics, logger };
    const { sources, names, sharesDigest = () => true } = components;
    this.#answers = new SourceAnswers({ ...this.#answering, sources, names, sharesDigest });
    this.#callers = components.callers ?? new Callers();
    this.#metrics = metrics;
    this.#pulls = new PullLog(logger);
  }

  /**
   * Answers one request; never rejects.
   *
   * @param signal aborted when the client leaves
   * @returns where the answer came from
   */
  async handle(
    req: IncomingMessage,
    res: ServerResponse,
    signal: AbortSignal,
  ): Promise<HandlerLabel> {
    const match = this.#routes.match(req.method, req.url);
    try {
      if (match.kind !== 'found') throw refusalOf(match, res);
      const { handler, params, query } = match;
      return await handler({ req, res, signal, params, query });
    } catch (error) {
      this.#answers.fail(error, { res, signal });
      return 'registry';
    }
  }

  async #answerContent(
    kind: ContentRequest['kind'],
    { req, res, signal, params, query }: Call,
  ): Promise<HandlerLabel> {
    const { method, headers } = req;
    const caller = this.#callers.identify(req, res, (detail) => unknownContent({ kind }, detail));
    const request = parseContentRequest({
      kind,
      method: method === 'HEAD' ? 'HEAD' : 'GET',
      name: params['name'] ?? '',
      reference: params['reference'] ?? '',
      query,
      headers,
      // A peer that names no registry does not know it.
      unnamed: caller.isPeer ? undefined : this.#unnamed,
    });
    const { isPeer: fromPeer } = caller;
    const log = this.#pulls.begin(request, fromPeer);
    const follows = fromPeer && headers[FOLLOW_HEADER] === '1';
    const exchange = { request, fromPeer, follows, res, signal, log };
    let label: HandlerLabel = 'registry';
    try {
      if (fromPeer) this.#answering.uploads.report(res);
      const resolver = await this.#names?.resolver({ ...request, fromPeer }, signal);
      const isImported = resolver === 'anyone' || resolver === 'peers';
      const isOutage =
        !fromPeer &&
        resolver !== 'anyone' &&
        (await this.#outage?.covers(request, req.socket.remoteAddress));
      const mayGoUpstream = this.#mayGoUpstream(req.socket.remoteAddress);
      if (!fromPeer && isOutage !== true && mayGoUpstream && this.#tags?.covers(request)) {
        label = 'mirror';
        await this.#answerTag(exchange, this.#tags, resolver);
        return label;
      }
      if (isOutage !== true) this.#refuseUnshared({ ...request, fromPeer, isImported }, log);
      if (follows) this.#refuseWrong(request, res);
      const asksPeersOnly = resolver === 'peers' && isOutage !== true;
      if (!asksPeersOnly && (await this.#answers.tryLocal(exchange))) return label;
      if (follows && (await this.#answers.tryFollowed(exchange))) return label;
      if (fromPeer || isOutage === true) throw unknownContent(request, 'not held by this node');
      label = 'mirror';
      // An imported image is not at the registry, so what is asked there is for the pod with its own credentials.
      const lends = resolver === 'peers' && this.#policy.lendsCredentials(request);
      await this.#answers.tryRemote(exchange, !lends && mayGoUpstream);
    } catch (error) {
      this.#answers.fail(error, exchange);
    } finally {
      log.end();
    }
    return label;
  }

  /** The registry says what the tag means; its content comes from wherever it is. */
  async #answerTag(
    exchange: Exchange,
    tags: TagAnswers,
    resolver: Resolver | undefined,
  ): Promise<void> {
    const { res, signal } = exchange;
    const { request } = exchange;
    const named = await tags.resolve(request, signal);
    if (named.kind === 'unknown') {
      const { error } = named;
      if (resolver !== undefined && (await this.#tryImported(exchange, resolver))) return;
      // The answer to its HEAD had no words. A registry that is away is not asked again.
      const isRefused = error.status !== 503;
      if (isRefused && request.method === 'GET' && (await this.#answers.tryUpstream(exchange)))
        return;
      throw error;
    }
    const { descriptor, origin, warning } = named;
    if (warning !== undefined) res.setHeader('Warning', warning);
    if (request.method === 'HEAD') {
      await answerContent({ kind: 'head', descriptor, origin }, exchange, this.#answering);
      return;
    }
    const byDigest = { ...exchange, request: pinned(request, descriptor.digest) };
    if (!(await this.#answers.tryLocal(byDigest))) await this.#answers.tryRemote(byDigest, true);
  }

  /** An image that a node has imported need not be at its registry. */
  async #tryImported(exchange: Exchange, resolver: Resolver): Promise<boolean> {
    if (resolver === 'anyone' && (await this.#answers.tryLocal(exchange))) return true;
    try {
      await this.#answers.tryRemote(exchange, false);
      return true;
    } catch (error) {
      if (!(error instanceof OciError) || error.status !== 404) throw error;
      return false;
    }
  }

  #refuseUnshared(request: SharedRequest & ContentRequest, log: RequestLog): void {
    const why = this.#policy.refusal(request);
    if (why === undefined) return;
    this.#metrics.fallThroughs.inc({ reason: 'not-shared' });
    log.fellThrough('not-shared');
    throw unknownContent(request, why);
  }

  /** Has a follower learn that what it got from here is wrong, whatever this node holds by now. */
  #refuseWrong(request: ContentRequest, res: ServerResponse): void {
    const { digest } = request;
    if (digest === undefined || this.#sources.followed?.isWrong(digest) !== true) return;
    res.setHeader(WRONG_HEADER, '1');
    throw unknownContent(request, 'the bytes that this node had were wrong');
  }
}

function answerVersionCheck({ res }: Call): Promise<HandlerLabel> {
  res.setHeader('Docker-Distribution-API-Version', 'registry/2.0');
  res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': 2 }).end('{}');
  return Promise.resolve('v2');
}
