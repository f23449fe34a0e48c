import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import { pause } from '../../timing/pause.ts';
import type { Decision, Followers, Question } from '../question.ts';
import type { Arbiters } from '../wire/arbiters.ts';
import type { FailedPeers } from './failed-peers.ts';
import type { ImageLeads } from './image-leads.ts';
import type { OpenDownload } from './open-download.ts';
import type { Aim } from './requests-in-hand.ts';

/** Pause between two questions of a node that leaves a blob to another one, in milliseconds. */
const LEFT_MS = 150;
/**
 * So many questions the node that leads an image has to ask for one of its blobs: 0.6 s. On thin links and busy nodes its client
 * takes that long from the manifest to the layers.
 */
const LED_QUESTIONS = 4;
/** How often a node whose registry limits it asks whom it can follow: for a second or so, with {@link LEFT_MS} in between. */
const LIMITED_QUESTIONS = 7;

/** A request for content by digest. */
export type DigestRequest = ContentRequest & { readonly digest: Digest };

/** What {@link Asking} uses. */
export interface AskingComponents {
  readonly arbiters: Pick<Arbiters, 'ask' | 'askToFollow' | 'askToTake'>;
  readonly followers: Pick<Followers, 'state'>;
  readonly failed: Pick<FailedPeers, 'of'>;
  readonly leads: Pick<ImageLeads, 'isBegun' | 'isLeft'>;
  /** Whether the registry lets this node fetch the content at present. Default: it does. */
  readonly mayFetch?: ((request: ContentRequest) => boolean) | undefined;
}

/** What a client has received so far. */
type Progressing = Pick<OpenDownload, 'progress'>;

/** What a node asks for. */
export interface Wish {
  /** What its client receives already; undefined for one whose downloads the store does not know. */
  readonly current: Progressing | undefined;
  readonly aim: Aim;
}

/** The questions of a node to the arbiter of some content: how often, and whether it offers to fetch the content. */
export class Asking {
  readonly #components: AskingComponents;
  readonly #zone: string;

  /** @param zone of this node; empty without one */
  constructor(components: AskingComponents, zone: string) {
    this.#components = components;
    this.#zone = zone;
  }

  /**
   * At the beginning of a download this node offers to fetch it only when the node that leads the image does not ask for it. Later
   * it offers it at once: another node has failed.
   *
   * @returns the last answer; `alone` for 0 ms when there was none
   * @throws the signal's reason
   */
  async ask(
    request: DigestRequest,
    { current, aim }: Wish,
    signal: AbortSignal,
  ): Promise<Decision> {
    if (aim === 'follow') return await this.#askToFollow(request, current, signal);
    const { arbiters, leads, mayFetch } = this.#components;
    const question = this.#question(request.digest, current);
    // Nodes that take it from a holder need not agree with the one that leads the image, nor with the registry.
    if (aim === 'take') return await arbiters.askToTake(question, signal);
    if (question.canFetch && mayFetch?.(request) === false) {
      return (await this.#leave(request, current, LIMITED_QUESTIONS, signal)).decision;
    }
    const askToFetch = (): Promise<Decision> =>
      arbiters.ask(this.#question(request.digest, current), signal);
    const isBeginning = question.offset === 0 && question.failed.length === 0;
    if (!question.canFetch || !isBeginning || !leads.isLeft(request)) {
      return await this.#untilAnswered(request, askToFetch);
    }
    const left = await this.#leave(request, current, LED_QUESTIONS, signal);
    if (!left.isLeft) return left.decision;
    await pause(LEFT_MS, signal);
    return await this.#untilAnswered(request, askToFetch);
  }

  /**
   * Leaves the fetch to another node: the one that leads the image, or one that the registry does not limit. It may come a moment
   * later.
   *
   * @param questions the most that are asked
   * @returns the last answer, and whether it names no source
   */
  async #leave(
    request: DigestRequest,
    current: Progressing | undefined,
    questions: number,
    signal: AbortSignal,
  ): Promise<{ readonly decision: Decision; readonly isLeft: boolean }> {
    for (let asked = 1; ; asked += 1) {
      const decision = await this.#askToFollow(request, current, signal);
      const isLeft = decision.kind === 'alone' && decision.forMs > 0;
      if (!isLeft || asked === questions) return { decision, isLeft };
      await pause(LEFT_MS, signal);
    }
  }

  async #askToFollow(
    request: DigestRequest,
    current: Progressing | undefined,
    signal: AbortSignal,
  ): Promise<Decision> {
    const { arbiters } = this.#components;
    return await this.#untilAnswered(request, () =>
      arbiters.askToFollow(this.#question(request.digest, current), signal),
    );
  }

  /**
   * Asks once more where no arbiter has answered in time, when nodes have begun with the image: their links are full then, and a packet
   * that is lost is sent again after 0.2 s at the earliest. To go on without the arbiter costs one more download.
   */
  async #untilAnswered(request: ContentRequest, ask: () => Promise<Decision>): Promise<Decision> {
    const decision = await ask();
    return isAnswer(decision) || !this.#components.leads.isBegun(request) ? decision : await ask();
  }

  #question(digest: Digest, current: Progressing | undefined): Question {
    const { offset = 0, total } = current?.progress ?? {};
    const { children, isRoomy } = this.#components.followers.state(digest);
    const canFetch = current !== undefined;
    return {
      digest,
      state: 'wants',
      offset,
      ...(total !== undefined && { size: total }),
      failed: this.#components.failed.of(digest),
      canFetch,
      children,
      // What a client receives that the store does not know cannot be served to followers.
      isRoomy: isRoomy && canFetch,
      zone: this.#zone,
    };
  }
}

/** Whether an arbiter has decided it: without one in time a node is `alone` for 0 ms. */
export function isAnswer(decision: Decision): boolean {
  return decision.kind !== 'alone' || decision.forMs > 0;
}
