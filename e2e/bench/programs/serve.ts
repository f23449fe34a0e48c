import type { Answer, Question } from '../support/program.ts';

/** Handles the calls of the bench in this process, until the bench ends: the other side of `support/program.ts`. */
export function serve(handlers: Readonly<Record<string, (argument: unknown) => unknown>>): void {
  process.on('message', (message) => {
    const { id, what, argument } = message as Question;
    const answer = async (): Promise<unknown> => {
      const handler = handlers[what];
      if (handler === undefined) throw new Error(`cannot ${what}`);
      return await handler(argument);
    };
    answer().then(
      (result) => process.send?.({ id, result } satisfies Answer),
      (error: unknown) => process.send?.({ id, error: String(error) } satisfies Answer),
    );
  });
  process.once('disconnect', () => {
    process.exit(0);
  });
}
