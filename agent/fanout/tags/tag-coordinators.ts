import type { ClosestMember, Router } from '../../routing/router.ts';
import { Deadline } from '../../timing/deadline.ts';
import { raceSignal } from '../../timing/race-signal.ts';
import { firstAnswer } from '../wire/first-answer.ts';
import { Silences } from '../wire/silences.ts';
import { decodeTagDecision, encodeTagQuestion } from './tag-messages.ts';
import { TAG_CHECKS_PROTOCOL, type TagDecision, type TagQuestion } from './tag-question.ts';
import type { TagRounds } from './tag-rounds.ts';

/** Members closest to a tag among which the coordinators are: some may be nodes of another kind. */
const CANDIDATES = 4;
/** Default of {@link TagCoordinatorsInit.giveUpAfterMs}. */
const GIVE_UP_AFTER_MS = 150;
/** How long one question may take in all, in milliseconds. */
const ASK_MS = 1_000;

export interface TagCoordinatorsComponents {
  readonly router: Pick<Router, 'closest' | 'ask' | 'self'>;
  /** Coordinates the tags to which this node is the closest member. */
  readonly rounds: Pick<TagRounds, 'answer'>;
}

/** Options of {@link TagCoordinators}. */
export interface TagCoordinatorsInit {
  /** After this time a node that asks does without a coordinator, in milliseconds; default 150. */
  readonly giveUpAfterMs?: number;
}

/** An answer, and the member that gave it: the node sends its next questions and reports to that member. */
export interface Coordinated {
  readonly kind: TagDecision['kind'];
  readonly decision: TagDecision;
  readonly member: ClosestMember;
}

/** Asks the coordinator of a tag: the closest member that speaks the protocol, or the second closest when that is silent. */
export class TagCoordinators {
  readonly #components: TagCoordinatorsComponents;
  readonly #giveUpAfterMs: number;
  readonly #silences = new Silences();

  constructor(components: TagCoordinatorsComponents, init: TagCoordinatorsInit = {}) {
    this.#components = components;
    this.#giveUpAfterMs = init.giveUpAfterMs ?? GIVE_UP_AFTER_MS;
  }

  /**
   * Asks first. It never rejects for the failure of a member.
   *
   * @param name of the tag, which decides who coordinates it
   * @returns undefined without an answer after 150 ms (up to 300 if this process did not get to run)
   * @throws the signal's reason
   */
  async ask(
    name: string,
    question: TagQuestion,
    signal: AbortSignal,
  ): Promise<Coordinated | undefined> {
    const start = performance.now();
    const [first, second] = await this.#members(name, signal);
    if (first === undefined) return undefined;
    const hasAnswered = new Set<ClosestMember>();
    const ask = (member: ClosestMember) => async (): Promise<Coordinated> => {
      const decision = await this.#askOne(member, question, signal);
      hasAnswered.add(member);
      return { kind: decision.kind, decision, member };
    };
    const answered = await firstAnswer(ask(first), second && ask(second), signal, {
      withinMs: this.#giveUpAfterMs - (performance.now() - start),
      asksBoth: this.#silences.isSilent(first.peerId),
      countsAtOnce: knowsOthers,
    });
    signal.throwIfAborted();
    // It was silent for the whole time, until it answers after all.
    if (!hasAnswered.has(first) && (answered === undefined || !knowsOthers(answered))) {
      this.#silences.note(first.peerId);
    }
    return answered;
  }

  /**
   * Asks, or reports, where the first question was answered.
   *
   * @returns undefined when the member does not answer
   * @throws the signal's reason
   */
  async askAgain(
    member: ClosestMember,
    question: TagQuestion,
    signal: AbortSignal,
  ): Promise<TagDecision | undefined> {
    try {
      return await this.#askOne(member, question, signal);
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
  }

  /** The members that can be the coordinator, those that are gone last; none when it takes too long to find them. */
  async #members(name: string, signal: AbortSignal): Promise<readonly ClosestMember[]> {
    using deadline = new Deadline(this.#giveUpAfterMs, signal);
    try {
      const looked = this.#components.router.closest(name, CANDIDATES, deadline.signal);
      const all = await raceSignal(looked, deadline.signal);
      // Nothing is known of what a member speaks that this node is not connected with.
      const members = all.filter(({ protocols }) => protocols.includes(TAG_CHECKS_PROTOCOL));
      const isGone = ({ peerId }: ClosestMember): boolean => this.#silences.isGone(peerId);
      return [...members.filter((it) => !isGone(it)), ...members.filter(isGone)];
    } catch {
      signal.throwIfAborted();
      return [];
    }
  }

  /** @throws Error when the member does not answer, or not as it should */
  async #askOne(
    { peerId, isSelf }: ClosestMember,
    question: TagQuestion,
    signal: AbortSignal,
  ): Promise<TagDecision> {
    const { router, rounds } = this.#components;
    if (isSelf) return rounds.answer(router.self().peerId, question);
    using deadline = new Deadline(ASK_MS, signal);
    try {
      const message = encodeTagQuestion(question);
      const answer = await router.ask(peerId, message, deadline.signal, TAG_CHECKS_PROTOCOL);
      const decision = decodeTagDecision(answer);
      this.#silences.answered(peerId);
      return decision;
    } catch (error) {
      if (!signal.aborted) this.#silences.note(peerId);
      throw error;
    }
  }
}

/** Whether the member knows of another node that asks: others take it for the coordinator, too. */
function knowsOthers({ kind }: Coordinated): boolean {
  return kind === 'wait' || kind === 'known';
}
