import { destination, pino, stdSerializers, stdTimeFunctions, type Logger } from 'pino';

/**
 * Makes the logger of the process: JSON lines on stderr.
 *
 * docs/design/logging.md explains what belongs to which level.
 */
export function createLogger(level: 'ERROR' | 'WARN' | 'INFO' | 'DEBUG'): Logger {
  return pino(
    {
      level: level.toLowerCase(),
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: level === 'DEBUG' ? stdSerializers.err : briefly },
    },
    destination({ dest: 2, sync: true }),
  );
}

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
