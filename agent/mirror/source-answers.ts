import type { Logger } from 'pino';

import {
  SourceUnavailableError,
  type Content,
  type ContentSource,
} from '../content/content-source.ts';
import { writeError } from '../http/error-answer.ts';
import { BoundedLabels } from '../metrics/bounded-labels.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { LEFT_OUT } from '../oci/share-policy.ts';
import { answerContent, type AnswerComponents, type Exchange } from './answer-content.ts';
import type { ImportedNames } from './imported-names.ts';
import type { MirrorSources, RegistryContent } from './mirror-sources.ts';
import type { PeerUploads } from './peer-uploads.ts';

/** What {@link SourceAnswers} use. */
export interface SourceAnswersComponents {
  readonly sources: MirrorSources;
  /** See `MirrorHandlerComponents`. */
  readonly sharesDigest: (digest: Digest) => boolean;
  /** Learns what names mean. Default: nothing does. */
  readonly names?: Pick<ImportedNames, 'resolved'> | undefined;
  readonly uploads: PeerUploads;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Answers requests from sources. Who may have which content is decided before. */
export class SourceAnswers {
  readonly #sources: MirrorSources;
  readonly #sharesDigest: (digest: Digest) => boolean;
  readonly #names: SourceAnswersComponents['names'];
  readonly #answering: AnswerComponents;
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  readonly #registries = new BoundedLabels();

  constructor({ sources, sharesDigest, names, uploads, metrics, logger }: SourceAnswersComponents) {
    this.#sources = sources;
    this.#sharesDigest = sharesDigest;
    this.#names = names;
    this.#answering = { uploads, metrics, logger };
    this.#metrics = metrics;
    this.#logger = logger;
  }

  /** From what this node has. Resolves to whether there was an answer. */
  async tryLocal(exchange: Exchange): Promise<boolean> {
    return await this.#tryShared(this.#sources.local, exchange);
  }

  /** From what is still arriving. A peer that follows asks the arbiter again after any refusal; it has no provider record to keep. */
  async tryFollowed(exchange: Exchange): Promise<boolean> {
    const { followed } = this.#sources;
    return followed !== undefined && (await this.#tryShared([followed], exchange));
  }

  async #tryShared(sources: readonly ContentSource[], exchange: Exchange): Promise<boolean> {
    return await this.#tryAll(sources, exchange, ({ descriptor }) => {
      if (!this.#sharesDigest(descriptor.digest)) throw unknownContent(exchange.request, LEFT_OUT);
    });
  }

  /**
   * From other nodes, then from the registry.
   *
   * @throws OciError when there is no answer
   */
  async tryRemote(exchange: Exchange, mayGoUpstream: boolean): Promise<void> {
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
    if (mayGoUpstream && (await this.tryUpstream(exchange))) return;
    throw leftToRegistry ?? unknownContent(exchange.request, 'not found on any peer');
  }

  /** From the registry. Resolves to whether there was an answer; throws the words of the registry. */
  async tryUpstream(exchange: Exchange): Promise<boolean> {
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
        this.fail(error, exchange);
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

  /** Answers with what went wrong, if an answer can still be given. */
  fail(
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

/** Content that is not here: containerd asks its next host. */
export function unknownContent({ kind }: Pick<ContentRequest, 'kind'>, detail: string): OciError {
  return new OciError(kind === 'manifest' ? 'MANIFEST_UNKNOWN' : 'BLOB_UNKNOWN', detail);
}
