import { destination, pino, stdTimeFunctions, type Logger } from 'pino';

/**
 * Makes the logger of the process: JSON lines on stderr.
 *
 * docs/ARCHITECTURE.md, "What is logged", says what belongs to which level.
 */
export function createLogger(level: 'ERROR' | 'WARN' | 'INFO' | 'DEBUG'): Logger {
  return pino(
    {
      level: level.toLowerCase(),
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination({ dest: 2, sync: true }),
  );
}
