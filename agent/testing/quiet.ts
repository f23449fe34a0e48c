import { pino, type Logger } from 'pino';

/** A logger that says nothing; set `PEERGLASS_TEST_LOG=debug` to hear it on stdout. */
export const quiet: Logger = pino({ level: process.env['PEERGLASS_TEST_LOG'] ?? 'silent' });
