import { AssertionError } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { getHeapStatistics } from 'node:v8';
import { Script } from 'node:vm';

import { codeOf } from '../../errors/system-error.ts';
import { mutate, SeededRandom } from './mutate.ts';

/** Inputs of one target in a run of the unit tests. `FUZZ_SECONDS=300` goes on for so long instead. */
const ITERATIONS = 3000;
/** Inputs that are kept because their outcome was new; mutations begin with one of them. */
const MAX_POOL = 512;
/** Memory that a parser may take for each byte of its input, and for any input, what it frees again included. */
const MEMORY_PER_BYTE = 512;
const MEMORY_BASE = 8 * 1024 * 1024;
/** A limit against hangs: the inputs that share a watchdog take some milliseconds. */
const HANG_MS = 30_000;
/** Inputs that share a watchdog, which costs more than most of them. */
const CALLS_OF_WATCHDOG = 100;

/** Errors that no parser documents. */
const MISTAKES = [AssertionError, TypeError, RangeError, ReferenceError] as const;

/** What is fuzzed, and what has to hold. */
export interface FuzzTarget<Value> {
  /** Names its folder of inputs below the folder of corpora, too. */
  readonly name: string;
  /** Valid inputs, of which mutations are made. Files of the corpus come to them. */
  readonly seeds: readonly (string | Uint8Array)[];
  /** Words of the format that mutations insert. */
  readonly words?: readonly string[];
  /** The errors that the parser documents; each other one fails the test. */
  readonly errors: readonly (abstract new (...words: never[]) => Error)[];
  /**
   * Parses the input, which it must not change. A result of another form than all before keeps its input for more
   * mutations. Its time and its memory are bounded.
   */
  readonly parse: (input: Buffer) => Value;
  /** Asserts what has to hold of a result, such as that it survives a round trip. */
  readonly check?: (value: Value, input: Buffer) => void;
  /** Bytes of memory for each byte of the input, for a parser that keeps much of each word. Default 512. */
  readonly memoryPerByte?: number;
  /** Inputs in a run of the unit tests, for a target that costs more than most. */
  readonly iterations?: number;
}

/** The same of a target that is asynchronous. Nothing ends it when it hangs, and its memory is not measured. */
export interface AsyncFuzzTarget extends Omit<
  FuzzTarget<unknown>,
  'parse' | 'check' | 'memoryPerByte'
> {
  /** Parses the input, and asserts what has to hold of the result. */
  readonly parse: (input: Buffer) => Promise<unknown>;
}

/** What {@link Inputs} need. */
type InputsOf = Pick<FuzzTarget<unknown>, 'name' | 'seeds' | 'words' | 'errors' | 'iterations'>;

/**
 * Tests that a parser throws only what it documents, ends, and takes no more memory than its input explains: on each
 * input of its corpus, and on mutations of them, which are the same in each run.
 *
 * `FUZZ_SEED=N` makes other mutations, `FUZZ_SECONDS=N` goes on for that time with ever new ones, and writes an input
 * that fails into the corpus.
 *
 * @param corpora folder of the corpora
 */
export function fuzz<Value>(corpora: string, target: FuzzTarget<Value>): void {
  it(`${target.name} reads any bytes, or says what is wrong`, (t) => {
    const inputs = new Inputs(corpora, target);
    const runSome = (): boolean => {
      for (let left = CALLS_OF_WATCHDOG; left > 0; left--) {
        const input = inputs.next();
        if (input === undefined) return false;
        inputs.learn(outcomeOf(() => withinBounds(input, target), inputs));
      }
      return true;
    };
    while (guarded(runSome, inputs));
    t.diagnostic(inputs.summary());
  });
}

/** {@link fuzz} of a target that is asynchronous. */
export function fuzzAsync(corpora: string, target: AsyncFuzzTarget): void {
  it(`${target.name} reads any bytes, or says what is wrong`, async (t) => {
    const inputs = new Inputs(corpora, target);
    let input = inputs.next();
    for (; input !== undefined; input = inputs.next()) {
      const result = await target.parse(input).then(
        (value) => () => value,
        (error: unknown) => () => {
          throw error;
        },
      );
      inputs.learn(outcomeOf(result, inputs));
    }
    t.diagnostic(inputs.summary());
  });
}

/** Runs the parser, and compares the memory before and after. */
function withinBounds<Value>(input: Buffer, target: FuzzTarget<Value>): Value {
  const { name, parse, check, memoryPerByte = MEMORY_PER_BYTE } = target;
  const copy = Buffer.from(input);
  const before = memory();
  const value = parse(input);
  const taken = memory() - before;
  const allowed = MEMORY_BASE + memoryPerByte * input.length;
  if (taken > allowed) throw new Error(`${name} takes ${taken} bytes for ${input.length}`);
  if (!copy.equals(input)) throw new Error(`${name} changes its input`);
  check?.(value, input);
  return value;
}

function memory(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
}

const CALL = new Script('globalThis.fuzzedCall()');
/** Calls it with a limit of its time, and names the input that took too long. */
function guarded(call: () => boolean, inputs: Inputs): boolean {
  Object.assign(globalThis, { fuzzedCall: call });
  try {
    return CALL.runInThisContext({ timeout: HANG_MS }) as boolean;
  } catch (error) {
    const isHang = codeOf(error) === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
    throw isHang ? inputs.failure(error) : error;
  }
}

/** The kind of result, or of error, with an error that is not documented thrown with its input. */
function outcomeOf(run: () => unknown, inputs: Inputs): string {
  try {
    return `read ${formOf(run(), 3)}`;
  } catch (error) {
    if (inputs.isDocumented(error))
      return `${error.name}: ${error.message.replaceAll(/\d+|"[^]*"/g, 'N')}`;
    throw inputs.failure(error);
  }
}

/** The form of a value without its contents: which fields are there, and roughly how many. */
function formOf(value: unknown, depth: number): string {
  if (typeof value !== 'object' || value === null) return typeof value;
  if (ArrayBuffer.isView(value)) return value.byteLength === 0 ? '0' : 'bytes';
  if (depth === 0) return 'object';
  const parts = Object.entries(value).slice(0, 12);
  return `{${parts.map(([key, each]) => `${key}:${formOf(each, depth - 1)}`).join()}}`;
}

/** The inputs of a run. */
class Inputs {
  readonly #target: InputsOf;
  readonly #folder: string;
  readonly #random: SeededRandom;
  readonly #words: readonly Buffer[];
  readonly #corpus: Buffer[];
  readonly #pool: Buffer[] = [];
  readonly #outcomes = new Map<string, number>();
  readonly #until: number | undefined;
  #current: Buffer = Buffer.alloc(0);
  #isOfCorpus = false;
  #count = 0;

  constructor(corpora: string, target: InputsOf) {
    this.#target = target;
    this.#folder = join(corpora, target.name.replaceAll(/\W+/g, '-'));
    this.#random = new SeededRandom(Number(process.env['FUZZ_SEED'] ?? 1));
    this.#words = (target.words ?? []).map((word) => Buffer.from(word, 'latin1'));
    const files = existsSync(this.#folder) ? readdirSync(this.#folder).sort() : [];
    const kept = files.map((file) => readFileSync(join(this.#folder, file)));
    this.#corpus = [...target.seeds.map((seed) => Buffer.from(seed as string)), ...kept];
    const seconds = Number(process.env['FUZZ_SECONDS'] ?? 0);
    if (seconds > 0) this.#until = performance.now() + seconds * 1000;
  }

  /** The next input: first those of the corpus, then mutations of what was learned from. */
  next(): Buffer | undefined {
    const { iterations = ITERATIONS } = this.#target;
    const fresh = this.#corpus.shift();
    if (fresh === undefined) {
      const isOver =
        this.#until === undefined ? this.#count >= iterations : performance.now() > this.#until;
      if (isOver) return undefined;
    }
    const sources = { random: this.#random, pool: this.#pool, words: this.#words };
    this.#current = fresh ?? mutate(this.#random.of(this.#pool), sources);
    this.#isOfCorpus = fresh !== undefined;
    this.#count += 1;
    return this.#current;
  }

  /** Keeps the input for mutations when its outcome is new, or it belongs to the corpus. */
  learn(outcome: string): void {
    const before = this.#outcomes.get(outcome) ?? 0;
    this.#outcomes.set(outcome, before + 1);
    const isNew = this.#isOfCorpus || before === 0;
    if (isNew && this.#pool.length < MAX_POOL) this.#pool.push(this.#current);
  }

  isDocumented(error: unknown): error is Error {
    // Mistakes of the parser, or what the test asserts, even where any `Error` is documented.
    if (MISTAKES.some((each) => error instanceof each)) return false;
    return this.#target.errors.some((each) => error instanceof each);
  }

  /** The error with its input; a long run keeps the input. */
  failure(cause: unknown): Error {
    const base64 = this.#current.toString('base64');
    if (this.#until !== undefined) {
      mkdirSync(this.#folder, { recursive: true });
      const digest = createHash('sha256').update(this.#current).digest('hex').slice(0, 8);
      writeFileSync(join(this.#folder, `found-${digest}`), this.#current);
    }
    const why = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    return new Error(`${this.#target.name}, input ${this.#count} in base64: ${base64}\n${why}`, {
      cause,
    });
  }

  summary(): string {
    const all = [...this.#outcomes.keys()];
    const read = all.filter((outcome) => outcome.startsWith('read')).length;
    return `${this.#count} inputs, ${read} forms of results, ${all.length - read} kinds of errors`;
  }
}
