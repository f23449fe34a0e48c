import type { ArbiterInit } from '../fanout/arbiter/arbiter.ts';
import { Arbiter } from '../fanout/arbiter/arbiter.ts';
import type { Member, Question, Decision } from '../fanout/question.ts';
import type { Digest } from '../oci/digest.ts';

/** The digest number `index`. */
export function digestOf(index: number): Digest {
  return `sha256:${index.toString(16).padStart(64, '0')}` as Digest;
}

/** A question of a node that can fetch and has room, without the fields that it does not set. */
export function questionOf(fields: Partial<Question> = {}): Question {
  return {
    digest: digestOf(0),
    state: 'wants',
    offset: 0,
    failed: [],
    canFetch: true,
    children: 0,
    isRoomy: true,
    zone: '',
    ...fields,
  };
}

/** A node of this ID. */
export function memberOf(peerId: string): Member {
  return { peerId, origins: [`http://${peerId}`] };
}

/** An arbiter with a clock that the test moves, and its answers in few words. */
export class ArbiterFixture {
  now = 1_000;
  readonly arbiter: Arbiter;

  constructor(init: Omit<ArbiterInit, 'now'> = {}) {
    this.arbiter = new Arbiter({ ...init, now: () => this.now });
  }

  /** The answer to a question or report. */
  answer(peerId: string, fields: Partial<Question> = {}): Decision {
    return this.arbiter.answer(memberOf(peerId), questionOf(fields));
  }

  /** The answer in words: `fetch`, `follow a`, `held a b`, `go-on`, `alone`. */
  ask(peerId: string, fields: Partial<Question> = {}): string {
    const answer = this.answer(peerId, fields);
    if (answer.kind === 'follow') return `follow ${answer.parent.peerId}`;
    if (answer.kind === 'held')
      return `held ${answer.holders.map((holder) => holder.peerId).join(' ')}`;
    return answer.kind;
  }

  /** A fetcher reports so many bytes. */
  fetching(peerId: string, offset: number, fields: Partial<Question> = {}): string {
    return this.ask(peerId, { state: 'fetching', offset, ...fields });
  }

  /** A follower reports. */
  following(peerId: string, parent: string, fields: Partial<Question> = {}): string {
    return this.ask(peerId, { state: 'following', parent, ...fields });
  }
}
