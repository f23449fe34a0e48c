import { pino, type Logger } from 'pino';

/** A silent logger. `PEERGLASS_TEST_LOG=debug` has it write to stdout. */
export const quiet: Logger = pino({ level: process.env['PEERGLASS_TEST_LOG'] ?? 'silent' });
