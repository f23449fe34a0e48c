/** A line of the log as pino writes it, parsed. */
type LogLine = Readonly<Record<string, unknown>>;

/** For whom the text is: `service` has time and level in every line, `command` is the report of one command. */
export type TextStyle = 'service' | 'command';

/** Fields that have a place of their own in the text. */
const OWN_FIELDS: ReadonlySet<string> = new Set(['level', 'time', 'msg', 'component']);
/** Values that need no quotes. */
const PLAIN = /^[\w.,:/@%+*[\]-]+$/;
/** Characters that could move the cursor of a terminal, or hide or reorder text. */
const UNSAFE = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/**
 * Turns a JSON line of the log into text for a terminal: the message, then the fields as `name=value`. Values may come from
 * others, so control characters are shown as escapes.
 */
export function renderLogLine(json: string, style: TextStyle): string {
  const line = parse(json);
  if (line === undefined) return `${safe(json.trimEnd())}\n`;
  const fields = Object.entries(line)
    .filter(([name]) => !OWN_FIELDS.has(name))
    .map(([name, value]) => ` ${safe(name)}=${renderValue(value)}`);
  return `${start(line, style)}${safe(textOf(line['msg']))}${fields.join('')}\n${stackOf(line)}`;
}

function start({ level, time, component }: LogLine, style: TextStyle): string {
  const severity = textOf(level);
  if (style === 'command') {
    const word = { info: '', warn: 'warning: ' }[severity] ?? `${severity}: `;
    return `peerglass: ${word}`;
  }
  const from = component === undefined ? '' : `${safe(textOf(component))}: `;
  return `${clock(textOf(time))} ${severity.toUpperCase().padEnd(5)} ${from}`;
}

/** The time of day of this machine, with milliseconds. */
function clock(iso: string): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()];
  const milliseconds = String(date.getMilliseconds()).padStart(3, '0');
  return `${parts.map((part) => String(part).padStart(2, '0')).join(':')}.${milliseconds}`;
}

function renderValue(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'message' in value) {
    return renderValue(textOf(value.message));
  }
  const isPlain = typeof value === 'string' && PLAIN.test(value);
  return isPlain ? value : safe(JSON.stringify(value));
}

/** The stack of an error, which is there at level DEBUG. */
function stackOf({ err }: LogLine): string {
  if (typeof err !== 'object' || err === null || !('stack' in err)) return '';
  const frames = textOf(err.stack).split('\n').slice(1);
  return frames.map((frame) => `${safe(frame)}\n`).join('');
}

function textOf(value: unknown): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function safe(text: string): string {
  return text.replaceAll(UNSAFE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

function parse(json: string): LogLine | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null ? (value as LogLine) : undefined;
  } catch {
    return undefined;
  }
}
