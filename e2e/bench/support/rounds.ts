import { median } from './samples.ts';

/** What one measurement of one subject gave, by name: all subjects of a row give the same names. */
export type Measured = Readonly<Record<string, number>>;

/** A program that is compared: ours or another. */
export interface Subject {
  readonly name: string;
  measure(): Promise<Measured>;
}

/**
 * Measures subjects against each other: one after the other in every round, so that noise from outside hits all
 * of them, and in the other direction in every second one, so that none always comes first.
 */
export class Rounds {
  readonly #taken = new Map<string, Measured[]>();

  /** @param said called with a line for each measurement */
  async run(
    subjects: readonly Subject[],
    rounds: number,
    said: (text: string) => void = () => undefined,
  ): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      const order = round % 2 === 0 ? subjects : subjects.toReversed();
      for (const subject of order) {
        const { name } = subject;
        const measured = await subject.measure();
        this.#taken.set(name, [...(this.#taken.get(name) ?? []), measured]);
        const values = Object.entries(measured).map(
          ([what, value]) => `${what} ${value.toPrecision(4)}`,
        );
        said(`round ${round + 1}: ${name}: ${values.join(', ')}`);
      }
    }
  }

  /** The median of what a subject gave. */
  median(subject: string, what: string): number {
    return median(this.#all(subject, what));
  }

  /** The ratio of two subjects in each round, and of these the one in the middle. */
  ratio(subject: string, peer: string, what: string): number {
    const below = this.#all(peer, what);
    return median(this.#all(subject, what).map((value, round) => value / (below[round] ?? NaN)));
  }

  /** The worst that a subject gave: the smallest. */
  least(subject: string, what: string): number {
    return Math.min(...this.#all(subject, what));
  }

  #all(subject: string, what: string): number[] {
    const taken = this.#taken.get(subject) ?? [];
    return taken.map((measured) => measured[what] ?? NaN);
  }
}
