/** A unit file: the values of each `Section.Key`, in their order. */
export type Unit = ReadonlyMap<string, readonly string[]>;

/** What systemd starts for a service. */
export interface ServiceCommand {
  /** The program and its words. */
  readonly command: readonly [string, ...string[]];
  /** Its environment, but for what systemd adds. */
  readonly env: Readonly<Record<string, string>>;
}

/** Reads a unit file (systemd.syntax(7)): comments, lines that go on, keys that are given again or emptied. */
export function parseUnit(text: string): Unit {
  const unit = new Map<string, string[]>();
  let section = '';
  for (const line of text
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .map((it) => it.trim())) {
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue;
    const header = /^\[(.+)\]$/.exec(line)?.[1];
    if (header !== undefined) {
      section = header;
      continue;
    }
    const [, key = '', value = ''] = /^(\w+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (key === '') throw new Error(`not a line of a unit: ${line}`);
    const name = `${section}.${key}`;
    const before = unit.get(name) ?? [];
    unit.set(name, value === '' && before.length > 0 ? [] : [...before, value]);
  }
  return unit;
}

/**
 * Splits a value into words by systemd's rules (systemd.service(5), "Command lines"). Knows no variables and no
 * specifiers but `%%`, which is all that our unit has; others are an error, not taken as text.
 */
export function splitWords(value: string): string[] {
  if (/[%$\\]/.test(value.replaceAll('%%', ''))) throw new Error(`not understood: ${value}`);
  const words = value.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  return words.map((word) => word.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2').replaceAll('%%', '%'));
}

/** The one value of a key. */
export function only(unit: Unit, name: string): string {
  const [value, ...more] = unit.get(name) ?? [];
  if (value === undefined || more.length > 0) throw new Error(`${name} is not there once`);
  return value;
}

/**
 * Gives what systemd would start for this unit.
 *
 * @param readFile gives the text of an environment file, or undefined when there is none
 */
export function serviceCommand(
  unit: Unit,
  readFile: (path: string) => string | undefined,
): ServiceCommand {
  const [program, ...args] = splitWords(only(unit, 'Service.ExecStart'));
  if (program?.startsWith('/') !== true) throw new Error('ExecStart needs an absolute path');
  const env: Record<string, string> = {};
  for (const value of unit.get('Service.Environment') ?? []) {
    for (const word of splitWords(value)) Object.assign(env, assignment(word));
  }
  for (const value of unit.get('Service.EnvironmentFile') ?? []) {
    const text = readFile(value.replace(/^-/, ''));
    if (text === undefined && !value.startsWith('-')) throw new Error(`${value} is not there`);
    for (const line of (text ?? '').split('\n').map((it) => it.trim())) {
      if (line !== '' && !/^[#;]/.test(line)) Object.assign(env, assignment(line));
    }
  }
  return { command: [program, ...args], env };
}

function assignment(text: string): Record<string, string> {
  const [, name, value = ''] = /^(\w+)=(.*)$/.exec(text) ?? [];
  if (name === undefined || /["'\\]/.test(value)) throw new Error(`not understood: ${text}`);
  return { [name]: value };
}
