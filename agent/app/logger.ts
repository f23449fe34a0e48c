import { isatty } from 'node:tty';

import { destination, pino, stdSerializers, stdTimeFunctions, type Logger } from 'pino';

import type { COMMON_OPTIONS, OptionValues } from '../config/options.ts';
import { renderLogLine, type TextStyle } from './text-log.ts';

/** The options of the log. */
type LogConfig = OptionValues<typeof COMMON_OPTIONS>;

/**
 * Makes the logger of the process: JSON lines on stderr, or text for a terminal.
 *
 * docs/design/logging.md explains what belongs to which level.
 *
 * @param style of the text. Default: that of one command
 */
export function createLogger(config: LogConfig, style: TextStyle = 'command'): Logger {
  const level = config['log-level'];
  const format = config['log-format'];
  const stderr = destination({ dest: STDERR, sync: true });
  const isText = format === 'text' || (format === 'auto' && isatty(STDERR));
  return pino(
    {
      level: level.toLowerCase(),
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: level === 'DEBUG' ? stdSerializers.err : briefly },
    },
    isText ? { write: (line) => stderr.write(renderLogLine(line, style)) } : stderr,
  );
}

/** File descriptor of stderr. */
const STDERR = 2;
/** Causes of an error that are logged. */
const MAX_CAUSES = 4;

/** Shortens an error to what an operator can use: its message and its causes in one line, without the stack. */
function briefly(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code: unknown = 'code' in error ? error.code : undefined;
  return {
    type: error.name,
    message: withCauses(error),
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
  };
}

function withCauses(error: Error): string {
  let { message, cause } = error;
  for (let depth = 0; depth < MAX_CAUSES && cause instanceof Error; depth += 1, { cause } = cause) {
    // The message of many errors contains that of their cause.
    if (!message.includes(cause.message)) message += `: ${cause.message}`;
  }
  return message;
}
