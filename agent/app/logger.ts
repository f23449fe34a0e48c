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

/** Causes of an error that are told. */
const MAX_CAUSES = 4;

/** What an operator can use of an error: what went wrong and why, in one line and without the stack. */
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
  for (let told = 0; told < MAX_CAUSES && cause instanceof Error; told += 1, { cause } = cause) {
    // Many errors here quote theirs.
    if (!message.includes(cause.message)) message += `: ${cause.message}`;
  }
  return message;
}
