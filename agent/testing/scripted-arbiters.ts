import type { Digest } from '../oci/digest.ts';
import type { DownloadState, Followers, Question, Decision } from '../fanout/question.ts';

/** For tests: arbiters that answer what the test says, and keep what they were asked. */
export class ScriptedArbiters {
  readonly questions: Question[] = [];
  /** The answers to the first questions, before {@link decision}. */
  readonly first: Decision[] = [];
  /** The answer to a question. */
  decision: Decision = { kind: 'fetch', renewMs: 50 };
  /** The answer to a report. */
  reply: Decision = { kind: 'go-on', renewMs: 50 };
  /** Whether a call has no answer until its signal is aborted. */
  hangs = false;

  async ask(question: Question, signal: AbortSignal): Promise<Decision> {
    signal.throwIfAborted();
    this.questions.push(question);
    if (this.hangs) {
      await new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error);
        });
      });
    }
    await Promise.resolve();
    return question.state === 'wants' ? (this.first.shift() ?? this.decision) : this.reply;
  }

  askToFollow(question: Question, signal: AbortSignal): Promise<Decision> {
    return this.ask({ ...question, canFetch: false }, signal);
  }

  askToTake(question: Question, signal: AbortSignal): Promise<Decision> {
    return this.ask(question, signal);
  }

  /** The states of the calls, in this order, without repetitions. */
  get states(): DownloadState[] {
    return this.questions
      .map(({ state }) => state)
      .filter((state, at, all) => state !== all[at - 1]);
  }

  get last(): Question | undefined {
    return this.questions.at(-1);
  }
}

/** For tests: the followers of a node, as the test says. */
export class ScriptedFollowers implements Followers {
  readonly #listeners = new Set<(digest: Digest) => void>();
  children = 0;

  state(): Pick<Question, 'children' | 'isRoomy'> {
    return { children: this.children, isRoomy: this.children === 0 };
  }

  onChange(listener: (digest: Digest) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Sets how many there are, and says so. */
  change(digest: Digest, children: number): void {
    this.children = children;
    for (const listener of this.#listeners) listener(digest);
  }

  /** How many listen. */
  get listeners(): number {
    return this.#listeners.size;
  }
}
