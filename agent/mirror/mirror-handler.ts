import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Logger } from 'pino';

import {
  SourceUnavailableError,
  type Content,
  type ContentSource,
} from '../content/content-source.ts';
import { writeError } from '../http/error-answer.ts';
import type { HandlerLabel } from '../http/instrument.ts';
import type { RouteMatch, Routes } from '../http/routes.ts';
import { BoundedLabels } from '../metrics/bounded-labels.ts';
import type { RegistryTags } from '../content/registry-tags.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { pinned, type ContentRequest } from '../oci/content-request.ts';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { LEFT_OUT, type SharedRequest, type SharePolicy } from '../oci/share-policy.ts';
import { answerContent, type AnswerComponents, type Exchange } from './answer-content.ts';
import type { ImportedNames, Resolver } from './imported-names.ts';
import { mirrorRoutes, refusalOf } from './mirror-routes.ts';
import type { OutageAnswers } from './outage-answers.ts';
import { parseContentRequest } from './parse-content-request.ts';
import { FOLLOW_HEADER } from '../transfer/client/peer-client.ts';
import { WRONG_HEADER } from '../transfer/client/peer-report.ts';
import { Callers } from './callers.ts';
import { PeerUploads } from './peer-uploads.ts';
import { PullLog, type RequestLog } from './pull-log.ts';
import { TagAnswers } from './tag-answers.ts';

/** Where content is looked for, in order. */
export interface MirrorSources {
  /**
   * What this node has itself. Requests of peers are answered from these only, so that no request goes in circles
   * between nodes.
   */
  readonly local: readonly ContentSource[];
  /** Sources that are asked when no local one has the content: peers, and downloads in progress. */
  readonly remote: readonly ContentSource[];
  /**
   * The registries, which are asked last, for clients on this node only: this node may have credentials there, and does not
   * lend them. Default: a client asks registries itself.
   */
  readonly upstream?: RegistryContent;
  /** Asks the registries what tags mean, before any other source, for the same clients. Default: clients do. */
  readonly tags?: RegistryTags;
  /**
   * Content that is still arriving at this node, for peers that ask for it by `FOLLOW_HEADER` when no local source has it.
   * Default: there is none.
   */
  readonly followed?: FollowedContent;
}

/** Registries as a source, which also finishes what other sources have begun. */
export interface RegistryContent extends ContentSource {
  /**
   * Has the body of content go on from the registry where it breaks, for a client that has no other way to the rest.
   * Default: it ends there.
   */
  finish?(content: Content, request: ContentRequest, signal: AbortSignal): Promise<Content>;
}

/** A source of content that is still arriving, unverified. */
export interface FollowedContent extends ContentSource {
  /** Whether bytes of the content that were sent to followers have turned out to be wrong, a short time ago. */
  isWrong(digest: Digest): boolean;
}

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
  readonly #sharesDigest: (digest: Digest) => boolean;
  readonly #outage: MirrorHandlerComponents['outage'];
  readonly #names: ImportedNames | undefined;
  readonly #mayGoUpstream: (address: string | undefined) => boolean;
  readonly #tags: TagAnswers | undefined;
  readonly #unnamed: string | undefined;
  readonly #answering: AnswerComponents;
  readonly #callers: Callers;
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  readonly #registries = new BoundedLabels();
  readonly #pulls: PullLog;

  constructor(components: MirrorHandlerComponents) {
    this.#routes = mirrorRoutes<Endpoint>({
      versionCheck: answerVersionCheck,
      manifests: (call) => this.#answerContent('manifest', call),
      blobs: (call) => this.#answerContent('blob', call),
    });
    this.#sources = components.sources;
    this.#policy = components.policy;
    this.#sharesDigest = components.sharesDigest ?? (() => true);
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
    this.#callers = components.callers ?? new Callers();
    this.#metrics = metrics;
    this.#logger = logger;
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
      this.#fail(error, { res, signal });
      return 'registry';
    }
  }

  async #answerContent(
    kind: ContentRequest['kind'],
    { req, res, signal, params, query }: Call,
  ): Promise<HandlerLabel> {
    const { method, headers } = req;
    const caller = this.#callers.identify(req, res, (detail) => unknown({ kind }, detail));
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
      if (!asksPeersOnly && (await this.#tryLocal(exchange))) return label;
      if (follows && (await this.#tryFollowed(exchange))) return label;
      if (fromPeer || isOutage === true) throw unknown(request, 'not held by this node');
      label = 'mirror';
      // An imported image is not at the registry, so what is asked there is for the pod with its own credentials.
      const lends = resolver === 'peers' && this.#policy.lendsCredentials(request);
      await this.#tryRemote(exchange, !lends && mayGoUpstream);
    } catch (error) {
      this.#fail(error, exchange);
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
      if (isRefused && request.method === 'GET' && (await this.#tryUpstream(exchange))) return;
      throw error;
    }
    const { descriptor, origin, warning } = named;
    if (warning !== undefined) res.setHeader('Warning', warning);
    if (request.method === 'HEAD') {
      await answerContent({ kind: 'head', descriptor, origin }, exchange, this.#answering);
      return;
    }
    const byDigest = { ...exchange, request: pinned(request, descriptor.digest) };
    if (!(await this.#tryLocal(byDigest))) await this.#tryRemote(byDigest, true);
  }

  /** An image that a node has imported need not be at its registry. */
  async #tryImported(exchange: Exchange, resolver: Resolver): Promise<boolean> {
    if (resolver === 'anyone' && (await this.#tryLocal(exchange))) return true;
    try {
      await this.#tryRemote(exchange, false);
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
    throw unknown(request, why);
  }

  /** Has a follower learn that what it got from here is wrong, whatever this node holds by now. */
  #refuseWrong(request: ContentRequest, res: ServerResponse): void {
    const { digest } = request;
    if (digest === undefined || this.#sources.followed?.isWrong(digest) !== true) return;
    res.setHeader(WRONG_HEADER, '1');
    throw unknown(request, 'the bytes that this node had were wrong');
  }

  async #tryLocal(exchange: Exchange): Promise<boolean> {
    return await this.#tryShared(this.#sources.local, exchange);
  }

  /** A peer that follows asks the arbiter again after any refusal; it has no provider record to keep. */
  async #tryFollowed(exchange: Exchange): Promise<boolean> {
    const { followed } = this.#sources;
    return followed !== undefined && (await this.#tryShared([followed], exchange));
  }

  async #tryShared(sources: readonly ContentSource[], exchange: Exchange): Promise<boolean> {
    return await this.#tryAll(sources, exchange, ({ descriptor }) => {
      if (!this.#sharesDigest(descriptor.digest)) throw unknown(exchange.request, LEFT_OUT);
    });
  }

  async #tryRemote(exchange: Exchange, mayGoUpstream: boolean): Promise<void> {
    const registry = this.#registries.label(exchange.request.registry);
    const count = (cache: 'hit' | 'miss'): void => {
      this.#metrics.mirrorRequests.inc({ registry, cache, source: 'internal' });
    };
    let leftToRegistry: OciError | undefined;
    try {
      const { upstream } = this.#sources;
      const finish = mayGoUpstream ? upstream?.finish?.bind(upstream) : undefined;
      const onContent = ({ descriptor }: Content): void => {
        void this.#names?.resolved(exchange.request, descriptor.digest);
        count('hit');
        this.#metrics.mirrorLastSuccess.setToCurrentTime();
      };
      const answered = await this.#tryAll(this.#sources.remote, exchange, onContent, finish);
      if (answered) return;
      count('miss');
    } catch (error) {
      // A source that knows that this node is to fetch it from the registry.
      if (!(error instanceof OciError) || error.status !== 404) throw error;
      leftToRegistry = error;
    }
    if (mayGoUpstream && (await this.#tryUpstream(exchange))) return;
    throw leftToRegistry ?? unknown(exchange.request, 'not found on any peer');
  }

  async #tryUpstream(exchange: Exchange): Promise<boolean> {
    const { upstream } = this.#sources;
    return upstream !== undefined && (await this.#tryAll([upstream], exchange, () => undefined));
  }

  /**
   * Asks the sources in their order, and answers with the first content that can be read.
   *
   * @param onContent called with content before the answer begins; what it throws is the answer
   * @param finish see {@link RegistryContent}. Default: content is sent as it is
   * @returns whether there was an answer
   */
  async #tryAll(
    sources: readonly ContentSource[],
    exchange: Exchange,
    onContent: (content: Content) => void,
    finish?: RegistryContent['finish'],
  ): Promise<boolean> {
    const { request, fromPeer, signal, log } = exchange;
    let unavailable: SourceUnavailableError | undefined;
    for (const source of sources) {
      let content: Content | undefined;
      try {
        content = await source.fetch(request, signal);
      } catch (error) {
        if (!(error instanceof SourceUnavailableError)) throw error;
        unavailable = error;
      }
      if (content === undefined) {
        if (source.reasonFor !== undefined) log?.fellThrough(source.reasonFor(request));
        continue;
      }
      try {
        onContent(content);
        const sent = finish ? await finish(content, request, signal) : content;
        if (await answerContent(sent, exchange, this.#answering)) return true;
      } catch (error) {
        // At once: until the file is closed the client may have left, and the failure of the disk would not be logged.
        this.#fail(error, exchange);
        return true;
      } finally {
        if (content.kind === 'whole') content.reservation?.[Symbol.dispose]();
        if (content.held !== undefined) await content.held[Symbol.asyncDispose]();
      }
    }
    if (unavailable === undefined) return false;
    // After 404 a peer would drop the provider record of this node.
    if (fromPeer) {
      const detail = 'the content cannot be read at present';
      throw new OciError('UNAVAILABLE', detail, { cause: unavailable });
    }
    const { cause: err } = unavailable;
    this.#logger.debug({ err, digest: request.digest }, 'a source cannot be read at present');
    return false;
  }

  #fail(
    error: unknown,
    { request, res, signal }: Pick<Exchange, 'res' | 'signal'> & Partial<Exchange>,
  ): void {
    if (signal.aborted) return; // The client has left: there is no answer to give, and nothing went wrong.
    // The parsed request, not the address as it came, which may hold anything.
    const fields = { err: error, request };
    if (res.headersSent) {
      this.#logger.warn(fields, 'body broke, connection closed for the client to resume');
      return;
    }
    res.removeHeader('Warning'); // It is of content that is not sent after all.
    if (error instanceof OciError) {
      this.#logger.debug(fields, 'request answered with an error');
      writeError(res, error);
      return;
    }
    this.#logger.error(fields, 'request failed');
    writeError(res, new OciError('UNKNOWN', 'internal error, see the log of the mirror'));
  }
}

function answerVersionCheck({ res }: Call): Promise<HandlerLabel> {
  res.setHeader('Docker-Distribution-API-Version', 'registry/2.0');
  res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': 2 }).end('{}');
  return Promise.resolve('v2');
}

function unknown({ kind }: Pick<ContentRequest, 'kind'>, detail: string): OciError {
  return new OciError(kind === 'manifest' ? 'MANIFEST_UNKNOWN' : 'BLOB_UNKNOWN', detail);
}
