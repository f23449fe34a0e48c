import { SUBCOMMANDS, type Subcommand } from '../config/subcommands.ts';
import { editDistance } from '../hosts/registries/words.ts';

/** Options that other programs or versions have, and the option here. */
const OTHER_NAMES: ReadonlyMap<string, string> = new Map([
  // The next name in Spegel.
  ['http-bootstrap-url', 'http-bootstrap-peer'],
]);

/** Maximum length of a flag that is compared with others, in characters. */
const MAX_FLAG = 64;

/**
 * The message of the parser in one line, with a hint at what was meant for an unknown option.
 *
 * @param message that of commander, which may have a hint of its own in a second line
 * @param subcommand what the command line begins with
 */
export function withHint(message: string, subcommand: string): string {
  const line = message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');
  const flag = /^unknown option '--([a-z0-9-]+)/i.exec(line)?.[1];
  if (flag === undefined || line.includes('(Did you mean')) return line;
  const hint = hintFor(flag, subcommand);
  return hint === undefined ? line : `${line} (${hint})`;
}

function hintFor(flag: string, subcommand: string): string | undefined {
  const table: Readonly<Record<string, Subcommand>> = SUBCOMMANDS;
  const own = Object.hasOwn(table, subcommand) ? Object.keys(table[subcommand]?.options ?? {}) : [];
  const renamed = OTHER_NAMES.get(flag);
  if (renamed !== undefined && own.includes(renamed)) return `it is --${renamed} here`;
  const near = nearestFlag(flag, own);
  if (near !== undefined) return `Did you mean --${near}?`;
  const [other] =
    Object.entries(table).find(([, { options }]) => Object.hasOwn(options, flag)) ?? [];
  return other === undefined ? undefined : `it is an option of peerglass ${other}`;
}

/** Whether each word of the flag is the beginning of a word that was written: `containerd-sock` of `containerd-socket-path`. */
function isAbbreviation(flag: string, written: readonly string[]): boolean {
  const words = flag.split('-');
  return words.length > 1 && words.every((word) => written.some((each) => each.startsWith(word)));
}

/** The flag that has all words of the other, or most letters in common; of several the shortest. */
function nearestFlag(flag: string, flags: readonly string[]): string | undefined {
  if (flag.length > MAX_FLAG) return undefined;
  const written = flag.toLowerCase().split('-').toSorted();
  const isPart = (other: string): boolean => {
    const words = other.split('-');
    return written.every((word) => words.some((each) => each.startsWith(word)));
  };
  const byLength = flags.toSorted((one, other) => one.length - other.length);
  const contains =
    byLength.find(isPart) ?? byLength.findLast((other) => isAbbreviation(other, written));
  if (contains !== undefined) return contains;
  const near = byLength
    .map((other) => ({ other, distance: editDistance(flag, other) }))
    .filter(({ distance }) => distance <= flag.length / 3)
    .toSorted((one, other) => one.distance - other.distance);
  return near[0]?.other;
}
